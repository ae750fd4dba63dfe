"""Metrics and health of a run over HTTP, for Prometheus, for the probes of a container, and for people."""

from pipelines.monitor.server import Monitor

__all__ = ["Monitor"]
