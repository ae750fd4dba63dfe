"""The command line: its commands, each imported when it is called."""

from __future__ import annotations

from importlib import import_module
from typing import IO, Any

import click

from flowspec.errors import FlowError

__all__ = ["main"]

_COMMANDS = {
    "accounts": "List, add, test or remove accounts.",
    "connectors": "List the connectors, or show the fields of one.",
    "cursor": "Show or set where a polling trigger goes on.",
    "dead-letters": "Show, replay, remove or export records that failed.",
    "demo": "Run an example flow on an embedded queue and see records move.",
    "executions": "Show what happened to records, found by External ID, status and time.",
    "graph": "Show a flow as a graph.",
    "run": "Run a flow.",
    "sample": "Look at records as they leave each step, without consuming them.",
    "schema": "Print the JSON Schema of specs, for editors.",
    "state": "Show or forget what the steps of a flow remember.",
    "test": "Run the tests of specs.",
    "validate": "Say everything that is wrong with specs.",
}


class _Mistake(click.ClickException):
    """Something wrong with a spec, or with how a command is used."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        # What is wrong with a spec is a list, of which each line begins with its place.
        click.echo(self.message if "\n" in self.message else f"error: {self.message}", file=file, err=True)


class _LazyGroup(click.Group):
    """A group that imports a command when it is called, so that `--help` imports nothing that a flow needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"pipelines.commands.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FlowError as error:
            raise _Mistake(str(error)) from error


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="trigger-flows", message="%(version)s")
def main() -> None:
    """Flows that start the moment a record is inserted in another system.

    A flow is a small JSON or YAML file: a trigger, steps, and a sink. `pipelines run orders.json` runs it.
    """
