"""The cases of the conformance suite: their numbers, what they need of a system, and how they are waived."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest

from sources.testing.flows import Flow
from sources.testing.harness import Harness
from sources.testing.lab import Lab

__all__ = ["Case", "Conformance", "needs"]

_NUMBER = re.compile(r"^test_(\d\d)_")
Test = TypeVar("Test", bound=Callable[..., None])


@dataclass(frozen=True)
class Case:
    """One entry of the list, as a test method has it."""

    number: int
    title: str
    """The first line of the method's docstring."""
    needs: tuple[str, ...] = ()
    """What a harness must offer."""

    @classmethod
    def of(cls, test: Callable[..., Any]) -> Case:
        """What a test method of the suite is about."""
        match = _NUMBER.match(test.__name__)
        if match is None:
            msg = f"{test.__name__} has no number: call it test_NN_..."
            raise ValueError(msg)
        title = (inspect.getdoc(test) or "").partition("\n")[0]
        marks: dict[str, Any] = getattr(test, "case_marks", {})
        return cls(int(match[1]), title, **marks)

    def lacks(self, harness: type[Harness]) -> list[str]:
        """What of it harnesses do not offer."""
        return [name for name in self.needs if not harness.offers(name)]


def needs(*names: str) -> Callable[[Test], Test]:
    """Mark a case as one for systems whose harness offers something that not every system has."""

    def mark(test: Test) -> Test:
        test.__dict__["case_marks"] = {"needs": names}
        return test

    return mark


class Conformance:
    """What the suites of triggers and sinks share: harness, lab, and the rules of waivers.

    A subclass has a fixture `server`: what its harness is made with.

    A case is waived where its number stands in `waivers`, with the reason. What needs something that the harness does
    not offer must be waived, and is skipped. Where nothing is lacking, a waived case is run and has to fail: a waiver
    that is not needed any more is an error.
    """

    system: ClassVar[str]
    """The system that it runs on, in a few words; a column of the table of results."""
    harness_type: ClassVar[type[Harness]]
    """What knows the system."""
    waivers: ClassVar[Mapping[int, str]] = {}
    """Why a case is not held to, by its number."""

    @classmethod
    def cases(cls) -> list[Case]:
        """All cases, by number."""
        names = [name for name in dir(cls) if _NUMBER.match(name)]
        return sorted((Case.of(getattr(cls, name)) for name in names), key=lambda case: case.number)

    @classmethod
    def waiver(cls, case: Case) -> str | None:
        """Why a case is not held to, or None where it is.

        Raises:
            LookupError: it should be waived, and is not.
        """
        reason = cls.waivers.get(case.number)
        lacks = case.lacks(cls.harness_type)
        if lacks and reason is None:
            msg = f"{cls.harness_type.__name__} has no {', '.join(lacks)}: offer it, or waive case {case.number}"
            raise LookupError(msg)
        others = [each for each in cls.cases() if each.number == case.number]
        return reason if lacks or not any(each.lacks(cls.harness_type) for each in others) else None

    @pytest.fixture(autouse=True)
    def _waivers_are_needed(self, request: pytest.FixtureRequest) -> None:
        case = Case.of(request.function)
        reason = self.waiver(case)
        if reason is None:
            return
        if case.lacks(self.harness_type):
            pytest.skip(f"waived: {reason}")
        request.applymarker(pytest.mark.xfail(reason=f"waived: {reason}", strict=True))

    @pytest.fixture
    def harness(self, server: Any, tmp_path: Path) -> Iterator[Harness]:
        """A place in the system, made for the test."""
        made: Any = self.harness_type
        with closing(made(server)) as harness:
            harness.directory = tmp_path
            yield harness

    @pytest.fixture
    def lab(self, tmp_path: Path) -> Iterator[Lab]:
        """Flows, and what they deliver; all of them are ended with the test."""
        yield Lab(tmp_path)
        Flow.kill_all()
