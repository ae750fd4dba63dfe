"""The registry: which triggers, actions and steps there are, and the classes behind their names.

Packages announce them as entry points, ours and third parties' alike: `trigger_flows.triggers` and
`trigger_flows.actions` by `connector.event` and `connector.action`, `trigger_flows.steps` by kind, and what the steps
`enrich` and `call` ask, `trigger_flows.lookups` and `trigger_flows.calls`, by connector. A class is imported when it is
asked for. `register` does the same for a class of a notebook, test or benchmark.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, Literal, TypeAlias, TypeVar, cast, get_args

from flowspec.connectors import Account, Action, Trigger
from flowspec.errors import FlowError
from flowspec.expressions.errors import nearest
from flowspec.lookups import Asked, Call, Lookup
from flowspec.steps.base import Step

__all__ = [
    "Connector",
    "RegistryError",
    "account_model",
    "action",
    "actions",
    "call",
    "calls",
    "connectors",
    "lookup",
    "lookups",
    "register",
    "step",
    "steps",
    "trigger",
    "triggers",
]

Named: TypeAlias = "type[Trigger] | type[Action] | type[Step] | type[Lookup] | type[Call]"
Part = TypeVar("Part", Trigger, Action, Step, Lookup, Call)
Registered = TypeVar("Registered", bound=Named)


class RegistryError(FlowError, LookupError):
    """A name that nothing is registered for, or whose class cannot be loaded.

    Args:
        what: What is wrong.
        hint: What to do about it.
        key: The key of a spec that the name is the value of.
    """

    def __init__(self, what: str, hint: str, key: Literal["connector", "event", "action", "step"]) -> None:
        super().__init__(f"{what}; {hint}")
        self.key = key


@dataclass(frozen=True)
class Connector:
    """A system that flows can talk to, with everything that is installed for it."""

    name: str
    summary: str
    """What it is, in a line."""
    triggers: tuple[type[Trigger], ...]
    actions: tuple[type[Action], ...]
    account: type[Account] | None
    """The model of its accounts; None where it needs none."""
    errors: tuple[str, ...] = ()
    """Why a trigger or action of it cannot be loaded."""


class _Shelf(Generic[Part]):
    """The classes of one sort by their names."""

    def __init__(self, sort: str) -> None:
        self.sort = sort
        self.registered: dict[str, type[Part]] = {}

    def names(self) -> list[str]:
        return sorted({*_installed(self.sort), *self.registered})

    def load(self, name: str, key: Literal["connector", "event", "action", "step"]) -> type[Part]:
        """The class called `name`, which is one of `names()`."""
        if name in self.registered:
            return self.registered[name]
        entry = _installed(self.sort)[name]
        try:
            return cast("type[Part]", entry.load())
        except Exception as error:
            what = f"{self.sort} {name!r} cannot be loaded: {type(error).__name__}: {error}"
            hint = f"repair or remove the package that offers {entry.value!r}"
            raise RegistryError(what, hint, key) from error

    def of(self, connector: str) -> list[str]:
        """What `connector` offers."""
        return [name.partition(".")[2] for name in self.names() if name.partition(".")[0] == connector]


_triggers: _Shelf[Trigger] = _Shelf("trigger")
_actions: _Shelf[Action] = _Shelf("action")
_steps: _Shelf[Step] = _Shelf("step")
_lookups: _Shelf[Lookup] = _Shelf("lookup")
_calls: _Shelf[Call] = _Shelf("call")


@cache
def _installed(sort: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=f"trigger_flows.{sort}s")}


def register(cls: Registered) -> Registered:
    """Make a trigger, action, step, lookup or call known without an entry point, in place of one with its name.

    Raises:
        TypeError: it is none of them.
    """
    if not isinstance(cls, type) or not issubclass(cls, (Trigger, Action, Step, Lookup, Call)):
        msg = f"{cls!r} is not a trigger, action or step, nor a lookup or call"
        raise TypeError(msg)
    if issubclass(cls, Trigger):
        _triggers.registered[f"{_default(cls, 'connector')}.{_default(cls, 'event')}"] = cls
    elif issubclass(cls, Action):
        _actions.registered[f"{_default(cls, 'connector')}.{_default(cls, 'action')}"] = cls
    elif issubclass(cls, Step):
        _steps.registered[cls.kind] = cls
    elif issubclass(cls, Lookup):
        _lookups.registered[_default(cls, "connector")] = cls
    else:
        _calls.registered[_default(cls, "connector")] = cls
    return cls


def triggers() -> list[str]:
    """The names of all triggers, as `connector.event`."""
    return _triggers.names()


def actions() -> list[str]:
    """The names of all actions, as `connector.action`."""
    return _actions.names()


def steps() -> list[str]:
    """The kinds of all steps."""
    return _steps.names()


def lookups() -> list[str]:
    """The connectors that `enrich` can ask."""
    return _lookups.names()


def calls() -> list[str]:
    """The connectors that `call` can ask."""
    return _calls.names()


def trigger(connector: str, event: str | None = None) -> type[Trigger]:
    """The trigger of a connector; `event` may be left out where the connector has just one.

    Raises:
        RegistryError: there is none, or its module cannot be imported.
    """
    return _of_connector(_triggers, "event", connector, event)


def action(connector: str, action: str | None = None) -> type[Action]:
    """The action of a connector; `action` may be left out where the connector has just one.

    Raises:
        RegistryError: there is none, or its module cannot be imported.
    """
    return _of_connector(_actions, "action", connector, action)


def step(kind: str) -> type[Step]:
    """The step of a kind.

    Raises:
        RegistryError: there is none, or its module cannot be imported.
    """
    kinds = _steps.names()
    if kind not in kinds:
        what = f"unknown step {kind!r}"
        raise RegistryError(what, _meant(kind, kinds, "steps"), "step")
    return _steps.load(kind, "step")


def lookup(connector: str) -> type[Lookup]:
    """What `enrich` asks a connector.

    Raises:
        RegistryError: nothing can be looked up there, or its module cannot be imported.
    """
    return _asked(_lookups, "enrich", connector)


def call(connector: str) -> type[Call]:
    """What `call` asks a connector.

    Raises:
        RegistryError: it takes no calls, or its module cannot be imported.
    """
    return _asked(_calls, "call", connector)


def connectors() -> list[Connector]:
    """All connectors that are installed, by name."""
    names = sorted({name.partition(".")[0] for name in (*_triggers.names(), *_actions.names())})
    return [_connector(name) for name in names]


def account_model(part: type[Trigger] | type[Action] | type[Asked]) -> type[Account] | None:
    """The model of the accounts that a trigger, action, lookup or call uses."""
    annotation = part.model_fields["account"].annotation
    options = get_args(annotation) or (annotation,)
    return next((option for option in options if isinstance(option, type) and issubclass(option, Account)), None)


def _of_connector(shelf: _Shelf[Part], key: Literal["event", "action"], connector: str, name: str | None) -> type[Part]:
    offered = shelf.of(connector)
    if not offered:
        other = (_triggers if key == "action" else _actions).of(connector)
        what = f"connector {connector!r} has no {shelf.sort}" if other else f"unknown connector {connector!r}"
        known = sorted({each.partition(".")[0] for each in shelf.names()})
        raise RegistryError(what, _meant(connector, known, f"connectors with {shelf.sort}s"), "connector")
    if name is None and len(offered) > 1:
        what = f"connector {connector!r} has several {key}s"
        raise RegistryError(what, f"add {key!r}, one of {', '.join(offered)}", key)
    name = offered[0] if name is None else name
    if name not in offered:
        what = f"connector {connector!r} has no {key} {name!r}"
        raise RegistryError(what, _meant(name, offered, f"its {key}s"), key)
    return shelf.load(f"{connector}.{name}", key)


def _asked(shelf: _Shelf[Part], kind: str, connector: str) -> type[Part]:
    known = shelf.names()
    if connector not in known:
        what = f"step {kind!r} cannot ask a connector {connector!r}"
        raise RegistryError(what, _meant(connector, known, "those that it can ask"), "connector")
    return shelf.load(connector, "connector")


def _meant(name: str, known: list[str], what: str) -> str:
    near = nearest(name, known)
    listed = f"{what}: {', '.join(known) or 'none is installed'}"
    return f"did you mean {near!r}? ({listed})" if near else listed


def _connector(name: str) -> Connector:
    errors: list[str] = []
    triggers = tuple(_loaded(_triggers, "event", name, errors))
    actions = tuple(_loaded(_actions, "action", name, errors))
    offers: list[type[Trigger] | type[Action]] = [*triggers, *actions]
    return Connector(
        name,
        summary=next((offer.model_fields["connector"].description or "" for offer in offers), ""),
        triggers=triggers,
        actions=actions,
        account=next((model for offer in offers if (model := account_model(offer))), None),
        errors=tuple(errors),
    )


def _loaded(
    shelf: _Shelf[Part], key: Literal["event", "action"], connector: str, errors: list[str]
) -> Iterator[type[Part]]:
    for name in shelf.of(connector):
        try:
            yield shelf.load(f"{connector}.{name}", key)
        except RegistryError as error:
            errors.append(str(error))


def _default(cls: type[Trigger] | type[Action] | type[Asked], field: str) -> str:
    return str(cls.model_fields[field].default)
