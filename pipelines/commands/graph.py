"""`pipelines graph`."""

from __future__ import annotations

from pathlib import Path

import click

from pipelines.arguments import ACCOUNTS, SPEC

__all__ = ["command"]


@click.command("graph")
@SPEC
@click.option("--format", "form", type=click.Choice(["text", "mermaid", "json"]), default="text", show_default=True)
@ACCOUNTS
def command(spec: Path, form: str, accounts: Path | None) -> None:
    """Show the flow of SPEC as a graph."""
    from flowspec.graph import Graph
    from flowspec.loading import load

    graph = Graph.of(load(spec, accounts))
    click.echo({"text": graph.as_text, "mermaid": graph.as_mermaid, "json": graph.as_json}[form]())
