"""The Dockerfile agrees with what it packs: also where no container tool is there to build it."""

from __future__ import annotations

import json
import re
from importlib.metadata import distribution
from pathlib import Path

from tests.deploy.files import ROOT, is_served, run_options

INSTRUCTION = re.compile(r"([A-Z]+)\s+(.*)")
DOCKER_GRACE = 10.0
"""Seconds from Docker's SIGTERM to its SIGKILL."""


def instructions() -> list[tuple[str, str]]:
    """What the Dockerfile has the builder do, and how."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = [line for line in re.sub(r"\\\n\s*", " ", text).splitlines() if line]
    found = [match for line in lines if (match := INSTRUCTION.fullmatch(line))]
    assert len(found) == len(lines)
    return [(match[1], match[2]) for match in found]


def last(name: str) -> str:
    """How the image does something in the end."""
    return [how for what, how in instructions() if what == name][-1]


def copied() -> set[str]:
    """The files and folders that are copied from the project."""
    sources = [how.split()[:-1] for what, how in instructions() if what == "COPY" and "--from" not in how]
    return {each for source in sources for each in source}


def test_the_image_holds_all_packages() -> None:
    packages = (distribution("trigger-flows").read_text("top_level.txt") or "").split()
    assert copied() == {"pyproject.toml", "README.md", *packages}
    assert all((ROOT / each).exists() for each in copied())


def test_the_builder_is_sent_what_is_copied_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied()


def test_the_version_is_that_of_the_package() -> None:
    assert f'image.version="{distribution("trigger-flows").version}"' in last("LABEL")


def test_python_is_the_first_process_and_drains_in_time() -> None:
    # Lists: a shell in between would keep SIGTERM to itself.
    assert json.loads(last("ENTRYPOINT")) == ["python", "-m", "pipelines"]
    options = run_options(json.loads(last("CMD")))
    assert options["spec"] == Path("/flow/spec.json")
    assert options["drain_timeout"] < DOCKER_GRACE


def test_the_state_is_in_the_volume() -> None:
    assert run_options(json.loads(last("CMD")))["state_dir"] == Path(last("VOLUME"))


def test_the_user_is_a_number_that_is_not_root() -> None:
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last("USER"))


def test_the_health_check_asks_where_the_flow_answers() -> None:
    check = json.loads(re.sub(r"^.* CMD ", "", last("HEALTHCHECK")))[-1]
    compile(check, "HEALTHCHECK", "exec")
    host, port = run_options(json.loads(last("CMD")))["http"]
    assert host == "0.0.0.0"
    assert f"'127.0.0.1', {port}," in check
    assert int(last("EXPOSE")) == port
    (path,) = re.findall(r"'(/\w+)'", check)
    assert is_served(path)
