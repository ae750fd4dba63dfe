"""The picture of a flow: its graph drawn as SVG, from top to bottom, sinks beside each other."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowspec.graph import Graph, Node

__all__ = ["picture"]

_CHARACTER = 7.3
"""Pixels that a letter of the label takes, at most: 12 pixels, monospaced."""
_MARGIN, _PADDING, _HEIGHT, _GAP = 8.0, 14.0, 44.0, 28.0
_ROUNDING = {"trigger": _HEIGHT / 2, "step": 4.0, "sink": 4.0}
_FILLS = {"trigger": "#dbeafe", "step": "#f3f4f6", "sink": "#dcfce7"}
_STROKES = {"trigger": "#2563eb", "step": "#6b7280", "sink": "#16a34a"}


def picture(graph: Graph) -> str:
    """Draw a graph; its colours go with a light and a dark page."""
    chain = [node for node in graph.nodes if node.part != "sink"]
    sinks = [node for node in graph.nodes if node.part == "sink"]
    rows = [*([node] for node in chain), sinks]
    width = max(_row_width(row) for row in rows) + 2 * _MARGIN
    height = len(rows) * (_HEIGHT + _GAP) - _GAP + 2 * _MARGIN
    middles: dict[str, tuple[float, float]] = {}
    boxes: list[str] = []
    for number, row in enumerate(rows):
        left, top = (width - _row_width(row)) / 2, _MARGIN + number * (_HEIGHT + _GAP)
        for node in row:
            middles[node.id] = (left + _width(node) / 2, top)
            boxes.append(_box(node, left, top))
            left += _width(node) + _GAP
    lines = [_line(middles[before], middles[after]) for before, after in graph.edges]
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" font-family="monospace" font-size="12">'
    )
    return "\n".join([start, f"<title>{escape(graph.flow)}</title>", *lines, *boxes, "</svg>"])


def _width(node: Node) -> float:
    return max(len(node.id), len(node.label)) * _CHARACTER + 2 * _PADDING


def _row_width(row: list[Node]) -> float:
    return sum(map(_width, row)) + _GAP * (len(row) - 1)


def _box(node: Node, left: float, top: float) -> str:
    middle = left + _width(node) / 2
    return (
        f'<rect x="{left:g}" y="{top:g}" width="{_width(node):g}" height="{_HEIGHT:g}" rx="{_ROUNDING[node.part]:g}" '
        f'fill="{_FILLS[node.part]}" stroke="{_STROKES[node.part]}"/>'
        f'<text x="{middle:g}" y="{top + 18:g}" text-anchor="middle" fill="#111827" font-weight="bold">'
        f"{escape(_drawable(node.id))}</text>"
        f'<text x="{middle:g}" y="{top + 34:g}" text-anchor="middle" fill="#374151">{escape(_drawable(node.label))}'
        "</text>"
    )


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x, y), (to_x, to_y) = (start[0], start[1] + _HEIGHT), end
    return (
        f'<path d="M{x:g},{y:g} L{to_x:g},{to_y - 6:g}" stroke="#6b7280" fill="none"/>'
        f'<path d="M{to_x - 4:g},{to_y - 7:g} L{to_x + 4:g},{to_y - 7:g} L{to_x:g},{to_y:g} Z" fill="#6b7280"/>'
    )


def _drawable(text: str) -> str:
    """Without the characters that XML does not have."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
