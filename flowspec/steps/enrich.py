"""The step that looks something up for each record."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, SerializeAsAny

from flowspec.errors import FlowError, RecordError
from flowspec.lookups import MISSING, Key, Lookup
from flowspec.objects import made
from flowspec.steps.asking import Asker, AskingStep
from flowspec.steps.bodies import replaced
from flowspec.steps.cache import Cache

if TYPE_CHECKING:
    from flowspec.lookups import Finder
    from flowspec.records import Record
    from flowspec.steps.asking import Outcome

__all__ = ["Enrich", "Enriching"]

_UNKNOWN = object()


class Enrich(AskingStep):
    """Look something up in another system for each record, by a key, and put what is found into the body.

    The keys of a batch that are not remembered are looked up together. While the system cannot be reached the flow
    waits, and nothing is lost; with a `retry` as `on_error` the records are set aside instead.
    """

    kind = "enrich"
    contract = Lookup

    enrich: Annotated[
        SerializeAsAny[Lookup],
        made(Lookup),
        Field(
            description="Where it is looked up, by which key, and the field for what is found.",
            examples=[
                {
                    "connector": "sql",
                    "account": "crm",
                    "table": "customers",
                    "by": {"id": "customer_id"},
                    "columns": ["name", "tier"],
                    "into": "customer",
                },
                {
                    "connector": "http",
                    "account": "crm-api",
                    "url": "/customers/{quote(customer_id)}",
                    "into": "customer",
                    "missing": "null",
                },
            ],
        ),
    ]

    def build(self) -> Enriching:
        """Nothing is looked up before the first record."""
        return Enriching(self.enrich, self.enrich.open())


class Enriching(Asker):
    """Looks up what is not remembered, and hands it to the records."""

    def __init__(self, lookup: Lookup, finder: Finder, clock: Callable[[], float] = time.monotonic) -> None:
        """Look up by `finder`; `clock` tells the seconds by which things are forgotten."""
        self._lookup = lookup
        self._finder = finder
        self._path = lookup.into.split(".")
        self._options = lookup.cache
        self._cache: Cache[Any] | None = None if lookup.cache is None else Cache(lookup.cache.entries, clock)

    def ask(self, records: Sequence[Record]) -> Sequence[Outcome]:
        """Each record with what was found for its key."""
        keys = self._lookup.keys(records)
        found = self._found(dict.fromkeys(key for key in keys if not (key is None or isinstance(key, RecordError))))
        found[None] = MISSING
        return [
            key if isinstance(key, RecordError) else self._outcome(record, key, found[key])
            for record, key in zip(records, keys, strict=True)
        ]

    def close(self) -> None:
        """Close the connections."""
        self._finder.close()

    def _found(self, keys: dict[Key, None]) -> dict[Key, Any]:
        """What there is for each of the keys."""
        if self._cache is None:
            return self._looked_up(list(keys))
        found: dict[Key, Any] = {}
        for key in keys:
            if (value := self._cache.get(key, _UNKNOWN)) is not _UNKNOWN:
                found[key] = value
        return found | self._looked_up([key for key in keys if key not in found])

    def _looked_up(self, keys: Sequence[Key]) -> dict[Key, Any]:
        if not keys:
            return {}
        try:
            values = self._finder.find(keys)
        except FlowError as error:
            return dict.fromkeys(keys, error)
        found = dict(zip(keys, values, strict=True))
        if self._cache is not None and self._options is not None:
            for key, value in found.items():
                if not isinstance(value, FlowError):
                    seconds = self._options.missing_ttl if value is MISSING else self._options.ttl
                    self._cache.put(key, value, seconds)
        return found

    def _outcome(self, record: Record, key: Key, value: Any) -> Outcome:
        if isinstance(value, FlowError):
            return value
        if value is MISSING:
            if self._lookup.missing == "fail":
                return RecordError("the key is null" if key is None else self._lookup.absence(key))
            if self._lookup.missing == "drop":
                return None
            value = self._lookup.nothing
        try:
            record.body = replaced(record.body, self._path, _own(value))
        except RecordError as error:
            return error
        return record


def _own(value: Any) -> Any:
    """A copy for one record: a function of a later step may change it, and others have the same."""
    if isinstance(value, dict):
        return {name: _own(item) for name, item in value.items()}
    return [_own(item) for item in value] if isinstance(value, list) else value
