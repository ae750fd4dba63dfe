"""What the suite must know of a system to hold a trigger to it."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from flowspec.polling.store import CursorStore

__all__ = ["FLOW", "Harness", "PollingHarness", "TriggerHarness", "optional"]

FLOW = "conformance"
"""The name of all flows."""

Method = TypeVar("Method", bound=Callable[..., Any])


def optional(method: Method) -> Method:
    """Mark what not every system has: a harness offers it by defining it."""
    method.__dict__["is_optional"] = True
    return method


class Harness:
    """A place in a real system, made for one test, and a client to it that is not ours."""

    directory: Path
    """Where the flows of the test are, and their state directory `state`."""

    @classmethod
    def offers(cls, name: str) -> bool:
        """Whether harnesses of this class have what is `optional`."""
        found = inspect.getattr_static(cls, name)
        return not hasattr(found.fget if isinstance(found, property) else found, "is_optional")

    def close(self) -> None:
        """Free what it holds beside the system."""

    @optional
    def proxied(self, **fields: Any) -> dict[str, Any]:
        """The trigger or sink of a spec, connected through the proxy that the methods below are about."""
        raise NotImplementedError

    @optional
    def cut(self) -> None:
        """Break the connections that go through the proxy; new ones are accepted at once."""
        raise NotImplementedError

    @optional
    def down(self) -> None:
        """Break the connections that go through the proxy, and accept no new ones."""
        raise NotImplementedError

    @optional
    def up(self) -> None:
        """Accept connections again."""
        raise NotImplementedError

    @optional
    def missing(self) -> dict[str, Any]:
        """The trigger or sink of a spec for a place that does not exist, and has `missing` in its name."""
        raise NotImplementedError


class TriggerHarness(Harness, ABC):
    """A queue, topic or the like, and who sends to it."""

    many: ClassVar[int] = 50_000
    """How many records the kill -9 test takes: as many as the system passes on in about twenty seconds."""
    backlog: ClassVar[int] = 20_000
    """How far that test may be ahead of the flow with sending; for systems that slow down with their backlog."""
    flood: ClassVar[tuple[int, int]] = (2_000, 100_000)
    """Count and bytes of the payloads of the test of bounded memory, far more than the flow may hold."""

    taken_back: ClassVar[str | None] = None
    """What a flow logs when the system takes back what was in it for too long, where systems do that."""

    @abstractmethod
    def trigger(self, **fields: Any) -> dict[str, Any]:
        """The trigger of a spec that reads from the place, with these fields.

        Without them its waits are short, and what it holds ready is little.
        """

    @abstractmethod
    def send(
        self, payloads: Sequence[bytes], *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send payloads in order, in as few calls as the client can; each is confirmed when it returns.

        Called from several threads at the same time.

        Args:
            payloads: What to send.
            key: What makes the order, where `ordered` is offered.
            headers: What to attach to each.
        """

    @abstractmethod
    def left(self) -> int:
        """How many records the system keeps that nobody has committed: those that wait, and those in flight."""

    @property
    @optional
    def keys(self) -> Sequence[str]:
        """Keys for `send`: records with the same one are read in the order in which they were sent."""
        raise NotImplementedError

    @property
    @optional
    def ack_timeout(self) -> float:
        """For how many seconds a client that does nothing may keep a record, as `trigger` has it set."""
        raise NotImplementedError

    @optional
    def refusing_commits(self) -> AbstractContextManager[None]:
        """While it lasts the system refuses the commits of a `proxied` trigger, or they do not reach it."""
        raise NotImplementedError

    @property
    @optional
    def shared(self) -> bool:
        """That independent runs share the records among them."""
        raise NotImplementedError

    @optional
    def check_commits(self) -> None:
        """See, in what the system remembers, that no reader committed what was another's by then."""
        raise NotImplementedError


class PollingHarness(TriggerHarness):
    """What is polled: the cursor, and so what is left, is the flow's own business."""

    event: ClassVar[str]
    """The trigger in the registry, `connector.event`."""

    def saved_cursor(self) -> Any:
        """The cursor that the flows of the test have saved; None where there is none."""
        return CursorStore(self.directory / "state", FLOW, self.event).load().cursor
