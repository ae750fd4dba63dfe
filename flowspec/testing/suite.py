"""Finding the tests of a spec, with their places."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from flowspec.errors import FlowError
from flowspec.loading.document import Document
from flowspec.loading.files import read_text
from flowspec.loading.messages import described
from flowspec.loading.parsing import parse
from flowspec.loading.problems import Problem, SpecError
from flowspec.model import SpecModel
from flowspec.spec import FlowSpec
from flowspec.testing.checks import mistakes
from flowspec.testing.model import SpecTest
from flowspec.testing.unconnected import load_unconnected

__all__ = ["Case", "Suite", "file_of_tests", "find_specs", "load_suites"]

_SUFFIXES = (".json", ".yaml", ".yml")


class _Section(SpecModel):
    """What a file of tests, or the section of a spec, is read as."""

    tests: Annotated[list[SpecTest], Field(description="The tests.")]


@dataclass(frozen=True)
class Case:
    """A test with the flow that it is of, and its place."""

    spec: FlowSpec
    test: SpecTest
    document: Document
    """What it stands in, below `tests`."""
    index: int

    @property
    def place(self) -> str:
        """File and line, for people."""
        return f"{self.document.source}:{self.line}"

    @property
    def line(self) -> int:
        """The line where it begins."""
        return self.document.values["tests", self.index].line


@dataclass
class Suite:
    """The tests of a spec."""

    path: Path
    """The spec."""
    cases: list[Case] = field(default_factory=list)


def file_of_tests(spec: Path) -> Path:
    """The file beside a spec that tests are added to."""
    return spec.with_name(f"{spec.stem}.test.json")


def find_specs(path: Path) -> list[Path]:
    """The spec itself, or of a folder all specs in and below it that have tests.

    Raises:
        FlowError: there is nothing to be tested, or tests are of no spec.
    """
    if not path.is_dir():
        if _is_tests_file(path):
            msg = f"{path} has tests; name the spec that they are of"
            raise FlowError(msg)
        return [path]
    files = sorted(each for each in path.rglob("*") if each.suffix in _SUFFIXES and not _is_hidden(each, path))
    specs = [each for each in files if not _is_tests_file(each) and (_files_beside(each) or _has_section(each))]
    beside = {file for spec in specs for file in _files_beside(spec)}
    for orphan in (each for each in files if _is_tests_file(each) and each not in beside):
        msg = f"{orphan}: there is no spec beside it that it could be of; name it like the spec, with '.test' behind"
        raise FlowError(msg)
    if not specs:
        msg = f"{path}: no spec in this folder has tests; write them in a file like orders.test.json beside orders.json"
        raise FlowError(msg)
    return specs


def load_suites(specs: Iterable[Path]) -> list[Suite]:
    """The tests of specs.

    Raises:
        SpecError: with everything that is wrong with specs and tests.
    """
    suites: list[Suite] = []
    problems: list[Problem] = []
    for spec in specs:
        try:
            suites.append(_load(spec))
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems)
    return suites


def _load(path: Path) -> Suite:
    document = _parsed(path)
    sections = [_shifted(_parsed(file)) for file in _files_beside(path)]
    if isinstance(document.value, dict) and "tests" in document.value:
        sections.insert(0, document.followed_by([], {"tests": document.value["tests"]}))
    suite = Suite(path)
    problems: list[Problem] = []
    flows: dict[tuple[tuple[str, str], ...], FlowSpec] = {}
    for section in sections:
        for index, test in enumerate(_built(section)):
            environment = tuple(sorted(test.environment.items()))
            if environment not in flows:
                flows[environment] = load_unconnected(document, path.parent, {**os.environ, **test.environment})
            case = Case(flows[environment], test, section, index)
            problems += mistakes(case.spec, test, section, index)
            suite.cases.append(case)
    if not (problems or suite.cases):
        message, hint = "the spec has no tests", f"write them in {file_of_tests(path)}, or in a section 'tests'"
        problems.append(Problem(str(path), "", 0, 0, message, hint))
    if problems:
        raise SpecError(problems)
    return suite


def _built(section: Document) -> list[SpecTest]:
    try:
        tests = _Section.model_validate(section.value).tests
    except ValidationError as error:
        found = described(error, section.value, _Section, lambda _: False)
        problems = [section.problem(each.path, each.message, each.hint, at_key=each.of_key) for each in found]
        raise SpecError([*section.problems, *problems]) from None
    if section.problems:
        raise SpecError(section.problems)
    return tests


def _shifted(document: Document) -> Document:
    """A list of tests, as if it were the section of a spec."""
    keys = {("tests", *path): place for path, place in document.keys.items()}
    values = {("tests", *path): place for path, place in document.values.items()}
    return Document(document.source, {"tests": document.value}, keys, values, problems=document.problems)


def _parsed(path: Path) -> Document:
    return parse(read_text(path), str(path))


def _files_beside(spec: Path) -> list[Path]:
    files = [spec.with_name(f"{spec.stem}.test{suffix}") for suffix in _SUFFIXES]
    return [file for file in files if file.is_file()]


def _is_tests_file(path: Path) -> bool:
    return path.stem.endswith(".test") and path.suffix in _SUFFIXES


def _is_hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)


def _has_section(path: Path) -> bool:
    """Whether a file is a spec with a section of tests; a folder may have other files of JSON and YAML."""
    text = read_text(path)
    if "tests" not in text or "trigger" not in text:
        return False
    value: Any = _parsed(path).value
    return isinstance(value, dict) and {"tests", "trigger"} <= value.keys()
