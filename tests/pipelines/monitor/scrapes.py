"""What Prometheus makes of a scrape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Scrape"]


class Scrape:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self._samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        for family in self.families.values():
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in self._samples, f"{key} is there twice"
                self._samples[key] = sample.value

    def value(self, name: str, /, **labels: str) -> float | None:
        """The value of a series; None where there is none."""
        return self._samples.get((name, frozenset(labels.items())))

    def series(self, name: str) -> list[tuple[Mapping[str, str], float]]:
        """All series of a name: their labels and values."""
        return [(dict(labels), value) for (each, labels), value in self._samples.items() if each == name]

    def labels(self) -> set[Any]:
        """The names of all labels that are used."""
        return {name for _, labels in self._samples for name, _ in labels}
