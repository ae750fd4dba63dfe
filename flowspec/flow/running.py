"""A flow that runs in the background of a notebook or script."""

from __future__ import annotations

import atexit
import logging
import threading
from typing import TYPE_CHECKING, Any, Literal

from flowspec.errors import FlowError
from flowspec.execution import execute
from flowspec.flow.html import heading, table
from flowspec.flow.quiet import quiet

if TYPE_CHECKING:
    from pathlib import Path

    from flowspec.delivery.run import FlowRun
    from flowspec.delivery.tally import Tally
    from flowspec.spec import FlowSpec

__all__ = ["RunFailedError", "Running"]

_LOOK = 0.5
"""Seconds between two updates of what a notebook shows."""
_SPARE_TIME = 2.0
"""Seconds beyond its time that a drain has before the process ends without it."""

_COUNTS = ("passed", "filtered", "failed", "retried", "absorbed")

_log = logging.getLogger(__name__)
_running: dict[tuple[str, Path], Running] = {}
"""The flows that run in this process, by name and state directory."""
_lock = threading.Lock()


class RunFailedError(FlowError):
    """A flow failed; says where and why."""


class Running:
    """A flow that runs, or has run, on a thread of this process. A notebook shows its counts as they grow.

    Raises:
        FlowError: it runs already in this process.
    """

    def __init__(self, spec: FlowSpec, run: FlowRun, timeout: float | None = None) -> None:
        """Start a flow, and stop it after `timeout` seconds."""
        self._spec, self._run = spec, run
        self._key = (spec.name, run.state_dir.resolve())
        self._error: str | None = None
        self._ended = threading.Event()
        self._timer = None if timeout is None else threading.Timer(timeout, run.stop)
        with _lock:
            if self._key in _running:
                msg = f"{spec.name} runs already; stop() it first"
                raise FlowError(msg)
            _running[self._key] = self
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()
        # A daemon: the process waits for it at its end, but not for ever.
        threading.Thread(target=self._work, name=f"flow-{spec.name}", daemon=True).start()

    @property
    def state(self) -> Literal["running", "stopping", "stopped", "failed"]:
        """How it is."""
        if not self._ended.is_set():
            return "stopping" if self._run.stopping.is_set() else "running"
        return "stopped" if self._error is None else "failed"

    @property
    def error(self) -> str | None:
        """Why it failed, with the place; None where it did not."""
        return self._error

    @property
    def tally(self) -> Tally:
        """The counts so far; they grow."""
        return self._run.tally

    def wait(self, seconds: float | None = None) -> Running:
        """Wait until it has ended, or for some seconds; an interrupt of the notebook, or Ctrl-C, stops it.

        Raises:
            RunFailedError: it failed.
        """
        try:
            self._ended.wait(seconds)
        except KeyboardInterrupt:
            self._run.stop()
            self._ended.wait()
        if self._error is not None:
            raise RunFailedError(self._error)
        return self

    def stop(self) -> Running:
        """Take no more records, and wait until those that are under way are delivered and committed.

        Raises:
            RunFailedError: it failed.
        """
        self._run.stop()
        return self.wait()

    def __repr__(self) -> str:
        error = "" if self._error is None else f": {self._error}"
        return f"{self._spec.name} {self.state}{error} ({self._counts()})"

    def _repr_html_(self) -> str:
        error = "" if self._error is None else f": {self._error}"
        places = self.tally.places.copy()
        steps = [name for name in ("decode", "external_id") if name in places]
        names = [*steps, *(name for name, _ in (*self._spec.named_steps(), *self._spec.named_sinks()))]
        rows = [
            [name, *(str(getattr(places[name], count)) if name in places else "0" for count in _COUNTS)]
            for name in names
        ]
        title = heading(f"{self._spec.name} {self.state}{error}")
        return f"{title}\n{heading(self._counts())}\n{table(['step or sink', *_COUNTS], rows)}"

    def _ipython_display_(self) -> None:
        from IPython.display import display

        handle: Any = display(_Moment(self), display_id=True)
        if handle is not None and not self._ended.is_set():
            threading.Thread(target=self._follow, args=(handle,), name="flow-counts", daemon=True).start()

    def _follow(self, handle: Any) -> None:
        while not self._ended.wait(_LOOK):
            handle.update(_Moment(self))
        handle.update(_Moment(self))

    def _counts(self) -> str:
        tally = self.tally
        return ", ".join(
            f"{getattr(tally, count)} {count}" for count in ("received", "delivered", "filtered", "failed")
        )

    def _work(self) -> None:
        atexit.register(self._end)
        try:
            with quiet():
                execute(self._spec, self._run)
        except BaseException as error:  # noqa: BLE001 - Rust's panics are no Exceptions
            failure = self._run.failure
            self._error = str(failure or error) or type(error).__name__
            _log.error("%s failed: %s", self._spec.name, self._error)
        finally:
            if self._timer is not None:
                self._timer.cancel()
            with _lock:
                del _running[self._key]
            atexit.unregister(self._end)
            self._ended.set()

    def _end(self) -> None:
        self._run.stop()
        self._ended.wait(self._run.drain_timeout + _SPARE_TIME)


class _Moment:
    """What IPython shows of a flow at a moment; showing the flow itself would begin to follow it again."""

    def __init__(self, running: Running) -> None:
        self._text, self._html = repr(running), running._repr_html_()

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return self._html
