from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree as ET

from flowspec.graph import Graph
from flowspec.spec import FlowSpec
from tests.flowspec.flow.orders import flow_of
from tests.flowspec.test_parts import DOCUMENT

SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_is_svg_with_a_box_for_each_part_and_a_line_for_each_way(tmp_path: Path) -> None:
    graph = flow_of(tmp_path).filter("cents < 5 and 'a&b' != \"\x07\"").sink("drop").graph()
    drawn = ET.fromstring(graph.as_svg())
    texts = [each.text for each in drawn.iter(f"{SVG}text")]
    assert len(list(drawn.iter(f"{SVG}rect"))) == len(graph.nodes) == 6
    assert len(list(drawn.iter(f"{SVG}path"))) == 2 * len(graph.edges)
    assert "filter cents < 5 and 'a&b' != \"\N{REPLACEMENT CHARACTER}\"" in texts
    width, height = float(drawn.get("width", 0)), float(drawn.get("height", 0))
    for box in drawn.iter(f"{SVG}rect"):
        left, top, wide, high = (float(box.get(name, -1)) for name in ("x", "y", "width", "height"))
        assert 0 <= left <= left + wide <= width
        assert 0 <= top <= top + high <= height


def test_a_terminal_shows_text_and_a_readme_a_flowchart(tmp_path: Path) -> None:
    graph = flow_of(tmp_path).graph()
    assert repr(graph).splitlines()[:2] == ["orders", "   trigger       files / new-files"]
    assert graph.as_mermaid().startswith("flowchart LR\n")


def test_branches_are_drawn_with_their_conditions() -> None:
    graph = Graph.of(FlowSpec.model_validate(DOCUMENT))
    assert graph.as_text().splitlines() == [
        "orders",
        "   trigger                               test-shop / listen",
        "-> filter-1                              filter total > 5",
        "-> route-2                               route",
        "   country == 'ES':",
        "   -> route-2-spain-filter-1             filter total > 7",
        "   -> size                               route",
        "      total > 9:",
        "      => big                             test-store / put",
        "      otherwise:",
        "      => route-2-spain-test-store-put    test-store / put",
        "      => route-2-spain-test-store-put-2  test-store / put",
        "   country == 'FR':",
        "   => route-2-case-2-test-store-put      test-store / put",
        "   country == 'XX':",
        "   => route-2-tests                      dropped",
        "   otherwise:",
        "   -> last                               filter total > 8",
        "   => test-store-put                     test-store / put",
    ]
    mermaid = graph.as_mermaid()
    assert "n2 -->|\"country == 'FR'\"| n8" in mermaid
    assert "n10 --> n11" in mermaid
    edges = json.loads(graph.as_json())["edges"]
    assert {"from": "route-2", "to": "last", "when": "otherwise"} in edges
    assert {"from": "trigger", "to": "filter-1"} in edges
    assert len(edges) == len(graph.nodes) - 1


def test_boxes_and_conditions_of_a_picture_do_not_overlap() -> None:
    graph = Graph.of(FlowSpec.model_validate(DOCUMENT))
    drawn = ET.fromstring(graph.as_svg())
    boxes = [
        tuple(float(box.get(name, -1)) for name in ("x", "y", "width", "height")) for box in drawn.iter(f"{SVG}rect")
    ]
    texts = [each for each in drawn.iter(f"{SVG}text") if each.text in {edge.when for edge in graph.edges if edge.when}]
    assert len(boxes) == len(graph.nodes)
    assert len(texts) == sum(bool(edge.when) for edge in graph.edges)
    for text in texts:
        width = 7.3 * len(text.text or "")
        boxes.append((float(text.get("x", -1)) - width / 2, float(text.get("y", -1)) - 12, width, 14))
    for (left, top, width, height), (x, y, wide, high) in combinations(boxes, 2):
        assert left + width <= x or x + wide <= left or top + height <= y or y + high <= top
