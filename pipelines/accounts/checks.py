"""What `accounts test` checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from flowspec.connectors import Account
from flowspec.errors import FatalError
from flowspec.stateful.contract import JoiningStep
from flowspec.steps.asking import AskingStep
from pipelines.accounts.checking import Check
from pipelines.accounts.models import model_for

if TYPE_CHECKING:
    from flowspec.connectors import Action, Trigger
    from flowspec.loading import Accounts
    from flowspec.lookups import Asked
    from flowspec.spec import FlowSpec

__all__ = ["checks_of_accounts", "checks_of_flow", "used_accounts"]


def used_accounts(spec: FlowSpec) -> dict[str, tuple[str, Account]]:
    """The accounts that a flow has by their names, each with its connector."""
    parts: list[Trigger | Action | Asked] = [spec.trigger, *(sink for _, sink in spec.named_sinks())]
    parts += [asked for _, asked in _asked(spec)]
    parts += [trigger for _, trigger in _joined(spec)]
    if spec.dead_letters is not None:
        parts.append(spec.dead_letters)
    return {
        part.account.known_as: (part.connector, part.account)
        for part in parts
        if isinstance(part.account, Account) and part.account.known_as is not None
    }


def checks_of_accounts(accounts: Accounts, names: list[str], used: dict[str, tuple[str, Account]]) -> Iterator[Check]:
    """A check for each account; those that a flow has `used` are made already.

    Raises:
        UnknownAccountError: there is none of that name.
    """
    for name in names:
        if name in used:
            connector, account = used[name]
            yield Check(f"account {name} ({connector})", account.check)
        else:
            written = accounts.written(name).get("connector")
            yield Check(f"account {name} ({written or '?'})", _making(accounts, name, written))


def checks_of_flow(spec: FlowSpec) -> Iterator[Check]:
    """A check for the trigger, for each step that has one or asks another system, and for each sink of a flow."""
    yield Check(f"trigger ({spec.trigger.connector} / {spec.trigger.event})", spec.trigger.check)
    for name, trigger in _joined(spec):
        yield Check(f"step {name} ({trigger.connector} / {trigger.event})", trigger.check)
    for name, asked in _asked(spec):
        yield Check(f"step {name} ({asked.connector})", asked.check)
    for name, sink in spec.named_sinks():
        yield Check(f"sink {name} ({sink.connector} / {sink.action})", sink.check)
    if spec.dead_letters is not None:
        sink = spec.dead_letters
        yield Check(f"dead_letters ({sink.connector} / {sink.action})", sink.check)


def _joined(spec: FlowSpec) -> list[tuple[str, Trigger]]:
    return [(name, step.other) for name, step in spec.named_steps() if isinstance(step, JoiningStep)]


def _asked(spec: FlowSpec) -> list[tuple[str, Asked]]:
    return [(name, step.asked) for name, step in spec.named_steps() if isinstance(step, AskingStep)]


def _making(accounts: Accounts, name: str, connector: str | None) -> Callable[[], str]:
    def check() -> str:
        if connector is None:
            msg = (
                f"nothing says which connector it is for; write 'connector = \"...\"' into its table in "
                f"{accounts.source}, or name a spec that uses it: --spec"
            )
            raise FatalError(msg)
        return accounts.made(name, connector, model_for(connector)).check()

    return check
