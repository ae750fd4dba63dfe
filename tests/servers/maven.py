"""Java programs for tests, got once from Maven's registry and kept."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

__all__ = ["CACHE", "MavenError", "UnreachableError", "jars", "keep"]

CACHE = Path(__file__).parents[2] / ".cache"
_TIMEOUT = 300.0


class MavenError(Exception):
    """A program is not to be had, and why."""


class UnreachableError(MavenError):
    """Nothing is to be had."""


def jars(name: str, *artifacts: str) -> Path:
    """The folder of all jars that a program needs.

    Args:
        name: What it is called in the cache, with its version.
        artifacts: What it consists of: `group:artifact:version`.

    Raises:
        UnreachableError: Maven's registry does not answer.
        MavenError: Java or Maven is not installed, or the registry does not have it.
    """
    folder = CACHE / name
    if not folder.exists():
        if missing := [tool for tool in ("java", "mvn") if shutil.which(tool) is None]:
            msg = f"{' and '.join(missing)} not installed"
            raise MavenError(msg)
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as fresh:
            try:
                _copy(Path(fresh), artifacts)
            except MavenError as error:
                if not _answers():
                    raise UnreachableError(str(error)) from error
                raise
            keep(Path(fresh, "jars"), folder)
    return folder


def keep(made: Path, final: Path) -> None:
    """Give what is complete the name by which it is found."""
    try:
        made.rename(final)
    except OSError:
        if not final.exists():
            raise
        # Another test process was faster.


def _copy(directory: Path, artifacts: Iterable[str], *options: str) -> None:
    dependencies = "".join(
        "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>".format(
            *artifact.split(":")
        )
        for artifact in artifacts
    )
    (directory / "pom.xml").write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>tests</groupId><artifactId>server</artifactId><version>1</version>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )
    command = ["mvn", "-q", "-B", "-Dstyle.color=never", "dependency:copy-dependencies"]
    command += ["-DincludeScope=runtime", "-DoutputDirectory=jars", *options]
    try:
        subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=_TIMEOUT, check=True)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        # Its first line says what went wrong, the others where to read more.
        why = str(error.stdout or error).partition("\n")[0]
        msg = f"Maven cannot get {' and '.join(artifacts)}: {why}"
        raise MavenError(msg) from error


def _answers() -> bool:
    """Whether the registry gives anything at all: a small library, asked for as if it were the first time."""
    with tempfile.TemporaryDirectory() as empty:
        try:
            _copy(Path(empty), ["org.slf4j:slf4j-api:1.7.36"], f"-Dmaven.repo.local={empty}/repository")
        except MavenError:
            return False
    return True
