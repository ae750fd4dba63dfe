"""Logging: what libraries log with the standard library, rendered on stderr."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal, TypeAlias

import structlog

__all__ = ["TALKATIVE", "LogFormat", "set_up"]

LogFormat: TypeAlias = Literal["text", "json"]

TALKATIVE = {
    **dict.fromkeys(("boto3", "botocore", "urllib3", "s3transfer"), logging.WARNING),
    # It logs ten errors, with tracebacks, for each connection that is lost: our own line says it once.
    "pika": logging.CRITICAL,
    # It warns of each statement that the database refused; that is a dead letter.
    "psycopg": logging.ERROR,
}
"""Libraries that log more than a flow's log is for, and from which level on it is kept."""


def set_up(log_format: LogFormat, flow: str, worker: int | None = None, *, verbose: bool = False) -> None:
    """Log to stderr, with UTC times and the name of the flow.

    Args:
        log_format: Lines for people, or a JSON object for each.
        flow: The flow that is run.
        worker: The worker, where there are several.
        verbose: Whether debug messages are logged.
    """
    context: dict[str, Any] = {"flow": flow} if worker is None else {"flow": flow, "worker": worker}

    def add_context(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {**event, **context}

    before: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_context,
    ]
    handler = _StderrHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(log_format)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    for name, level in TALKATIVE.items():
        logging.getLogger(name).setLevel(level)


def _renderers(log_format: LogFormat) -> list[structlog.typing.Processor]:
    if log_format == "json":
        return [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(),
        ]
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        )
    ]


class _StderrHandler(logging.Handler):
    """Writes to what stderr is at the moment: a live status puts itself there, and prints lines above its table."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 - what a handler does
            self.handleError(record)
