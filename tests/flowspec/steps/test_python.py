from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flowspec.errors import FatalError
from flowspec.steps.python import Python
from tests.flowspec.steps.run import fail, run

MODULE = """\
from flowspec.errors import FatalError, RecordError

VALUE = 5


def clean(body):
    return {"id": body["id"] * 2}


def choose(body):
    return None if body == 0 else [body] * body


def numbered(body, record):
    return {**body, "n": record.meta["n"]}


def parse(body):
    return int(
        helper(body)
    )


def helper(body):
    return body["text"]


def refuse(body):
    raise RecordError("not today")


def stop(body):
    raise FatalError("never")


def two(body, other):
    return body


class Shop:
    @staticmethod
    def clean(body):
        return "cleaned"
"""


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "shop_orders.py"
    path.write_text(MODULE)
    (tmp_path / "shop_broken.py").write_text("1 / 0\n")
    (tmp_path / "shop_needy.py").write_text("import not_installed_at_all\n")
    yield path
    for name in ("shop_orders", "shop_broken", "shop_needy"):
        sys.modules.pop(name, None)


def step(function: Any) -> Python:
    return Python.model_validate({"python": function})


def test_a_body_none_or_a_list() -> None:
    assert run(step("shop_orders:clean"), {"id": 1}, {"id": 2}) == [{"id": 2}, {"id": 4}]
    assert run(step("shop_orders:choose"), 0, 1, 2) == [1, 2, 2]
    assert run(step("shop_orders:Shop.clean"), 1) == ["cleaned"]


def test_the_record_as_second_parameter() -> None:
    assert run(step("shop_orders:numbered"), {}, {"a": 1}) == [{"n": 0}, {"a": 1, "n": 1}]


def test_functions_without_a_signature() -> None:
    assert run(step("builtins:dict"), [(1, 2)]) == [{1: 2}]


def test_an_exception_shows_the_line_of_the_users_file(shop: Path) -> None:
    message = fail(step("shop_orders:parse"), {"text": "1"}, {"text": "x"})
    line = MODULE.splitlines().index("    return int(") + 1
    assert message == (
        f"shop_orders:parse: ValueError: invalid literal for int() with base 10: 'x' ({shop}, line {line})"
    )
    assert fail(step("shop_orders:parse"), {}).endswith(f"KeyError: 'text' ({shop}, line {line + 6})")


def test_errors_of_a_flow_are_passed_on() -> None:
    assert fail(step("shop_orders:refuse"), 1) == "not today"
    with pytest.raises(FatalError, match="never"):
        run(step("shop_orders:stop"), 1)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("shop_orders", "'shop_orders' is not a function; write 'module:function'"),
        ("shop_ordres:clean", "there is no module 'shop_ordres'; it must be in a folder of PYTHONPATH"),
        ("shop_orders:claen", "module 'shop_orders' has no function 'claen'; did you mean 'clean'?"),
        ("shop_orders:VALUE", "'shop_orders:VALUE' is not a function but int"),
        ("shop_orders:two", "'shop_orders:two' must take a body, or a body and 'record': missing a required argument"),
        ("shop_broken:f", "module 'shop_broken' cannot be imported: ZeroDivisionError: division by zero"),
        ("shop_needy:f", "module 'shop_needy' needs a module 'not_installed_at_all', which is not installed"),
        (5, "5 is not a function; write 'module:function'"),
    ],
)
def test_mistakes_are_found_when_the_spec_is_read(function: Any, message: str) -> None:
    with pytest.raises(ValidationError) as error:
        step(function)
    (line,) = error.value.errors()
    assert line["loc"] == ("python",)
    assert line["msg"].startswith(message)


def of_this_module(body: Any) -> Any:
    return [body, body]


def test_a_function_itself_is_exported_by_its_name() -> None:
    made = step(of_this_module)
    assert run(made, 1) == [1, 1]
    spec = made.model_dump(exclude_defaults=True)
    assert spec == {"python": f"{__name__}:of_this_module"}
    assert Python.model_validate(spec) == made


def test_a_function_that_has_no_name_cannot_be_exported() -> None:
    made = step(lambda body: body + 1)
    assert run(made, 1) == [2]
    with pytest.raises(ValueError, match="has no name by which it can be imported"):
        made.model_dump()
