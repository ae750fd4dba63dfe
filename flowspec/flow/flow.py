"""A flow that is made in Python."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowspec import registry
from flowspec.errors import FlowError
from flowspec.expressions.errors import nearest
from flowspec.loading import Accounts, Problem, SpecError, find_accounts, load
from flowspec.loading.accounts import accounts_file
from flowspec.loading.document import Document, texts
from flowspec.loading.models import build
from flowspec.loading.placing import put_accounts
from flowspec.loading.problems import show_path
from flowspec.loading.variables import fill_in

if TYPE_CHECKING:
    from flowspec.connectors import Account
    from flowspec.flow.looked import Looked
    from flowspec.flow.running import Running
    from flowspec.graph import Graph
    from flowspec.spec import FlowSpec
    from flowspec.testing.running import Outcome

__all__ = ["Flow"]

_STATE_DIR = ".pipelines"
_MASK = "**********"
"""What pydantic writes in place of a secret."""
_Path = str | os.PathLike[str]


class Flow:
    """A flow that is made call by call; each call answers a new flow, and raises what is wrong with what it adds.

    Every kind of step is a method with what a spec has behind the kind: `flow.filter("total > 100", id="large")`.

    Raises:
        SpecError: on each call, with the mistakes that a spec file with the same in it has.
    """

    def __init__(self, name: str, *, accounts: _Path | None = None, **settings: Any) -> None:
        """Begin a flow.

        Args:
            name: Its name in logs, state and dead letters.
            accounts: The file of the accounts; found like that of a spec file without it.
            settings: What else a spec may say of a whole flow: `description`, `on_error`, `journal`, ...
        """
        self._accounts = accounts
        self._document: dict[str, Any] = {"name": name, **settings}
        self._raise_mistakes()

    @classmethod
    def load(cls, path: _Path, accounts: _Path | None = None) -> Flow:
        """The flow of a JSON or YAML file; its variables are filled in.

        Raises:
            SpecError: with everything that is wrong.
        """
        spec = load(path, accounts)
        found = accounts_file(None if accounts is None else Path(accounts), Path(path).parent, os.environ)
        return cls(accounts=found, **{name: getattr(spec, name) for name in spec.model_fields_set})

    def trigger(self, connector: str, event: str | None = None, /, **fields: Any) -> Flow:
        """Start the flow when something happens in another system; it takes the place of the trigger before it.

        Args:
            connector: The system, as `amazon-sqs`.
            event: What happens there; may be left out where the connector has just one.
            fields: The fields of the trigger.
        """
        return self._changed(trigger=_part("event", connector, event, fields))

    def sink(self, connector: str, action: str | None = None, /, **fields: Any) -> Flow:
        """Have the records go to a system, and to the sinks that were added before.

        Args:
            connector: The system, as `rabbitmq`.
            action: What is done there; may be left out where the connector has just one.
            fields: The fields of the action.
        """
        return self._changed(sinks=[*self._document.get("sinks", []), _part("action", connector, action, fields)])

    def __getattr__(self, name: str) -> Callable[..., Flow]:
        """A step of a kind: `flow.filter(...)` adds a step `{"filter": ...}`."""
        if name.startswith("_"):
            raise AttributeError(name)
        kinds = registry.steps()
        if name not in kinds:
            near = nearest(name, dir(self))
            known = f"steps: {', '.join(kinds)}"
            msg = f"a flow has no step {name!r}; " + (f"did you mean {near!r}? ({known})" if near else known)
            raise AttributeError(msg)

        def add(content: Any, /, **options: Any) -> Flow:
            return self._changed(steps=[*self._document.get("steps", []), {name: content, **options}])

        add.__name__, add.__doc__ = name, registry.step(name).__doc__
        return add

    def __dir__(self) -> list[str]:
        """For the completion of editors: methods, and kinds of steps."""
        return sorted({*(name for name in super().__dir__() if not name.startswith("_")), *registry.steps()})

    @property
    def name(self) -> str:
        """Name of the flow."""
        return str(self._document["name"])

    @property
    def spec(self) -> FlowSpec:
        """The model of the flow.

        Raises:
            SpecError: it has no trigger or no sink yet.
        """
        return self._built(self._document, self._known_accounts())

    def preview(
        self, most: int = 10, *, wait: float = 2.0, through: str | None = None, state_dir: _Path = _STATE_DIR
    ) -> Looked:
        """Look at the next records of the trigger, and at what the steps make of them, without consuming them.

        Args:
            most: How many records, at most.
            wait: How many seconds to wait for the first one.
            through: The last step that is looked at; all of them without it.
            state_dir: Where the flow keeps its cursor; it is only read.

        Raises:
            SpecError: the flow has no trigger or no sink yet.
            TransientError: the trigger's system cannot be reached at present.
            FatalError: there is no looking without consuming.
            FlowError: the flow has no step `through`.
        """
        from flowspec.flow.looked import Looked
        from flowspec.preview import preview

        spec = self.spec
        return Looked(spec, preview(spec, most, wait, through=through, state_dir=Path(state_dir)), through)

    def run(
        self,
        *,
        limit: int | None = None,
        until_idle: float | None = None,
        timeout: float | None = None,
        state_dir: _Path = _STATE_DIR,
    ) -> Running:
        """Run the flow in the background; it ends with this process at the latest.

        Args:
            limit: Stop after that many records.
            until_idle: Stop when nothing came for that many seconds and everything is delivered.
            timeout: Stop after that many seconds.
            state_dir: Where cursors, dead letters and the journal are.

        Raises:
            SpecError: the flow has no trigger or no sink yet.
            FlowError: it runs already in this process.
        """
        from flowspec.delivery.run import FlowRun
        from flowspec.flow.running import Running

        spec = self.spec
        return Running(spec, FlowRun(spec.name, Path(state_dir), limit=limit, until_idle=until_idle), timeout)

    def test(
        self,
        given: Sequence[Any],
        expect: dict[str, Any] | None = None,
        *,
        joined: dict[str, Sequence[Any]] | None = None,
        answers: dict[str, dict[str, Any]] | None = None,
    ) -> Outcome:
        """Run records through the steps, between a trigger and sinks in memory; nothing is connected.

        Args:
            given: The records, as the tests of a spec have them: bodies, or objects with `body` or `payload`.
            expect: What is expected, as the tests of a spec have it: `{"sink": [...], "dead_letters": [...]}`.
            joined: The records of the other triggers of `join` steps, by the ids of the steps.
            answers: What other systems answer to steps that ask them, as the tests of a spec have it.

        Returns:
            What the flow made of them.

        Raises:
            AssertionError: it is something else, with the difference.
            SpecError: the flow, or what is given or expected, is wrong.
        """
        from flowspec.flow.tried import tried

        return tried(self.spec, given, expect, answers, joined)

    def graph(self) -> Graph:
        """The parts of the flow: a picture in a notebook, text in a terminal, and `as_mermaid()` for a README.

        Raises:
            SpecError: the flow has no trigger or no sink yet.
        """
        from flowspec.graph import Graph

        return Graph.of(self.spec)

    def to_spec(self) -> dict[str, Any]:
        """The document of the flow, as a spec file has it.

        Secrets that were given outside of the accounts file are masked, and variables are what they stood for.

        Raises:
            SpecError: the flow has no trigger or no sink yet.
            FlowError: a function was defined in a notebook, or has no name: no other process could import it.
        """
        spec = self.spec
        try:
            return spec.to_spec()
        except ValueError as error:
            msg = f"{spec.name} cannot be written as a spec: {error}"
            raise FlowError(msg) from None

    def save(self, path: _Path) -> None:
        """Write the flow to a JSON file that `pipelines run` takes; see `to_spec`.

        Raises:
            SpecError: the flow has no trigger or no sink yet.
            FlowError: a function has no name by which it can be imported, an account with a secret is not in the
                accounts file, or the file cannot be written.
        """
        document = self.to_spec()
        masked = [show_path(path) for path, text in texts(document) if text == _MASK and "account" in path]
        if masked:
            msg = (
                f"{self.name} cannot be saved: {' and '.join(masked)} is secret, and no spec has secrets in it; "
                "put the account into accounts.toml, and give its name"
            )
            raise FlowError(msg)
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        try:
            Path(path).write_text(text, encoding="utf-8")
        except OSError as error:
            msg = f"{path} cannot be written: {error.strerror or error}"
            raise FlowError(msg) from None

    def __repr__(self) -> str:
        try:
            return self.graph().as_text()
        except SpecError:
            parts = {key: value for key, value in self._document.items() if key in ("trigger", "steps", "sinks")}
            counts = ", ".join(f"{len(parts.get(key, []))} {key}" for key in ("steps", "sinks"))
            return f"{self.name}: {'no' if 'trigger' not in parts else 'a'} trigger, {counts}"

    def _repr_svg_(self) -> str | None:
        try:
            return self.graph().as_svg()
        except SpecError:
            return None

    def _changed(self, **parts: Any) -> Flow:
        return Flow(accounts=self._accounts, **{**self._document, **parts})

    def _raise_mistakes(self) -> None:
        """Raise what is wrong, apart from what is not there yet."""
        to_come = self._problems({"name": "flow"})
        if mistakes := [problem for problem in self._problems(self._document) if problem not in to_come]:
            raise SpecError(mistakes)

    def _problems(self, value: dict[str, Any]) -> list[Problem]:
        try:
            self._built(value, _Unguarded(**vars(self._known_accounts())))
        except SpecError as error:
            return error.problems
        return []

    def _known_accounts(self) -> Accounts:
        return find_accounts(None if self._accounts is None else Path(self._accounts), None, os.environ)

    def _built(self, value: dict[str, Any], accounts: Accounts) -> FlowSpec:
        document = fill_in(Document("flow", value, {}, {}), os.environ, Path())
        return build(put_accounts(document, accounts))


class _Unguarded(Accounts):
    """Accounts whose file is not looked at again for who may read it, on each call that makes a flow."""

    def warn_if_readable(self, used: Iterable[tuple[str, type[Account]]]) -> None:
        """The flow that is used says it."""


def _part(key: str, connector: str, name: str | None, fields: dict[str, Any]) -> dict[str, Any]:
    return {"connector": connector, **({} if name is None else {key: name}), **fields}
