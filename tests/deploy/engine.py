"""Images that are built, and containers that run, where the tools for that are."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.deploy.files import ROOT
from tests.pipelines.flows import eventually
from tests.servers.maven import CACHE, keep
from tests.servers.missing import missing

__all__ = ["Container", "Engine", "engine", "root_file_system"]

TOOLS = ("buildah", "podman", "runc", "mmdebstrap")
_TIMEOUT = 600.0
_DEBIAN = "bookworm"
_PACKAGES = ("ca-certificates", "python3", "python3-pip", "python3-venv")
_CONFIG = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
netns = "host"
cgroupns = "host"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
"""For machines on which containers are made in containers: they keep the network and the control groups."""


class Engine:
    """Buildah and Podman with images, containers and volumes of their own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        config = directory / "containers.conf"
        config.write_text(_CONFIG)
        self._environment = {**os.environ, "CONTAINERS_CONF": str(config), "STORAGE_DRIVER": "vfs"}
        self.runroot = Path(tempfile.mkdtemp(prefix="run-"))
        """What Podman keeps while containers run; its path may have fifty characters only."""
        self._store = [f"--root={directory / 'root'}", f"--runroot={self.runroot}"]

    def build(self, image: str, base: Path, *options: str) -> None:
        """Build the project's Dockerfile on a root file system in place of its base image."""
        self.podman("import", "--quiet", str(base), "localhost/base")
        isolated = ["--isolation=chroot", "--format=docker", "--build-arg=BASE_IMAGE=localhost/base"]
        self._run(["buildah", *self._store, "bud", *isolated, *self._pip(), *options, f"--tag={image}", str(ROOT)])

    def volume(self, name: str) -> Path:
        """Where the files of a volume are on this machine."""
        return Path(self.podman("volume", "inspect", "--format={{.Mountpoint}}", name).strip())

    def podman(self, *arguments: str) -> str:
        """What a command of Podman prints."""
        return self._run(["podman", *self._store, *arguments])

    @contextmanager
    def running(self, name: str, *arguments: str) -> Iterator[Container]:
        """A container that is removed at the end of the block."""
        log = self._directory / f"{name}.log"
        command = ["podman", *self._store, "run", "--rm", f"--name={name}", *arguments]
        with log.open("ab") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, env=self._environment)
        try:
            yield Container(self, name, process, log)
        finally:
            if process.poll() is None:
                self.podman("rm", "--force", "--time=0", name)
            process.wait(_TIMEOUT)

    def _pip(self) -> Iterator[str]:
        """How the build reaches packages: as this machine does."""
        lines = ["[global]"]
        certificates = os.environ.get("PIP_CERT")
        if certificates:
            lines.append(f"cert = {certificates}")
            yield f"--volume={certificates}:{certificates}:ro"
        if index := os.environ.get("PIP_INDEX_URL"):
            lines.append(f"index-url = {index}")
        config = self._directory / "pip.conf"
        config.write_text("\n".join(lines) + "\n")
        yield f"--secret=id=pip.conf,src={config}"

    def _run(self, command: Sequence[str]) -> str:
        answer = subprocess.run(
            command, capture_output=True, text=True, check=False, env=self._environment, timeout=_TIMEOUT
        )
        assert answer.returncode == 0, f"{' '.join(command)}\n{answer.stdout[-2000:]}\n{answer.stderr[-4000:]}"
        return answer.stdout


class Container:
    """One that runs."""

    def __init__(self, engine: Engine, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self._engine = engine
        self._name = name
        self._process = process
        self._log = log

    @property
    def log(self) -> str:
        """What it has said, and those of its name before it."""
        return self._log.read_text()

    def eventually(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until a condition holds, as long as the container runs."""
        eventually(lambda: self._process.poll() is not None or condition(), what, lambda: self.log)
        assert self._process.poll() is None, self.log

    def execute(self, *command: str) -> str:
        """What a command prints in it."""
        return self._engine.podman("exec", self._name, *command).strip()

    def is_healthy(self) -> bool:
        """What the health check of its image says."""
        try:
            self._engine.podman("healthcheck", "run", self._name)
        except AssertionError:
            return False
        return True

    def stop(self, seconds: int) -> int:
        """Stop it as Docker does: SIGTERM, and SIGKILL after so many seconds; answers the exit code."""
        self._engine.podman("stop", f"--time={seconds}", self._name)
        return self._process.wait(_TIMEOUT)


@contextmanager
def engine(directory: Path) -> Iterator[Engine]:
    """The tools; skips where they are missing, or may not do their work."""
    lacking = [tool for tool in TOOLS if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if lacking or os.geteuid() != 0:
        reason = f"{', '.join(lacking)} not installed" if lacking else "only root can do that here"
        missing("a container engine", f"{reason}; on Debian, as root: apt-get install {' '.join(TOOLS)}", excused=True)
    made = Engine(directory)
    try:
        yield made
    finally:
        # Images are large, and the directories of former tests are kept.
        shutil.rmtree(directory)
        shutil.rmtree(made.runroot)


def root_file_system() -> Path:
    """Debian's Python as an archive, made once and kept; skips where Debian's packages are not to be had."""
    archive = CACHE / f"{_DEBIAN}-python.tar"
    if not archive.exists():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as fresh:
            made = Path(fresh, archive.name)
            command = ["mmdebstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", _DEBIAN, str(made)]
            answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT)
            if answer.returncode != 0:
                missing("a root file system", f"mmdebstrap: {answer.stderr[-1000:]}", excused=True)
            keep(made, archive)
    return archive
