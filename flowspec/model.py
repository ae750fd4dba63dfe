"""The base of every model of the spec."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["SpecModel"]


class SpecModel(BaseModel):
    """Base of every model of the spec: unknown keys are mistakes, and a loaded spec never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
