"""The name of a flow alone, for commands that look at what it left behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import TypeAdapter, ValidationError

from flowspec.errors import FlowError
from flowspec.loading.files import read_text
from flowspec.loading.parsing import parse
from flowspec.loading.variables import VariableError, fill_in_text
from flowspec.spec import FlowSpec

__all__ = ["load_name"]


def load_name(file: Path) -> str:
    """The name of the flow of a spec file, whatever else is wrong with it, here and now.

    Raises:
        SpecError: the file cannot be read, or is neither JSON nor YAML.
        FlowError: it has no name that a flow can have.
    """
    document = parse(read_text(file), str(file)).value
    name = document.get("name") if isinstance(document, dict) else None
    try:
        if isinstance(name, str):
            name = fill_in_text(name, os.environ, file.parent)
        valid: str = TypeAdapter(Annotated[str, FlowSpec.model_fields["name"]]).validate_python(name)
    except VariableError as error:
        msg = f"{file}: name: {error}; {error.hint}"
        raise FlowError(msg) from error
    except ValidationError as error:
        msg = f"{file}: the flow has no name that could be looked for; `pipelines validate` says what is wrong"
        raise FlowError(msg) from error
    return valid
