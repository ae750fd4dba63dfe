"""Loading a flow that is not to reach its systems: neither accounts nor the variables of its ends need be there."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

from pydantic import ConfigDict, ValidationError, create_model

from flowspec.connectors import Action, Trigger
from flowspec.loading.document import Document, texts, with_value
from flowspec.loading.models import build
from flowspec.loading.placing import put_accounts
from flowspec.loading.problems import Path
from flowspec.loading.variables import VariableError, fill_in, fill_in_text
from flowspec.model import SpecModel
from flowspec.spec import FlowSpec, model_of

__all__ = ["load_unconnected"]

_NEEDED = ("connector", "event", "action", "id", "external_id", "batch_size", "format")
"""What of an end does not depend on its system."""
_IRRELEVANT = ("tests", "dead_letters")


class _Needed(SpecModel):
    """Base of what is kept of an end."""

    model_config = ConfigDict(extra="ignore")


def load_unconnected(document: Document, folder: FilePath, environ: Mapping[str, str]) -> FlowSpec:
    """Make the flow of a spec's document.

    Accounts stay names. A variable of the trigger or of a sink that is not set, where it does not matter to what the
    flow does, is no problem: such an end has only what does not depend on its system.

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
    open_ends = [end for end in _ends(value) if _lacks_a_variable(document.at(end), folder, environ)]
    for end in open_ends:
        needed = {key: each for key, each in document.at(end).items() if key in _NEEDED}
        value = with_value(value, end, needed)
    document = fill_in(document.followed_by([], value), environ, folder)
    for end in open_ends:
        document = document.followed_by([], with_value(document.value, end, _open_end(end, document.at(end))))
    return build(put_accounts(document, None))


def _ends(value: dict[str, Any]) -> Iterator[Path]:
    sinks = value.get("sinks")
    ends: dict[Path, Any] = {(name,): value.get(name) for name in ("trigger", "sink")}
    ends |= {("sinks", place): sink for place, sink in enumerate(sinks if isinstance(sinks, list) else [])}
    return (path for path, end in ends.items() if isinstance(end, dict))


def _lacks_a_variable(end: dict[str, Any], folder: FilePath, environ: Mapping[str, str]) -> bool:
    """Whether something of an end that only its system needs cannot be known."""
    for _, text in texts({key: each for key, each in end.items() if key not in _NEEDED}):
        try:
            fill_in_text(text, environ, folder)
        except VariableError:
            return True
    return False


def _open_end(path: Path, written: dict[str, Any]) -> Any:
    """The trigger or action with what is needed of it; what is written, where that is wrong: building it says why."""
    try:
        model = model_of(Trigger if path == ("trigger",) else Action, written)
        fields: dict[str, Any] = {
            name: (field.annotation, field) for name, field in model.model_fields.items() if name in _NEEDED
        }
        needed = create_model(model.__name__, __base__=_Needed, **fields).model_validate(written)
    except ValidationError:
        return written
    return model.model_construct(**{name: getattr(needed, name) for name in fields})
