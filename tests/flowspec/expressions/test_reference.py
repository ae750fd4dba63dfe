from __future__ import annotations

import json
import re
from pathlib import Path

from flowspec import expressions
from flowspec.expressions import Expression
from flowspec.expressions.reference import BEGIN, END, tables

PAGE = Path(__file__).parents[3] / "docs" / "expressions.md"


def test_the_page_has_the_tables_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0].strip() == tables()


def test_the_expressions_of_the_page_are_expressions() -> None:
    blocks = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        for step in json.loads(block)["steps"]:
            for value in step.values():
                for source in value.values() if isinstance(value, dict) else [value]:
                    Expression(source)


def test_public_names_are_sorted() -> None:
    assert expressions.__all__ == sorted(expressions.__all__)
    assert all(hasattr(expressions, name) for name in expressions.__all__)
