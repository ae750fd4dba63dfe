"""A spec's text, read as what its name says that it is."""

from __future__ import annotations

from pathlib import Path

from flowspec.loading.document import Document
from flowspec.loading.json_text import parse_json

__all__ = ["parse"]


def parse(text: str, name: str) -> Document:
    """The document of a text; an empty one has no value.

    Args:
        text: JSON or YAML.
        name: The file, or what errors call it. Where its suffix says neither, a text that begins with `{` is JSON.

    Raises:
        SpecError: it is not what it should be.
    """
    suffix = Path(name).suffix.lower()
    if not text.strip():
        return Document(name, None, {}, {})
    if suffix == ".json" or (suffix not in (".yaml", ".yml") and text.lstrip().startswith("{")):
        return parse_json(text, name)
    from flowspec.loading.yaml_text import parse_yaml

    return parse_yaml(text, name)
