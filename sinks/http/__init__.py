"""HTTP APIs."""

from sinks.http.action import Request

__all__ = ["Request"]
