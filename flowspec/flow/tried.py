"""Records that are given to a flow, and what is expected of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from flowspec.loading.document import Document
from flowspec.loading.messages import described
from flowspec.loading.problems import SpecError
from flowspec.testing.checks import mistakes
from flowspec.testing.comparing import difference, expected_of, seen_of
from flowspec.testing.model import SpecTest
from flowspec.testing.running import run_test

if TYPE_CHECKING:
    from flowspec.spec import FlowSpec
    from flowspec.testing.running import Outcome

__all__ = ["tried"]


def tried(
    spec: FlowSpec,
    given: Sequence[Any],
    expect: dict[str, Any] | None,
    answers: Mapping[str, Any] | None = None,
    joined: Mapping[str, Sequence[Any]] | None = None,
) -> Outcome:
    """Run records through a flow, without its systems.

    Raises:
        AssertionError: something else than what is expected came out, with the difference.
        SpecError: what is given or expected is not written right, or does not go with the flow.
    """
    beside = {"joined": {name: list(records) for name, records in (joined or {}).items()}, "answers": answers or {}}
    written = {"name": spec.name, "given": list(given), **beside, "expect": expect or {}}
    document = Document("test", written, {}, {})
    try:
        test = SpecTest.model_validate(written)
    except ValidationError as error:
        found = described(error, written, SpecTest, lambda _: False)
        raise SpecError(document.problem(each.path, each.message, each.hint) for each in found) from None
    if problems := list(mistakes(spec, test, document, 0)):
        raise SpecError(problems)
    outcome = run_test(spec, test)
    if expect is not None and (lines := difference(expected_of(test.expect), seen_of(outcome, test.expect))):
        raise AssertionError("\n".join(lines + [f"dead letter: {letter}" for letter in outcome.dead_letters]))
    return outcome
