"""What can go wrong, sorted by what is to be done about it."""

from __future__ import annotations

__all__ = ["FatalError", "FlowError", "MissingDependencyError", "RecordError", "TransientError"]


class FlowError(Exception):
    """Base of every error that is meant for the person who runs the flow."""


class TransientError(FlowError):
    """The other system cannot do it now: it is tried again, with backoff, for as long as it takes."""

    def __init__(self, message: str = "", *, retry_after: float = 0.0) -> None:
        """`retry_after` are the seconds that the system wants to be left alone for."""
        super().__init__(message)
        self.retry_after = retry_after


class FatalError(FlowError):
    """Trying again cannot help (no such queue, access denied): the flow stops with exit code 1."""


class RecordError(FlowError):
    """This record cannot be processed, its neighbours can: the step's `on_error` decides about it."""


class MissingDependencyError(FatalError):
    """A package that a connector or step needs is not installed; the message has the command that installs it."""

    def __init__(self, connector: str, extra: str, sort: str = "connector") -> None:
        """Name what needs packages; `sort` says what it is if it is no connector."""
        super().__init__(
            f"{sort} {connector!r} needs packages that are not installed: pip install 'trigger-flows[{extra}]'"
        )
