"""YAML 1.2 with positions; of its types, those that JSON has."""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from flowspec.loading.document import MAX_DEPTH, Document, Draft, Place
from flowspec.loading.problems import Path, Problem, SpecError

__all__ = ["parse_yaml"]

_MAX_VALUES = 100_000
"""Values that a document may have once its aliases are in place."""
_TAG = "tag:yaml.org,2002:"
_TEXTS = ("str", "timestamp", "value")
_NUMBERS = {"int": "whole number", "float": "number"}


def parse_yaml(text: str, source: str) -> Document:
    """Read a YAML document.

    Raises:
        SpecError: it is not YAML, or has types that JSON has not.
    """
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise SpecError([Problem(source, "", *place, f"not valid YAML: {what}")]) from None
    except (YAMLError, RecursionError, ValueError) as error:
        what = " ".join(str(error).split())
        raise SpecError([Problem(source, "", 1, 1, f"not valid YAML: {what}")]) from None
    reader = _Reader(yaml, source)
    return reader.draft.done(None if root is None else reader.value((), root))


class _Reader:
    """Makes plain values of the nodes of a document."""

    def __init__(self, yaml: YAML, source: str) -> None:
        self.draft = Draft(source)
        self._yaml = yaml

    def value(self, path: Path, node: Node) -> Any:
        """The value of a node."""
        place = _place(node)
        if len(path) > MAX_DEPTH:
            raise SpecError([Problem(self.draft.source, "", *place, f"more than {MAX_DEPTH} levels deep")])
        if len(self.draft.values) > _MAX_VALUES:
            raise SpecError([Problem(self.draft.source, "", *place, f"more than {_MAX_VALUES:,} values")])
        self.draft.values[path] = place
        if isinstance(node, MappingNode):
            return self._object(path, node)
        if isinstance(node, SequenceNode):
            return [self.value((*path, index), item) for index, item in enumerate(node.value)]
        return self._scalar(path, node) if isinstance(node, ScalarNode) else None

    def _object(self, path: Path, node: MappingNode) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for key_node, item in node.value:
            if not isinstance(key_node, ScalarNode) or _tag(key_node) not in _TEXTS:
                shown = f"{key_node.value} is" if isinstance(key_node, ScalarNode) else "lists and objects are"
                self.draft.refuse(path, _place(key_node), f"a key is a text, {shown} not", "put it in quotes")
                continue
            key = str(key_node.value)
            self.draft.add_key((*path, key), _place(key_node), value)
            value[key] = self.value((*path, key), item)
        return value

    def _scalar(self, path: Path, node: ScalarNode) -> Any:
        tag = _tag(node)
        if tag in _TEXTS:
            return str(node.value)
        if tag == "null":
            return None
        if tag == "bool":
            return node.value.lower() == "true"
        if tag in _NUMBERS:
            try:
                return self._yaml.constructor.construct_object(node)
            except (ValueError, YAMLError):
                self.draft.refuse(path, _place(node), f"not a {_NUMBERS[tag]}", "put a text in quotes")
                return 0
        self.draft.refuse(path, _place(node), f"the type {node.tag!r} is not known", "write a text, number or boolean")
        return None


def _tag(node: Node) -> str:
    return str(node.tag).removeprefix(_TAG)


def _place(node: Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)
