"""What makes a class that is written as text in a spec a type of pydantic fields."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from typing_extensions import Self

__all__ = ["Written"]


class Written:
    """Something that is known by what is written in a spec: equal, hashed, pickled and serialised by it."""

    _json_schema: ClassVar[dict[str, Any]]

    def __init__(self, spec: Any) -> None:
        self.spec = spec
        """What is written in the spec."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return type(self.spec) is type(other.spec) and bool(self.spec == other.spec)

    def __hash__(self) -> int:
        return hash((type(self), self.spec))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.spec!r})"

    def __reduce__(self) -> tuple[type[Self], tuple[Any]]:
        return type(self), (self.spec,)

    @classmethod
    def validated(cls, value: Any) -> Self:
        """What `value`, from a spec or from Python, stands for, with the error that pydantic shows as it is."""
        if isinstance(value, cls):
            return value
        try:
            return cls(value)
        except (TypeError, ValueError) as error:
            kind = f"{cls.__name__.lower()}_error"
            raise PydanticCustomError(kind, "{message}", {"message": str(error)}) from None

    def exported(self) -> Any:
        """What is written in a spec that is made of it."""
        return self.spec

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.validated,
            serialization=core_schema.plain_serializer_function_ser_schema(cls.exported),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return dict(cls._json_schema)
