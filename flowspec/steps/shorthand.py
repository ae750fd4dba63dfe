"""Parts of a spec that are written as one text where the defaults of the rest will do."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import GetJsonSchemaHandler, SerializerFunctionWrapHandler, model_serializer, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from flowspec.connectors import SpecModel
from flowspec.expressions.fields import Written

__all__ = ["Shorthand"]


class Shorthand(SpecModel):
    """A model that may be written as the value of its main field alone."""

    main: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _from_main(cls, value: Any) -> Any:
        if isinstance(value, (dict, cls)):
            return value
        written = cls.model_fields[cls.main].annotation
        if not (isinstance(written, type) and issubclass(written, Written)):
            msg = f"{cls.__name__}.{cls.main} is not an expression or template"
            raise TypeError(msg)
        return {cls.main: written.validated(value)}

    @model_serializer(mode="wrap")
    def _to_main(self, dump: SerializerFunctionWrapHandler) -> Any:
        fields = type(self).model_fields
        if all(name == self.main or getattr(self, name) == field.default for name, field in fields.items()):
            return getattr(self, self.main).exported()
        return dump(self)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        whole = handler(schema)
        main = handler.resolve_ref_schema(whole)["properties"][cls.main]
        short = {key: main[key] for key in ("type", "format", "examples") if key in main}
        return {"anyOf": [short, whole]}
