"""One line of the function and method tables."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

__all__ = ["Entry"]


@dataclass(frozen=True)
class Entry:
    """A function or method of the language: what the compiler calls and what the docs show."""

    call: Callable[..., Any]
    """Takes the arguments; of a method, the value before them."""
    signature: str
    """Parameters in Python's syntax, without a method's value; only those behind a `*` are given by name."""
    doc: str
    example: str
    result: Any
    """What the example gives."""
    on: str = ""
    """What a method is called on: `text`, `list`, `object`, `date`, ..."""
    constant: bool = True
    """Whether the same arguments always give the same result."""

    @cached_property
    def _parameters(self) -> ast.arguments:
        return cast("ast.Lambda", ast.parse(f"lambda {self.signature}: 0", mode="eval").body).args

    def mismatch(self, positional: int, keywords: Sequence[str]) -> str | None:
        """What is wrong with a call with that many arguments and those given by name."""
        parameters = self._parameters
        most = len(parameters.args)
        least = most - len(parameters.defaults)
        named = [argument.arg for argument in parameters.kwonlyargs]
        unknown = next((keyword for keyword in keywords if keyword not in named), None)
        if unknown is not None:
            return f"has no argument named {unknown!r}"
        if positional < least:
            return f"needs {least} argument{'s' * (least != 1)}, not {positional}"
        if positional > most and parameters.vararg is None:
            return f"takes at most {most} argument{'s' * (most != 1)}, not {positional}"
        return None
