from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from tests.flowspec.flow.orders import flow_of

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
