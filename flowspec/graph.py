"""A flow as a graph: what starts it, what happens to a record, and where the record goes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from flowspec.expressions.fields import Written
from flowspec.steps.branching import BranchingStep

if TYPE_CHECKING:
    from flowspec.parts import Way
    from flowspec.spec import FlowSpec
    from flowspec.steps.base import Step

__all__ = ["Edge", "Graph", "Node"]

_LONGEST = 80


@dataclass(frozen=True)
class Node:
    """One part of a flow."""

    id: str
    """As in logs, status and dead letters."""
    part: Literal["trigger", "step", "sink", "end"]
    """An `end` is where records are done, on purpose, because their branch has nothing in it."""
    label: str
    """What it does: the connector and its event or action, or what the step has in it."""


class Edge(NamedTuple):
    """From which part to which records go."""

    before: str
    after: str
    when: str = ""
    """Which of them do, where not all of them: the condition of a case, or `otherwise`."""


@dataclass(frozen=True, repr=False)
class Graph:
    """The parts of a flow, and from which to which the records go; a notebook shows it as a picture."""

    flow: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    """A tree: to each node but the first there is one way, and nodes are in the order in which they are come by."""

    @classmethod
    def of(cls, spec: FlowSpec) -> Graph:
        """The graph of a flow; secrets are not in it."""
        trigger = Node("trigger", "trigger", f"{spec.trigger.connector} / {spec.trigger.event}")
        nodes, edges = [trigger], list[Edge]()
        _draw(spec.way(), trigger.id, "", nodes, edges)
        return cls(spec.name, tuple(nodes), tuple(edges))

    def leaving(self, node: str) -> list[Edge]:
        """The edges from a node."""
        return [edge for edge in self.edges if edge.before == node]

    def as_text(self) -> str:
        """For people: a line for each part, in the order of the records; branches are indented."""
        lines = list(self._lines(self.nodes[0].id, ""))
        width = max(len(start) for start, _ in lines)
        return "\n".join([self.flow, *(f"{start:{width}}  {label}".rstrip() for start, label in lines)])

    def _lines(self, node: str, indent: str) -> Iterator[tuple[str, str]]:
        """The lines of a node and of all behind it: id and label."""
        arrows = {"trigger": "", "step": "-> ", "sink": "=> ", "end": "=> "}
        shown = next(each for each in self.nodes if each.id == node)
        yield f"{indent}{arrows[shown.part]:3}{shown.id}", shown.label
        condition = ""
        for _, after, when in self.leaving(node):
            deeper = indent + "   " * bool(when)
            if when and when != condition:
                yield f"{deeper}{when}:", ""
            condition = when
            yield from self._lines(after, deeper)

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
        shapes = {"trigger": '(["{}"])', "step": '["{}"]', "sink": '[/"{}"/]', "end": '(["{}"])'}
        lines = [f"    {numbers[node.id]}{shapes[node.part].format(_for_mermaid(node))}" for node in self.nodes]
        arrows = [f"    {numbers[before]} -->{_condition(when)} {numbers[after]}" for before, after, when in self.edges]
        return "\n".join(["flowchart LR", *lines, *arrows])

    def as_json(self) -> str:
        """An object with `flow`, `nodes` and `edges`."""
        edges = [{"from": before, "to": after} | ({"when": when} if when else {}) for before, after, when in self.edges]
        return json.dumps({"flow": self.flow, "nodes": [asdict(node) for node in self.nodes], "edges": edges}, indent=2)


def _draw(way: Way, before: str, when: str, nodes: list[Node], edges: list[Edge]) -> None:
    """Add what comes of the records that leave the node `before` on a way."""
    for part in way.steps:
        nodes.append(Node(part.id, "step", _step_label(part.step)))
        edges.append(Edge(before, part.id, when))
        before, when = part.id, ""
        if isinstance(part.step, BranchingStep):
            for placed, branch in zip(part.step.branches(), part.branches, strict=True):
                _draw(branch, part.id, _cut(placed.when), nodes, edges)
            when = "otherwise"
    ends = [Node(each.id, "sink", f"{each.sink.connector} / {each.sink.action}") for each in way.sinks]
    if not (way.steps or way.sinks):
        ends = [Node(way.id, "end", "dropped")]
    nodes += ends
    edges += [Edge(before, end.id, when) for end in ends]


def _step_label(step: Step) -> str:
    content = getattr(step, step.kind)
    if isinstance(step, BranchingStep):
        return step.kind
    # A function of a notebook is shown as well, though it has no name for a spec.
    if isinstance(content, Written):
        written = content.spec
    else:
        written = step.model_dump(mode="json", by_alias=True, exclude_defaults=True)[step.kind]
    return _cut(f"{step.kind} {written if isinstance(written, str) else json.dumps(written, ensure_ascii=False)}")


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _condition(when: str) -> str:
    return f'|"{_escaped(when)}"|' if when else ""


def _for_mermaid(node: Node) -> str:
    return f"{node.id}<br>{_escaped(node.label)}"


def _escaped(text: str) -> str:
    # Mermaid reads its labels as HTML, with its own notation for entities.
    return "".join(f"#{ord(char)};" if char in '#&<>"`\\' else char for char in text)
