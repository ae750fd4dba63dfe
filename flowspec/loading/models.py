"""The last phase of loading: the models of a document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pydantic import ValidationError

from flowspec.connectors import Action
from flowspec.loading.document import Document
from flowspec.loading.messages import described
from flowspec.loading.parts import parts_of
from flowspec.loading.problems import Path, Problem, SpecError
from flowspec.spec import FlowSpec, repeated_ids
from flowspec.steps.base import Step

__all__ = ["build"]


def build(document: Document) -> FlowSpec:
    """Make the flow of a document.

    Raises:
        SpecError: with all problems of this phase and of those before it.
    """
    document = _with_distinct_ids(document)
    spec, problems = _flow(document)
    if spec is None or document.problems or problems:
        raise SpecError([*document.problems, *problems])
    return spec


def _flow(document: Document) -> tuple[FlowSpec | None, list[Problem]]:
    if document.value is None:
        return None, [
            Problem(document.source, "", 1, 1, "the file is empty", "a flow has at least name, trigger and sink")
        ]
    try:
        return FlowSpec.model_validate(document.value), []
    except ValidationError as error:
        found = described(error, document.value, FlowSpec, lambda path: _hidden(document, path))
        return None, [
            document.problem(each.path, each.message, each.hint, at_key=each.of_key)
            for each in found
            if each.of_key or not document.is_reported(each.path)
        ]


def _hidden(document: Document, path: Path) -> bool:
    """Whether a value came from a variable, itself or in part, or belongs to an account."""
    accounts = [(*part, "account") for part, _ in parts_of(document.value)] if "account" in path else []
    return any(path[: len(account)] == account for account in accounts) or any(
        variable[: len(path)] == path for variable in document.variables
    )


def _with_distinct_ids(document: Document) -> Document:
    """Pydantic compares ids when all else is right; a person wants to know at once."""
    ids = list(_ids(document))
    hint = "steps and sinks need ids of their own"
    repeated = [ids[place] for place in repeated_ids([written for _, written in ids])]
    problems = [document.problem(path, f"the id {written!r} is used twice", hint) for path, written in repeated]
    return replace(document, problems=(*document.problems, *problems))


def _ids(document: Document) -> Iterator[tuple[Path, str]]:
    """The ids of steps and sinks that are written in a document, with their paths."""
    for path, contract in parts_of(document.value):
        written = document.at(path).get("id") if contract in (Step, Action) and path != ("dead_letters",) else None
        if isinstance(written, str):
            yield (*path, "id"), written
