"""What a journal keeps of a record's own data."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flowspec.errors import RecordError
from flowspec.journal.privacy import Masks, Privacy
from flowspec.journal.settings import JournalSettings
from flowspec.loading import SpecError, loads
from flowspec.records import Record
from tests.flowspec.journal.parts import executions, failure, record, writing

SECRET = "4111-1111-1111-1111"
NAME = "Ada Lovelace"
ORDER: dict[str, Any] = {
    "status": "paid",
    "customer": {"name": NAME, "card": SECRET, "vip": True},
    "items": [{"sku": "A-17", "price": 12.5}, {"sku": "B-4", "price": 3}],
}


def kept(body: Any, tmp_path: Path, **settings: Any) -> Any:
    with writing(tmp_path, **settings) as journal:
        journal.delivered([record(1, body=body)], "billing")
    return executions(tmp_path)[0].fields


def contents(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in (directory / "journal").iterdir())


def test_no_content_is_kept_that_was_not_asked_for(tmp_path: Path) -> None:
    assert kept(ORDER, tmp_path) is None
    assert SECRET.encode() not in contents(tmp_path)
    assert b"paid" not in contents(tmp_path)


def test_fields_are_kept_and_missing_ones_left_out(tmp_path: Path) -> None:
    fields = ["status", "customer.vip", "items.sku", "items", "status.deeper", "nowhere"]
    assert kept(ORDER, tmp_path, fields=fields) == {
        "status": "paid",
        "customer.vip": True,
        "items.sku": ["A-17", "B-4"],
        "items": ORDER["items"],
    }


def test_a_mask_is_no_value_and_equal_for_equal_ones(tmp_path: Path) -> None:
    settings = {"fields": ["customer.name", "customer"], "mask": ["customer.name", "customer.card"]}
    fields = kept(ORDER, tmp_path, **settings)
    assert fields["customer.name"] == fields["customer"]["name"] == Masks(tmp_path / "journal").of(NAME)
    assert fields["customer"]["card"] != fields["customer"]["name"]
    assert fields["customer"]["vip"] is True
    assert Masks(tmp_path / "elsewhere").of(NAME) != fields["customer.name"]
    assert NAME.encode() not in contents(tmp_path)
    assert SECRET.encode() not in contents(tmp_path)


def test_never_is_stronger_than_everything(tmp_path: Path) -> None:
    fields = ["customer", "customer.card", "items", "status"]
    settings = {
        "fields": fields,
        "mask": ["customer.card", "status"],
        "never": ["customer.card", "items.price", "status"],
    }
    assert kept(ORDER, tmp_path, **settings) == {
        "customer": {"name": NAME, "vip": True},
        "items": [{"sku": "A-17"}, {"sku": "B-4"}],
    }


def test_what_is_above_a_field_covers_it_and_a_similar_name_does_not(tmp_path: Path) -> None:
    body = {"customer": {"name": NAME}, "customers": 3, "customer.name": NAME}
    fields = ["customer.name", "customers"]
    assert kept(body, tmp_path, fields=fields, never=["customer"]) == {"customers": 3}


def test_an_external_id_is_masked_and_still_found(tmp_path: Path) -> None:
    with writing(tmp_path, mask=["external_id"]) as journal:
        journal.delivered([record(1, external_id=NAME)], "billing")
        journal.failed([failure(record(2, external_id=NAME), RecordError(f"{NAME} is unknown"))], skipped=False)

    first, second = executions(tmp_path, external_id=NAME)
    assert first.external_id == second.external_id == Masks(tmp_path / "journal").of(NAME)
    assert second.error == f"{first.external_id} is unknown"
    assert NAME.encode() not in contents(tmp_path)


def test_an_external_id_that_is_never_kept_is_not_there(tmp_path: Path) -> None:
    with writing(tmp_path, never=["external_id"]) as journal:
        journal.delivered([record(1, external_id=NAME)], "billing")
    assert executions(tmp_path, external_id=NAME) == []
    assert executions(tmp_path)[0].external_id is None


@pytest.mark.parametrize(
    "body", [ORDER, {"mapped": True}, None, RecordError("undecodable")], ids=["same", "mapped", "none", "undecodable"]
)
def test_what_an_error_quotes_is_masked_too(tmp_path: Path, body: Any) -> None:
    received = Record(b'{"customer": {"name": "Ada Lovelace", "card": "4111-1111-1111-1111"}}', body)
    privacy = Privacy(JournalSettings(mask=("customer.name",), never=("customer.card",)), tmp_path)
    text = privacy.error(f"the card {SECRET} of {NAME} is refused", received)
    assert text == f"the card *** of {Masks(tmp_path).of(NAME)} is refused"


def test_credentials_in_the_url_of_an_error_are_not_kept(tmp_path: Path) -> None:
    text = "cannot reach amqp://guest:pass%20word@127.0.0.1:5672/ nor https://token@example.com, see http://a/b@c"
    shown = Privacy(JournalSettings(), tmp_path).error(text, record(1))
    assert shown == "cannot reach amqp://127.0.0.1:5672/ nor https://example.com, see http://a/b@c"


def test_what_is_long_is_cut_and_what_is_odd_is_text(tmp_path: Path) -> None:
    circle: list[Any] = []
    circle.append(circle)
    body = {"long": "x" * 300, "many": list(range(1_000)), "big": 10**30, "path": Path("a"), "half": "\ud800"}
    body |= {"circle": circle, "number": float("nan")}
    fields = kept(body, tmp_path, fields=list(body), mask=["circle.deeper"])
    assert fields.pop("long") == "x" * 200 + "..."
    assert fields.pop("many").startswith("[0,1,2,")
    assert len(fields.pop("circle")) < 1_100
    assert fields == {"big": str(10**30), "path": "a", "half": "\\ud800", "number": None}


def test_a_failure_is_there_whatever_its_body_is(tmp_path: Path) -> None:
    circle: dict[str, Any] = {}
    circle["self"] = [circle]
    with writing(tmp_path, mask=["self"], never=["self.self"], fields=["self"]) as journal:
        journal.failed([failure(record(1, body=circle, raw="\ud800")), failure(record(2, raw=b"\xff"))], skipped=False)
    assert len(executions(tmp_path)) == 2


def test_the_key_is_for_its_owner_alone_and_all_workers_have_the_same(tmp_path: Path) -> None:
    assert len({Masks(tmp_path).of("x") for _ in range(3)}) == 1
    assert stat.S_IMODE((tmp_path / "mask.key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["mask.key"]
    assert Masks(tmp_path).known("x") == Masks(tmp_path).of("x")
    assert Masks(tmp_path / "elsewhere").known("x") is None


def test_what_cannot_be_masked_with_the_key_is_masked_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    masks = Masks(tmp_path / "file" / "no-folder")
    assert masks.of(NAME) == masks.of(NAME) != NAME


@pytest.mark.parametrize(
    "wrong",
    [
        {"level": "some"},
        {"keep": {"age": 0}},
        {"keep": {"size": "1MB"}},
        {"fields": ["a..b"]},
        {"mask": [""]},
        {"never": ["a b"]},
        {"more": 1},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JournalSettings.model_validate(wrong)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("al", "journal: expected 'all', 'failures' or 'off', found the text 'al'; did you mean 'all'?"),
        ({"level": "some"}, "journal.level: expected 'all', 'failures' or 'off', found the text 'some'"),
        ({"keep": {"size": 1}}, "journal.keep.size: must be at least 1048576, found the number 1"),
    ],
)
def test_what_is_wrong_in_a_spec_is_said_once(written: Any, message: str) -> None:
    sink = {"connector": "stdout"}
    spec = {"name": "orders", "trigger": {"connector": "schedule"}, "sink": sink, "journal": written}
    with pytest.raises(SpecError) as raised:
        loads(json.dumps(spec))
    assert [str(each).partition(": ")[2] for each in raised.value.problems if each.path.startswith("journal")] == [
        message
    ]


def test_a_level_stands_for_settings() -> None:
    assert JournalSettings.of("all") == JournalSettings(level="all")
    assert JournalSettings.of(JournalSettings(level="off")).level == "off"
    assert JournalSettings.model_validate({"keep": {"age": "7d", "size": "1MiB"}}).keep.age == 7 * 86400
