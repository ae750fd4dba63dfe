"""`pipelines connectors`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console

    from flowspec.registry import Connector

__all__ = ["command"]


@click.command("connectors")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the connectors with their triggers and actions; of NAME, show the account and all fields."""
    from rich.console import Console

    from flowspec import registry

    console = Console(highlight=False, soft_wrap=False)
    installed = {connector.name: connector for connector in registry.connectors()}
    if name is None:
        _list(console, list(installed.values()))
    elif name in installed:
        _show(console, installed[name])
    else:
        from flowspec.expressions.errors import nearest

        near = nearest(name, list(installed))
        hint = f"did you mean {near!r}? " if near else ""
        msg = f"unknown connector {name!r}; {hint}(connectors: {', '.join(installed)})"
        raise click.UsageError(msg)


def _list(console: Console, connectors: list[Connector]) -> None:
    from rich.table import Table

    from pipelines.catalogue import offer_of

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for heading in ("connector", "triggers", "actions", "what it is"):
        table.add_column(heading, overflow="fold")
    for connector in connectors:
        triggers = "\n".join(f"{offer_of(trigger)} ({trigger.kind})" for trigger in connector.triggers)
        actions = "\n".join(map(offer_of, connector.actions))
        table.add_row(
            connector.name, triggers, actions, "\n".join([connector.summary, *connector.errors]), style="none"
        )
    console.print(table)


def _show(console: Console, connector: Connector) -> None:
    from pipelines.catalogue import describe, offer_of

    console.print(f"{connector.name}: {connector.summary}", style="bold", markup=False)
    for error in connector.errors:
        console.print(error, style="red", markup=False)
    if connector.account is not None:
        _show_fields(console, "account", describe(connector.account), connector.account)
    for trigger in connector.triggers:
        _show_fields(console, f"trigger {offer_of(trigger)} ({trigger.kind})", describe(trigger), trigger)
    for action in connector.actions:
        _show_fields(console, f"action {offer_of(action)}", describe(action), action)


def _show_fields(console: Console, heading: str, description: str, model: type[BaseModel]) -> None:
    from rich.table import Table
    from rich.text import Text

    from pipelines.catalogue import fields_of

    console.print()
    console.print(heading, style="bold", markup=False)
    console.print(description, markup=False)
    table = Table(box=None, pad_edge=True, padding=(0, 2, 0, 0))
    for column in ("field", "type", "default", "description"):
        table.add_column(column, overflow="fold")
    for field in fields_of(model):
        table.add_row(*map(Text, (field.name, field.type, field.default, field.description)))
    console.print(table)
