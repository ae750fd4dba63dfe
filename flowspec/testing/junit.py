"""Results of tests as JUnit XML, which CI systems read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from flowspec.errors import FlowError
from flowspec.testing.results import Result

__all__ = ["write_junit"]

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(file: Path, suites: Sequence[tuple[Path, Sequence[Result]]]) -> None:
    """Write the results of the tests of specs.

    Raises:
        FlowError: the file cannot be written.
    """
    root = ET.Element("testsuites", _totals([result for _, results in suites for result in results]))
    for spec, results in suites:
        suite = ET.SubElement(root, "testsuite", {"name": str(spec), **_totals(results)})
        for result in results:
            suite.append(_case(result))
    ET.indent(root)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")
    except OSError as error:
        msg = f"{file}: cannot be written: {error.strerror or error}"
        raise FlowError(msg) from error


def _totals(results: Sequence[Result]) -> dict[str, str]:
    return {
        "tests": str(len(results)),
        "failures": str(sum(result.failed for result in results)),
        "errors": "0",
        "skipped": "0",
        "time": f"{sum(result.seconds for result in results):.3f}",
    }


def _case(result: Result) -> ET.Element:
    case = result.case
    place = {"file": case.document.source, "line": str(case.line)}
    names = {"classname": case.spec.name, "name": _text(case.test.name)}
    element = ET.Element("testcase", {**names, **place, "time": f"{result.seconds:.3f}"})
    if result.failed:
        failure = ET.SubElement(element, "failure", {"message": f"not as expected: {case.place}", "type": "difference"})
        failure.text = _text("\n".join([*result.difference, *result.notes]))
    return element


def _text(text: str) -> str:
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
