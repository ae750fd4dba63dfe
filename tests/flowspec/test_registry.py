from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flowspec import registry
from flowspec.registry import RegistryError
from flowspec.steps.filter import Filter
from sources.amazon_sqs import AwsAccount, ListenQueue
from tests.flowspec.parts import Listen, ShopAccount, Store, Watch


def test_what_this_package_brings_is_found_by_its_entry_points() -> None:
    assert "amazon-sqs.listen-queue" in registry.triggers()
    assert {"amazon-sqs.send-message", "files.append", "stdout.print"} <= set(registry.actions())
    assert {"filter", "map", "python"} <= set(registry.steps())
    assert registry.trigger("amazon-sqs", "listen-queue") is ListenQueue
    assert registry.step("filter") is Filter


def test_the_event_may_be_left_out_where_there_is_one() -> None:
    assert registry.trigger("amazon-sqs") is ListenQueue
    assert registry.action("test-store") is Store
    with pytest.raises(RegistryError, match="'test-shop' has several events; add 'event', one of listen, watch"):
        registry.trigger("test-shop")


def test_an_unknown_name_is_answered_with_the_nearest_and_all() -> None:
    with pytest.raises(LookupError, match=r"unknown connector 'amazon-sqss'; did you mean 'amazon-sqs'\? \(conn.*shop"):
        registry.trigger("amazon-sqss")
    with pytest.raises(LookupError, match=r"'test-shop' has no event 'lisen'; did you mean 'listen'\? \(its events"):
        registry.trigger("test-shop", "lisen")
    with pytest.raises(LookupError, match="'test-store' has no trigger"):
        registry.trigger("test-store")
    with pytest.raises(LookupError, match=r"unknown step 'fliter'; did you mean 'filter'\? \(steps: .*map"):
        registry.step("fliter")


def test_connectors_are_listed_with_what_they_offer() -> None:
    connectors = {connector.name: connector for connector in registry.connectors()}
    assert list(connectors) == sorted(connectors)
    sqs = connectors["amazon-sqs"]
    assert (sqs.summary, sqs.triggers, sqs.account, sqs.errors) == ("Amazon SQS.", (ListenQueue,), AwsAccount, ())
    shop = connectors["test-shop"]
    assert (shop.triggers, shop.actions, shop.account) == ((Listen, Watch), (), ShopAccount)
    assert connectors["test-store"].account is None


def test_only_triggers_actions_and_steps_are_registered() -> None:
    with pytest.raises(TypeError, match="is not a trigger, action or step"):
        registry.register(dict)  # type: ignore[type-var]


def test_a_package_that_is_broken_breaks_nothing_else(tmp_path: Path) -> None:
    """A package of a third party, found by its entry points, whose module cannot be imported."""
    (tmp_path / "broken.py").write_text("import no_such_sdk\n")
    (tmp_path / "good.py").write_text(
        "from flowspec.steps.filter import Filter\n\n\nclass Keep(Filter):\n    kind = 'keep'\n"
    )
    metadata = tmp_path / "third-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: third\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[trigger_flows.triggers]\nbroken.listen = broken:Listen\n\n[trigger_flows.steps]\nkeep = good:Keep\n"
    )
    program = """
        from flowspec import registry
        from flowspec.schema import json_schema
        assert registry.step("keep").kind == "keep"
        assert registry.trigger("amazon-sqs").kind == "stream"
        assert "keep" in str(json_schema())
        (broken,) = [each for each in registry.connectors() if each.name == "broken"]
        print(broken.errors)
        try:
            registry.trigger("broken")
        except registry.RegistryError as error:
            print(error)
    """
    lines = run(program, tmp_path)
    assert len(lines) == 2
    for line in lines:
        assert "trigger 'broken.listen' cannot be loaded: ModuleNotFoundError: No module named 'no_such_sdk'" in line


def test_the_language_imports_neither_bytewax_nor_an_sdk(tmp_path: Path) -> None:
    lines = run(
        """
        import sys
        import flowspec
        assert "pydantic" not in sys.modules, "flowspec alone is lean"
        flowspec.json_schema()
        try:
            flowspec.loads('{"name": "a", "trigger": {"connector": "amazon-sqs"}, "sink": {"connector": "stdout"}}')
        except flowspec.SpecError as error:
            print(error)
        print(sorted({"bytewax", "boto3", "botocore", "ruamel"} & {name.split(".")[0] for name in sys.modules}))
        """,
        tmp_path,
    )
    assert lines == ["<spec>:1: trigger: 'queue_url' is missing", "1 problem found", "[]"]


def run(program: str, *path: Path) -> list[str]:
    """The lines that a program prints in a Python of its own."""
    root = Path(__file__).parents[2]
    code = f"import sys, textwrap\nsys.path[:0] = {[str(root), *map(str, path)]!r}\nexec(textwrap.dedent({program!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
