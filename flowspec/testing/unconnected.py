"""Loading a flow that is not to reach its systems: neither accounts nor the variables of its ends need be there."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from pydantic import ConfigDict, ValidationError, create_model

from flowspec.connectors import Action, Trigger
from flowspec.loading.document import Document, texts, with_value
from flowspec.loading.models import build
from flowspec.loading.parts import parts_of
from flowspec.loading.placing import put_accounts
from flowspec.loading.variables import VariableError, fill_in, fill_in_text
from flowspec.lookups import Asked
from flowspec.model import SpecModel
from flowspec.objects import model_of
from flowspec.spec import FlowSpec

__all__ = ["load_unconnected"]

_NEEDED = ("connector", "event", "action", "id", "external_id", "batch_size", "format")
"""What of an end does not depend on its system."""
_IRRELEVANT = ("tests", "dead_letters")
_NO_ACCOUNT = "none"
"""The name of an account that nobody asks for."""


class _Needed(SpecModel):
    """Base of what is kept of an end."""

    model_config = ConfigDict(extra="ignore")


def load_unconnected(document: Document, folder: FilePath, environ: Mapping[str, str]) -> FlowSpec:
    """Make the flow of a spec's document.

    Accounts stay names, and those of steps are none. A variable of the trigger or of a sink that is not set, where it
    does not matter to what the flow does, is no problem: such an end has only what does not depend on its system.

    Args:
        document: The spec as it is written.
        folder: Where its file is: functions of `python` steps are found there, and files that it names.
        environ: The variables for `${NAME}`.

    Raises:
        SpecError: with everything that is wrong.
    """
    if (path := str(folder.resolve())) not in sys.path:
        sys.path.insert(0, path)
    if not isinstance(document.value, dict):
        return build(document)
    value = {key: each for key, each in document.value.items() if key not in _IRRELEVANT}
    open_ends = {
        end: contract
        for end, contract in parts_of(value)
        if contract in (Trigger, Action) and _lacks_a_variable(document.at(end), folder, environ)
    }
    for end in open_ends:
        needed = {key: each for key, each in document.at(end).items() if key in _NEEDED}
        value = with_value(value, end, needed)
    for place, contract in parts_of(value):
        # What a step asks for is answered by the test.
        if issubclass(contract, Asked) and "account" in document.at(place):
            value = with_value(value, (*place, "account"), _NO_ACCOUNT)
    document = fill_in(document.followed_by([], value), environ, folder)
    for end, contract in open_ends.items():
        document = document.followed_by([], with_value(document.value, end, _open_end(contract, document.at(end))))
    return build(put_accounts(document, None))


def _lacks_a_variable(end: dict[str, Any], folder: FilePath, environ: Mapping[str, str]) -> bool:
    """Whether something of an end that only its system needs cannot be known."""
    for _, text in texts({key: each for key, each in end.items() if key not in _NEEDED}):
        try:
            fill_in_text(text, environ, folder)
        except VariableError:
            return True
    return False


def _open_end(contract: type[SpecModel], written: dict[str, Any]) -> Any:
    """The trigger or action with what is needed of it; what is written, where that is wrong: building it says why."""
    try:
        model = model_of(contract, written)
        fields: dict[str, Any] = {
            name: (field.annotation, field) for name, field in model.model_fields.items() if name in _NEEDED
        }
        needed = create_model(model.__name__, __base__=_Needed, **fields).model_validate(written)
    except ValidationError:
        return written
    return model.model_construct(**{name: getattr(needed, name) for name in fields})
