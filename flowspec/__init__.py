"""The language of trigger flows: specs, expressions, steps, and the contracts of triggers and actions."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowspec.compiler import compile_flow
    from flowspec.connectors import Account, Action, Reader, StreamTrigger, Trigger, WorkerContext, Writer
    from flowspec.errors import FatalError, FlowError, RecordError, TransientError
    from flowspec.flow import Flow
    from flowspec.loading import Problem, SpecError, load, loads
    from flowspec.records import Failure, Record
    from flowspec.registry import register
    from flowspec.schema import json_schema
    from flowspec.spec import FlowSpec
    from flowspec.steps.base import Step

__all__ = [
    "Account",
    "Action",
    "Failure",
    "FatalError",
    "Flow",
    "FlowError",
    "FlowSpec",
    "Problem",
    "Reader",
    "Record",
    "RecordError",
    "SpecError",
    "Step",
    "StreamTrigger",
    "TransientError",
    "Trigger",
    "WorkerContext",
    "Writer",
    "compile_flow",
    "json_schema",
    "load",
    "loads",
    "register",
]

_MODULES = {
    "flowspec.compiler": ["compile_flow"],
    "flowspec.connectors": ["Account", "Action", "Reader", "StreamTrigger", "Trigger", "WorkerContext", "Writer"],
    "flowspec.errors": ["FatalError", "FlowError", "RecordError", "TransientError"],
    "flowspec.flow": ["Flow"],
    "flowspec.loading": ["Problem", "SpecError", "load", "loads"],
    "flowspec.records": ["Failure", "Record"],
    "flowspec.registry": ["register"],
    "flowspec.schema": ["json_schema"],
    "flowspec.spec": ["FlowSpec"],
    "flowspec.steps.base": ["Step"],
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import what is asked for: a program that compiles no flow loads no Bytewax."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
