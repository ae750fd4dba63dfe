from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from flowspec.fields import ByteSize, Duration, WholeSeconds

durations: TypeAdapter[float] = TypeAdapter(Duration)
whole_seconds: TypeAdapter[int] = TypeAdapter(WholeSeconds)
sizes: TypeAdapter[int] = TypeAdapter(ByteSize)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (0, 0.0), (1.5, 1.5), ("2", 2.0), ("250ms", 0.25), ("5s", 5.0), ("1.5m", 90.0), ("1h", 3600.0),
        ("7d", 604800.0), (" 5 s ", 5.0),
    ],
)  # fmt: skip
def test_durations(written: Any, seconds: float) -> None:
    assert durations.validate_python(written) == pytest.approx(seconds)


@pytest.mark.parametrize("written", ["", "5 minutes", "-5s", "5S", "1h30m", "ms", "1e3"])
def test_what_is_no_duration_is_told_with_examples(written: str) -> None:
    with pytest.raises(ValidationError, match=r"is not a duration; write a number of seconds, or '250ms'"):
        durations.validate_python(written)


@pytest.mark.parametrize(("written", "seconds"), [(30, 30), ("30s", 30), ("5m", 300), ("1000ms", 1)])
def test_whole_seconds(written: Any, seconds: int) -> None:
    assert whole_seconds.validate_python(written) == seconds


def test_whole_seconds_have_no_fraction() -> None:
    with pytest.raises(ValidationError, match="fractional"):
        whole_seconds.validate_python("250ms")


@pytest.mark.parametrize(
    ("written", "count"),
    [(10, 10), ("10", 10), ("10B", 10), ("64KiB", 65536), ("64kB", 64000), ("1.5 MiB", 1572864), ("1GB", 10**9)],
)
def test_sizes(written: Any, count: int) -> None:
    assert sizes.validate_python(written) == count


@pytest.mark.parametrize("written", ["", "10 bytes", "-1", "10KB", "1TB"])
def test_what_is_no_size_is_told_with_examples(written: str) -> None:
    with pytest.raises(ValidationError, match=r"is not a size; write a number of bytes, or '64KiB'"):
        sizes.validate_python(written)


def test_the_schema_allows_numbers_and_text() -> None:
    class Model(BaseModel):
        wait: Duration
        size: ByteSize

    properties = Model.model_json_schema()["properties"]
    assert [option["type"] for option in properties["wait"]["anyOf"]] == ["number", "string"]
    assert [option["type"] for option in properties["size"]["anyOf"]] == ["integer", "string"]
