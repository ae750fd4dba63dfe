"""A flow as a graph: what starts it, what happens to a record, and where the record goes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from flowspec.expressions.fields import Written

if TYPE_CHECKING:
    from flowspec.spec import FlowSpec
    from flowspec.steps.base import Step

__all__ = ["Graph", "Node"]

_LONGEST = 80


@dataclass(frozen=True)
class Node:
    """One part of a flow."""

    id: str
    """As in logs, status and dead letters."""
    part: Literal["trigger", "step", "sink"]
    label: str
    """What it does: the connector and its event or action, or what the step has in it."""


@dataclass(frozen=True, repr=False)
class Graph:
    """The parts of a flow, and from which to which the records go; a notebook shows it as a picture."""

    flow: str
    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, spec: FlowSpec) -> Graph:
        """The graph of a flow; secrets are not in it."""
        trigger = Node("trigger", "trigger", f"{spec.trigger.connector} / {spec.trigger.event}")
        steps = [Node(name, "step", _step_label(step)) for name, step in spec.named_steps()]
        sinks = [Node(name, "sink", f"{sink.connector} / {sink.action}") for name, sink in spec.named_sinks()]
        chain = [trigger, *steps]
        edges = [(before.id, after.id) for before, after in pairwise(chain)]
        edges += [(chain[-1].id, sink.id) for sink in sinks]
        return cls(spec.name, (*chain, *sinks), tuple(edges))

    def as_text(self) -> str:
        """For people: a line for each part, in the order of the records."""
        width = max(len(node.id) for node in self.nodes)
        arrows = {"trigger": "", "step": "-> ", "sink": "=> "}
        lines = [f"{arrows[node.part]:3}{node.id:{width}}  {node.label}" for node in self.nodes]
        return "\n".join([self.flow, *lines])

    def __repr__(self) -> str:
        return self.as_text()

    def _repr_svg_(self) -> str:
        return self.as_svg()

    def as_svg(self) -> str:
        """A picture, as SVG."""
        from flowspec.picture import picture

        return picture(self)

    def as_mermaid(self) -> str:
        """A Mermaid flowchart."""
        numbers = {node.id: f"n{number}" for number, node in enumerate(self.nodes)}
        shapes = {"trigger": '(["{}"])', "step": '["{}"]', "sink": '[/"{}"/]'}
        lines = [f"    {numbers[node.id]}{shapes[node.part].format(_for_mermaid(node))}" for node in self.nodes]
        arrows = [f"    {numbers[before]} --> {numbers[after]}" for before, after in self.edges]
        return "\n".join(["flowchart LR", *lines, *arrows])

    def as_json(self) -> str:
        """An object with `flow`, `nodes` and `edges`."""
        edges = [{"from": before, "to": after} for before, after in self.edges]
        return json.dumps({"flow": self.flow, "nodes": [asdict(node) for node in self.nodes], "edges": edges}, indent=2)


def _step_label(step: Step) -> str:
    content = getattr(step, step.kind)
    # A function of a notebook is shown as well, though it has no name for a spec.
    if isinstance(content, Written):
        written = content.spec
    else:
        written = step.model_dump(mode="json", by_alias=True, exclude_defaults=True)[step.kind]
    text = written if isinstance(written, str) else json.dumps(written, ensure_ascii=False)
    text = f"{step.kind} {' '.join(text.split())}"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _for_mermaid(node: Node) -> str:
    # Mermaid reads its labels as HTML, with its own notation for entities.
    escaped = "".join(f"#{ord(char)};" if char in '#&<>"`\\' else char for char in node.label)
    return f"{node.id}<br>{escaped}"
