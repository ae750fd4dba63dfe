"""The picture of a flow: its graph drawn as SVG, from top to bottom, with branches and sinks beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowspec.graph import Edge, Graph, Node

__all__ = ["picture"]

_CHARACTER = 7.3
"""Pixels that a letter of the label takes, at most: 12 pixels, monospaced."""
_MARGIN, _PADDING, _HEIGHT, _GAP = 8.0, 14.0, 44.0, 28.0
_CONDITION = 18.0
"""The room that a condition on a line takes, above the box that it leads to."""
_ROUNDING = {"trigger": _HEIGHT / 2, "step": 4.0, "sink": 4.0, "end": _HEIGHT / 2}
_FILLS = {"trigger": "#dbeafe", "step": "#f3f4f6", "sink": "#dcfce7", "end": "#f3f4f6"}
_STROKES = {"trigger": "#2563eb", "step": "#6b7280", "sink": "#16a34a", "end": "#6b7280"}


def picture(graph: Graph) -> str:
    """Draw a graph; its colours go with a light and a dark page."""
    drawing = _Drawing(graph)
    first = graph.nodes[0].id
    width, height = drawing.width(first) + 2 * _MARGIN, drawing.height(first) + 2 * _MARGIN
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" font-family="monospace" font-size="12">'
    )
    drawn = drawing.drawn(first, _MARGIN, _MARGIN)
    return "\n".join([start, f"<title>{escape(graph.flow)}</title>", *drawn, "</svg>"])


class _Drawing:
    """A tree of boxes: each is above the middle of those that it leads to."""

    def __init__(self, graph: Graph) -> None:
        self._nodes = {node.id: node for node in graph.nodes}
        self._leaving: dict[str, list[Edge]] = {node.id: graph.leaving(node.id) for node in graph.nodes}
        self._conditions = {edge.after: edge.when for edge in graph.edges}
        self._widths: dict[str, float] = {}

    def width(self, node: str) -> float:
        """What a box and all below it take."""
        if node not in self._widths:
            below = self._below(node)
            own = max(_box_width(self._nodes[node]), len(self._conditions.get(node, "")) * _CHARACTER)
            self._widths[node] = max(own, sum(map(self.width, below)) + _GAP * (len(below) - 1))
        return self._widths[node]

    def height(self, node: str) -> float:
        """The same from top to bottom."""
        below = max((self.height(each) for each in self._below(node)), default=0.0)
        return _HEIGHT + (self._gap(node) + below if below else 0.0)

    def drawn(self, node: str, left: float, top: float) -> Iterator[str]:
        """The box with all below it, lines first."""
        middle, below = left + self.width(node) / 2, top + _HEIGHT + self._gap(node)
        boxes: list[str] = []
        at = middle - (sum(map(self.width, self._below(node))) + _GAP * (len(self._below(node)) - 1)) / 2
        for _, after, when in self._leaving[node]:
            width = self.width(after)
            yield _line((middle, top + _HEIGHT), (at + width / 2, below - (_CONDITION if when else 0)))
            if when:
                yield _text(when, at + width / 2, below - 5, 'fill="#6b7280"')
            boxes += self.drawn(after, at, below)
            at += width + _GAP
        yield from boxes
        yield _box(self._nodes[node], middle, top)

    def _below(self, node: str) -> list[str]:
        return [edge.after for edge in self._leaving[node]]

    def _gap(self, node: str) -> float:
        return _GAP + (_CONDITION if any(edge.when for edge in self._leaving[node]) else 0.0)


def _box_width(node: Node) -> float:
    return max(len(node.id), len(node.label)) * _CHARACTER + 2 * _PADDING


def _box(node: Node, middle: float, top: float) -> str:
    width = _box_width(node)
    return (
        f'<rect x="{middle - width / 2:g}" y="{top:g}" width="{width:g}" height="{_HEIGHT:g}" '
        f'rx="{_ROUNDING[node.part]:g}" fill="{_FILLS[node.part]}" stroke="{_STROKES[node.part]}"/>'
        + _text(node.id, middle, top + 18, 'fill="#111827" font-weight="bold"')
        + _text(node.label, middle, top + 34, 'fill="#374151"')
    )


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x, y), (to_x, to_y) = start, end
    return (
        f'<path d="M{x:g},{y:g} L{to_x:g},{to_y - 6:g}" stroke="#6b7280" fill="none"/>'
        f'<path d="M{to_x - 4:g},{to_y - 7:g} L{to_x + 4:g},{to_y - 7:g} L{to_x:g},{to_y:g} Z" fill="#6b7280"/>'
    )


def _text(text: str, middle: float, base: float, style: str) -> str:
    # XML does not have all characters.
    drawable = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return f'<text x="{middle:g}" y="{base:g}" text-anchor="middle" {style}>{escape(drawable)}</text>'
