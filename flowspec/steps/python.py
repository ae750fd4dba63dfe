"""The step that calls a function of the user's own."""

from __future__ import annotations

import importlib
import inspect
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from flowspec.errors import FlowError, RecordError
from flowspec.expressions.errors import nearest
from flowspec.expressions.fields import Written
from flowspec.steps.base import Step

if TYPE_CHECKING:
    from flowspec.records import Record
    from flowspec.steps.base import Transform

__all__ = ["Function", "Python"]

_FORM = "write 'module:function'"


class Function(Written):
    """A Python function, written `module:function`; from Python, the function itself.

    Raises:
        TypeError: it is no function.
        ValueError: it cannot be imported, or is not called with a body, or a body and the `record`.
    """

    _json_schema: ClassVar[dict[str, Any]] = {"type": "string", "pattern": r"^[\w.]+:[\w.]+$"}

    def __init__(self, spec: str | Callable[..., Any]) -> None:
        if isinstance(spec, str):
            self.call: Callable[..., Any] = _imported(spec)
            super().__init__(spec)
        elif callable(spec):
            self.call = spec
            module = getattr(spec, "__module__", "__main__")
            super().__init__(f"{module}:{getattr(spec, '__qualname__', repr(spec))}")
        else:
            msg = f"{spec!r} is not a function; {_FORM}"
            raise TypeError(msg)
        self.takes_record = _takes_record(self.call, self.spec)
        """Whether it is given the record as well, because it has a parameter of that name."""

    def exported(self) -> str:
        """The function as `module:function`.

        Raises:
            ValueError: it is a lambda, or was defined in a notebook or another function.
        """
        written: str = self.spec
        if "<" in written or written.startswith("__main__:"):
            msg = f"{written!r} has no name by which it can be imported; define it in a module"
            raise ValueError(msg)
        return written


class Python(Step):
    """Call a Python function with the body of each record.

    It answers the new body, None to drop the record, or a list of bodies for several records. A second parameter
    called `record` is given the record with its `meta`, `headers`, `key` and `external_id`.
    """

    kind = "python"
    batched: ClassVar[bool] = False

    python: Annotated[
        Function,
        Field(
            description="The function, as `module:function`; the module must be importable where the flow runs.",
            examples=["shop.orders:clean"],
        ),
    ]

    def build(self) -> Transform:
        """A body is put in place only when the function has answered for every record."""
        function = self.python

        def call_function(records: list[Record]) -> list[Record]:
            answers = [_called(function, record) for record in records]
            made: list[Record] = []
            for record, answer in zip(records, answers, strict=True):
                if isinstance(answer, list):
                    made.extend(record.derive(body) for body in answer)
                elif answer is not None:
                    record.body = answer
                    made.append(record)
            return made

        return call_function


def _called(function: Function, record: Record) -> Any:
    try:
        return function.call(record.body, record=record) if function.takes_record else function.call(record.body)
    except FlowError:
        raise
    except Exception as error:  # a user's function can raise anything
        msg = f"{function.spec}: {type(error).__name__}: {error}{_place(function, error)}"
        raise RecordError(msg) from error


def _place(function: Function, error: Exception) -> str:
    """The last line of the user's own file on the way to the error."""
    code = getattr(inspect.unwrap(function.call), "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)[1:]
    own = [frame for frame in frames if code is not None and frame.filename == code.co_filename] or frames
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""


def _imported(spec: str) -> Callable[..., Any]:
    module_name, _, path = spec.partition(":")
    if not module_name or not path:
        msg = f"{spec!r} is not a function; {_FORM}"
        raise ValueError(msg)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name + ".").startswith(error.name + "."):
            msg = f"there is no module {error.name!r}; it must be in a folder of PYTHONPATH"
        else:
            msg = f"module {module_name!r} needs a module {error.name!r}, which is not installed"
        raise ValueError(msg) from None
    except Exception as error:
        msg = f"module {module_name!r} cannot be imported: {type(error).__name__}: {error}"
        raise ValueError(msg) from error
    for name in path.split("."):
        owner, found = found, getattr(found, name, None)
        if found is None:
            known = [known for known, value in vars(owner).items() if callable(value) and not known.startswith("_")]
            meant = nearest(name, known)
            msg = f"module {module_name!r} has no function {path!r}" + (f"; did you mean {meant!r}?" if meant else "")
            raise ValueError(msg)
    if not callable(found):
        msg = f"{spec!r} is not a function but {type(found).__name__}"
        raise TypeError(msg)
    function: Callable[..., Any] = found
    return function


def _takes_record(function: Callable[..., Any], spec: str) -> bool:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions of C have none
        return False
    takes_record = "record" in list(signature.parameters)[1:]
    try:
        signature.bind(None, **({"record": None} if takes_record else {}))
    except TypeError as error:
        msg = f"{spec!r} must take a body, or a body and 'record': {error}"
        raise ValueError(msg) from None
    return takes_record
