"""`pipelines state`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.arguments import ACCOUNTS, SPEC, STATE_DIR

if TYPE_CHECKING:
    from flowspec.recovery import RecoveryStore
    from flowspec.spec import FlowSpec

__all__ = ["command"]


@click.command("state")
@SPEC
@click.argument("action", type=click.Choice(["show", "reset"]), default="show")
@STATE_DIR
@ACCOUNTS
def command(spec: Path, action: str, state_dir: Path, accounts: Path | None) -> None:
    """Show what the steps of SPEC remember, or forget it.

    `reset` forgets all that the steps of the flow remember: counts and values, open windows, keys that were seen, and
    records that wait; where the trigger stood when that was stored is forgotten as well. It needs the flow to be
    stopped.
    """
    from flowspec.errors import FlowError
    from flowspec.loading import load
    from flowspec.recovery import RecoveryStore

    flow = load(spec, accounts)
    store = RecoveryStore(flow.name, state_dir)
    if not store.path.exists():
        if not flow.remembers:
            msg = f"no step of {flow.name} remembers anything, so it has no state"
            raise FlowError(msg)
        click.echo(f"nothing is remembered yet; it will be in {store.path}")
    elif action == "show":
        click.echo(_shown(store))
    else:
        store.reset()
        click.echo(f"forgot all that {flow.name} remembered in {store.path}; {_next_start(flow)}")


def _shown(store: RecoveryStore) -> str:
    import orjson

    from flowspec.stateful.stored import Stored, stored

    kept = stored(store.path)
    steps = {name: {**basis} for name, basis in store.steps().items()}
    trigger = steps.pop("trigger", None)
    for name, basis in steps.items():
        counts = kept.get(name, Stored())
        basis |= {"keys": counts.keys, "bytes": counts.size}
    content = {
        "path": str(store.path),
        "in_use": store.is_in_use(),
        "bytes_on_disk": sum(file.stat().st_size for file in store.path.iterdir()),
        "trigger": trigger,
        "steps": steps,
    }
    return orjson.dumps(content, option=orjson.OPT_INDENT_2).decode()


def _next_start(flow: FlowSpec) -> str:
    """Where the trigger goes on now."""
    from flowspec.polling import PollingTrigger

    trigger = flow.trigger.for_state()
    if isinstance(trigger, PollingTrigger):
        return "the next run begins at the saved cursor, which `pipelines cursor` shows and sets"
    if trigger.resumes:
        return f"the next run begins where the consumer group of {trigger.connector} stands"
    return f"the next run begins with what {trigger.connector} has not been told of"
