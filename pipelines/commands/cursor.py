"""`pipelines cursor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.arguments import ACCOUNTS, SPEC, STATE_DIR

if TYPE_CHECKING:
    from flowspec.polling.store import CursorStore

__all__ = ["command"]

_SHOWN = 20
"""Items of a list."""


@click.command("cursor")
@SPEC
@click.argument("action", type=click.Choice(["show", "set", "reset"]), default="show")
@click.argument("value", required=False)
@STATE_DIR
@ACCOUNTS
def command(spec: Path, action: str, value: str | None, state_dir: Path, accounts: Path | None) -> None:
    """Show where the polling trigger of SPEC goes on, or change it.

    `set VALUE` has the next run begin behind a value of the cursor, as `since` does; `reset` has it begin as the spec
    says. Both need the flow to be stopped.
    """
    if (value is not None) != (action == "set"):
        msg = "set needs a VALUE" if action == "set" else f"{action} takes no value"
        raise click.UsageError(msg)
    from flowspec.errors import FlowError, TransientError
    from flowspec.loading import load
    from flowspec.polling import PollingTrigger
    from flowspec.polling.store import CursorStore

    flow = load(spec, accounts)
    if not isinstance(flow.trigger, PollingTrigger):
        msg = f"the trigger of {flow.name} is no polling one: its system itself remembers what was delivered"
        raise FlowError(msg)
    store = CursorStore(state_dir, flow.name, f"{flow.trigger.connector}.{flow.trigger.event}")
    if action == "show":
        click.echo(_shown(store, flow.trigger.since))
        return
    try:
        store.lock()
    except TransientError as error:
        msg = f"{error}; stop it first"
        raise FlowError(msg) from error
    try:
        if action == "set":
            store.begin_at(_parsed(str(value)))
        else:
            store.reset()
    finally:
        store.close()
    click.echo(_shown(store, flow.trigger.since))


def _shown(store: CursorStore, since: Any) -> str:
    import orjson

    saved = store.load()
    if saved.since is not None:
        return f"begins at {_json(saved.since)}, as it was set at {saved.saved_at}"
    if saved.basis is None:
        return f"no cursor is saved; begins at {_json(since)}, as the spec says"
    content = {
        "cursor": _shortened(saved.cursor),
        "of": saved.basis,
        "saved_at": saved.saved_at,
        "file": str(store.path),
    }
    return orjson.dumps(content, option=orjson.OPT_INDENT_2).decode()


def _shortened(value: Any) -> Any:
    """The same, of long lists only the beginning: the file has all of it."""
    if isinstance(value, dict):
        return {name: _shortened(item) for name, item in value.items()}
    if not isinstance(value, list):
        return value
    begin = [_shortened(item) for item in value[:_SHOWN]]
    return begin if len(value) <= _SHOWN else [*begin, f"... {len(value) - _SHOWN:,} more"]


def _json(value: Any) -> str:
    import orjson

    return orjson.dumps(value).decode()


def _parsed(value: str) -> Any:
    """JSON, or else the text itself."""
    import orjson

    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
