"""No test lets out a secret that the accounts of the tests have: whatever it leaves behind is searched for them.

That is what was said (output and log of the test, of the commands that it called, and of the processes that it waited
for), the messages of errors, and the files below its `tmp_path`: logs, output, status, and the state of flows, with
journal, dead letters and cursors. Specs and accounts are left out, and what the marker `plants` names.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Generator, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import CliRunner

from flowspec.errors import FlowError
from tests.secrets import GIVEN, leaks, leaks_in, masked

__all__ = ["listening", "pytest_configure", "pytest_runtest_makereport", "searched_directory"]

_MARKER = "plants(*names): files below tmp_path, by patterns of names, that the test itself puts secrets into"
_Said: TypeAlias = "Callable[[tuple[Any, ...], Any], tuple[str | bytes | None, ...]]"

_found: list[str] = []
"""What the test that runs has let out so far."""

_SAYING: tuple[tuple[type, str, _Said], ...] = (
    (FlowError, "__init__", lambda given, _: (str(given[1:]),)),
    (CliRunner, "invoke", lambda _, result: (result.output, repr(result.exception))),
    (subprocess.Popen, "communicate", lambda _, output: output),
    (pytest.CaptureFixture, "readouterr", lambda _, output: output),
)
"""What does not come to the captured output: errors, and what was said to one who asked for it."""


def pytest_configure(config: pytest.Config) -> None:
    """Have the marker known."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture(name="tmp_path")
def searched_directory(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The directory of a test, searched when all that the test has there is closed."""
    yield tmp_path
    planted = [name for marker in request.node.iter_markers("plants") for name in marker.args]
    _found.extend(leaks(tmp_path, (*GIVEN, *planted)))


@pytest.fixture(scope="session", autouse=True)
def listening() -> Iterator[None]:
    """What is said to one who asks for it is searched as well."""
    with pytest.MonkeyPatch.context() as patched:
        for owner, name, said in _SAYING:
            patched.setattr(owner, name, _overheard(getattr(owner, name), f"{owner.__name__}.{name}", said))
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test, at its end, that has let out secrets."""
    report = yield
    if call.when == "teardown":
        found = [*_found, *(f"{name}: {leak}" for name, content in report.sections for leak in leaks_in(content))]
        _found.clear()
        if found:
            told = "\n".join(["the test has let out secrets:", *dict.fromkeys(found)])
            report.longrepr = told if report.passed else f"{report.longreprtext}\n{told}"
            report.outcome = "failed"
    if report.failed:
        report.sections = [(name, masked(content)) for name, content in report.sections]
    return report


def _overheard(method: Callable[..., Any], name: str, said: _Said) -> Callable[..., Any]:
    @wraps(method)
    def overheard(*args: Any, **kwargs: Any) -> Any:
        answer = method(*args, **kwargs)
        _found.extend(f"{name}: {leak}" for text in said(args, answer) if text for leak in leaks_in(text))
        return answer

    return overheard
