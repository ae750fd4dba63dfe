"""SQL databases."""

from sinks.sql.action import WriteRows

__all__ = ["WriteRows"]
