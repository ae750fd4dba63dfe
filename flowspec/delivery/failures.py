"""What becomes of records that fail."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from flowspec.connectors import Rejecter
from flowspec.errors import FatalError, TransientError
from flowspec.policies import ErrorPolicy, RetryPolicy, final_policy

if TYPE_CHECKING:
    from flowspec.deadletters.letter import DeadLetter
    from flowspec.delivery.run import FlowRun

__all__ = ["DeadLetters", "Failures"]

_log = logging.getLogger(__name__)


class DeadLetters(Protocol):
    """Where records go that are given up."""

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """Keep letters; when it returns they are safe.

        Raises:
            FatalError: they cannot be kept, so nothing may be acknowledged.
        """
        ...

    def close(self) -> None:
        """Free everything. Never raises."""
        ...


class Failures:
    """Has records that failed tried again later, kept as dead letters, let go, or stop the flow."""

    def __init__(self, run: FlowRun) -> None:
        self._run = run
        self._recent: deque[tuple[float, int]] = deque()

    def settle(self, letters: Sequence[DeadLetter], policy: ErrorPolicy) -> None:
        """Do what a policy says with records that failed at one place; `attempts` are those of this time.

        When it returns each is in the store, or the trigger's system is going to reject it, or it is let go.

        Raises:
            FatalError: they cannot be kept, so nothing may be acknowledged; or too many have failed.
            Exception: that of the record that stops the flow.
        """
        if not letters:
            return
        run = self._run
        letters = [self._counted(letter) for letter in letters]
        again = [] if run.is_replay else [letter for letter in letters if _is_tried_again(letter, policy)]
        if again:
            run.store.add([_later(letter, policy) for letter in again])
            if run.journal is not None:
                run.journal.retrying(again)
            run.tally.retried += len(again)
            run.tally.places[letters[0].step].retried += len(again)
            letters = [letter for letter in letters if not _is_tried_again(letter, policy)]
        if letters:
            self._give_up(letters, final_policy(policy))

    def _counted(self, letter: DeadLetter) -> DeadLetter:
        """With the attempts before this one, and what identifies its record."""
        letter = replace(letter, identity=self._run.identify(letter.record))
        first_try = letter.first_try if letter.known is None else letter.known.first_try
        return replace(letter, attempts=letter.attempts + self._run.store.attempts(letter), first_try=first_try)

    def _give_up(self, letters: Sequence[DeadLetter], policy: str) -> None:
        run = self._run
        if policy == "stop" and not run.is_replay:
            run.stop_for(letters[0])
        run.tally.failed += len(letters)
        run.tally.places[letters[0].step].failed += len(letters)
        # What a replay fails on stays what it is.
        if policy != "skip" or run.is_replay:
            run.tally.dead_letters += len(letters)
            self._keep(letters)
        if run.journal is not None:
            run.journal.failed(letters, policy == "skip" and not run.is_replay)
        self._stop_if_too_many(letters)

    def _keep(self, letters: Sequence[DeadLetter]) -> None:
        run = self._run
        # With a second trigger nobody can tell whose record it is.
        rejecters = [each for each in run.readers if isinstance(each, Rejecter)] if len(run.triggers) <= 1 else []
        # What was set aside is the system's no more.
        received = [letter for letter in letters if letter.known is None] if rejecters else []
        for reader in rejecters:
            reader.reject([letter.record for letter in received])
        if received:
            # The system does not keep why.
            first = received[0]
            _log.warning("%d records are rejected, the first by %s: %s", len(received), first.step, first.error)
        kept = [letter for letter in letters if not rejecters or letter.known is not None]
        if kept:
            run.dead_letters.add(kept)

    def _stop_if_too_many(self, letters: Sequence[DeadLetter]) -> None:
        limit = self._run.stop_after
        if limit is None:
            return
        now = time.monotonic()
        self._recent.append((now, len(letters)))
        while now - self._recent[0][0] > limit.within:
            self._recent.popleft()
        count = sum(failed for _, failed in self._recent)
        if count >= limit.failures:
            last = letters[-1]
            msg = (
                f"stopped because {count} records failed within {limit.within:g} s, which stop_after does not allow; "
                f"the last at {last.step}: {last.error}"
            )
            raise FatalError(msg) from last.error


def _is_tried_again(letter: DeadLetter, policy: ErrorPolicy) -> bool:
    return isinstance(policy, RetryPolicy) and letter.attempts < policy.retry.attempts


def _later(letter: DeadLetter, policy: ErrorPolicy) -> DeadLetter:
    assert isinstance(policy, RetryPolicy)  # noqa: S101 - for the type checker
    wait = policy.retry.wait_after(letter.attempts)
    if isinstance(letter.error, TransientError):
        wait = max(wait, letter.error.retry_after)
    return replace(letter, next_try=time.time() + wait)
