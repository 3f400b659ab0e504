"""Real containers without an engine of the machine: podman and runc with a configuration and a storage of their own.

Nothing global is read or written; images and layers are kept between runs under the temporary directory, so that the
base image (some 8 s to build out of Debian's packages) and unchanged layers of a Dockerfile are made only once. What is
no longer needed goes (``housekeeping.py``).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab import housekeeping
from tests.lab.stores import LabUnavailable

PROGRAMS = ("podman", "runc", "mmdebstrap")

# Root in a sandbox may lack CAP_SYS_RESOURCE, and its cgroups are often v1 with a hybrid v2 mount: crun refuses the
# latter, and podman's default limits the former. No network backend is ever used, yet podman wants one: cni needs no
# package. static_dir stays where graphroot has it, or the process that cleans up behind a container looks elsewhere.
CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=8192:8192", "nproc=8192:8192"]
base_hosts_file = "none"
netns = "none"
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{directory}/tmp"
image_copy_tmp_dir = "{directory}/scratch"
[network]
network_backend = "cni"
"""
STORAGE_CONF = """
[storage]
driver = "overlay"
graphroot = "{directory}/graph"
runroot = "{directory}/run"
[storage.options.overlay]
skip_mount_home = "true"
"""


@dataclass(frozen=True)
class Container:
    """A container that was started in the background."""

    engine: Engine
    name: str

    def exec(self, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.engine.podman("exec", self.name, *argv, check=check)

    def kill(self, signal: str = "TERM") -> None:
        self.engine.podman("kill", "--signal", signal, self.name)

    def stop(self, seconds: int = 10) -> None:
        """TERM, and KILL after so many seconds: what a scheduler does."""
        self.engine.podman("stop", "--time", str(seconds), self.name)

    def wait(self, timeout: float = 120) -> int:
        """The exit code of its first process."""
        return int(self.engine.podman("wait", self.name, timeout=timeout).stdout)

    def logs(self) -> str:
        """What it wrote so far, both streams."""
        answer = self.engine.podman("logs", self.name)
        return answer.stdout + answer.stderr

    def follow(self) -> subprocess.Popen[str]:
        """``podman logs --follow``, for tests that wait for a line."""
        argv = [*self.engine.argv("logs", "--follow", self.name)]
        return subprocess.Popen(
            argv, env=self.engine.environ(), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def remove(self) -> None:
        self.engine.podman("rm", "--force", "--time", "0", self.name, check=False)


class Engine:
    """podman, shut off from the machine's own containers."""

    def __init__(self, directory: Path) -> None:
        """Raises LabUnavailable where containers cannot be had."""
        missing = [name for name in PROGRAMS if not shutil.which(name)]
        if missing:
            raise LabUnavailable(f"lab: {', '.join(missing)} missing: apt-get install podman runc mmdebstrap")
        if os.geteuid() != 0:
            raise LabUnavailable("lab: containers need root here")
        self.directory = directory
        self.scratch = directory / "scratch"
        for name in ("graph", "run", "tmp", "config", "scratch", "used"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        self._write("containers.conf", CONTAINERS_CONF.format(directory=directory))
        self._write("storage.conf", STORAGE_CONF.format(directory=directory))
        self._write("policy.json", json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
        self._write("registries.conf", 'unqualified-search-registries = ["docker.io"]\n')
        shown = self.podman("ps", check=False)
        if shown.returncode:
            raise LabUnavailable(f"lab: podman does not work here: {' '.join(shown.stderr.split())}")

    # --- podman itself

    def argv(self, *arguments: str) -> list[str]:
        return ["podman", *arguments]

    def environ(self) -> dict[str, str]:
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.directory),
            "TMPDIR": str(self.scratch),
            "CONTAINERS_CONF": str(self.directory / "config/containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.directory / "config/storage.conf"),
            "CONTAINERS_REGISTRIES_CONF": str(self.directory / "config/registries.conf"),
        }

    def podman(
        self, *arguments: str, check: bool = True, timeout: float = 300, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """One podman command. Raises AssertionError with what it said when it fails and ``check`` is set."""
        answer = subprocess.run(
            self.argv(*arguments),
            cwd=self.scratch,  # where conmon leaves an empty file "oom" when the kernel has struck
            env=self.environ(),
            text=True,
            capture_output=True,
            timeout=timeout,
            input=stdin,
        )
        if check and answer.returncode:
            raise AssertionError(
                f"podman {' '.join(arguments)}: status {answer.returncode}\n{answer.stdout}{answer.stderr}"
            )
        return answer

    # --- images

    def base(self, suite: str = "bookworm", include: Sequence[str] = ()) -> str:
        """Debian out of its packages, as ``debian:SUITE-slim``; with more packages under a name of its own.

        An unmodified ``FROM debian:bookworm-slim`` finds it. Raises LabUnavailable without a Debian mirror.
        """
        tag = f"docker.io/library/debian:{suite}-slim"
        if include:
            digest = hashlib.sha256(" ".join(sorted(include)).encode()).hexdigest()[:12]
            tag = f"localhost/lab/{suite}-{digest}"
        with self._making("base"):
            housekeeping.mark(self, tag).touch()
            if self.podman("image", "exists", tag, check=False).returncode == 0:
                return tag
            tree = self.scratch / f"{suite}-{uuid.uuid4().hex}.tar"
            more = [f"--include={','.join(include)}"] if include else []
            made = subprocess.run(
                ["mmdebstrap", "--quiet", "--variant=minbase", *more, suite, str(tree)],
                env={**self.environ(), "TMPDIR": _roomy_tmpdir()},
                text=True,
                capture_output=True,
            )
            if made.returncode:
                raise LabUnavailable(f"lab: no base image of {suite}: {' '.join(made.stderr.split()[-40:])}")
            try:
                path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
                self.podman("import", "--quiet", "--change", f"ENV PATH={path}", "--change", "CMD sh", str(tree), tag)
            finally:
                tree.unlink()
        return tag

    def build(
        self,
        context: Path,
        tag: str,
        *,
        dockerfile: Path | None = None,
        network: str = "none",
        arguments: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> str:
        """Builds as ``docker build`` does, never pulling; ``network="host"`` for what needs package mirrors."""
        words = ["build", "--pull=never", "--format", "docker", f"--network={network}", "--tag", tag]
        words += [f"--file={dockerfile}"] if dockerfile else []
        words += [f"--build-arg={name}={value}" for name, value in (arguments or {}).items()]
        with self._making(tag):
            # A Python is compiled, with profiles: two minutes on idle cores, many on busy ones.
            self.podman(*words, *options, str(context), timeout=3000)
        return tag

    def tag(self, image: str, name: str) -> None:
        """Gives it another name."""
        housekeeping.mark(self, name).touch()
        self.podman("tag", image, name)

    @contextlib.contextmanager
    def names_of_documentation(self) -> Iterator[None]:
        """What documentation and examples call their images and those these are made of is always the same: nobody else
        gives the names to something else meanwhile.
        """
        with (self.directory / "documentation.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # --- containers

    def run(
        self,
        image: str,
        *argv: str,
        env: Mapping[str, str] | None = None,
        mounts: Mapping[Path, str] | None = None,
        hosts: Mapping[str, str] | None = None,
        network: str = "none",
        options: Sequence[str] = (),
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Runs to the end; ``returncode`` is the container's. ``network="host"`` reaches servers on 127.0.0.1."""
        words = self._words(env, mounts, hosts, network)
        return self.podman("run", "--rm", *words, *options, image, *argv, check=False, timeout=timeout)

    @contextlib.contextmanager
    def start(
        self,
        image: str,
        *argv: str,
        env: Mapping[str, str] | None = None,
        mounts: Mapping[Path, str] | None = None,
        hosts: Mapping[str, str] | None = None,
        network: str = "none",
        options: Sequence[str] = (),
    ) -> Iterator[Container]:
        """Starts in the background; the container is gone when the block ends."""
        container = Container(self, f"lab-{uuid.uuid4().hex[:12]}")
        words = self._words(env, mounts, hosts, network)
        try:
            self.podman("run", "--detach", "--name", container.name, *words, *options, image, *argv)
            yield container
        finally:
            container.remove()

    @staticmethod
    def _words(
        env: Mapping[str, str] | None, mounts: Mapping[Path, str] | None, hosts: Mapping[str, str] | None, network: str
    ) -> list[str]:
        words = ["--pull=never", f"--network={network}"]
        words += [f"--env={name}={value}" for name, value in (env or {}).items()]
        words += [f"--volume={source}:{target}" for source, target in (mounts or {}).items()]
        words += [f"--add-host={name}:{address}" for name, address in (hosts or {}).items()]
        return words

    # --- the engine's own house

    def _write(self, name: str, text: str) -> None:
        """By rename: other workers may be reading the same file."""
        path = self.directory / "config" / name
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_text(text)
        fresh.rename(path)

    @contextlib.contextmanager
    def _making(self, name: str) -> Iterator[None]:
        """Nobody else makes it meanwhile, and housekeeping knows that it is wanted."""
        with housekeeping.mark(self, name).open("w") as handle:
            os.utime(handle.fileno())
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


@contextlib.contextmanager
def engine() -> Iterator[Engine]:
    """The lab's engine, its storage kept from run to run in one place under the temporary directory."""
    lab = Engine(Path(tempfile.gettempdir()) / f"modelarts-bootstrap-lab-{os.getuid()}")
    with housekeeping.living_in(lab):
        yield lab


def _roomy_tmpdir() -> str:
    """Unpacking thousands of small files is several times faster in memory, where there is enough of it."""
    with contextlib.suppress(OSError):
        room = os.statvfs("/dev/shm")
        if room.f_bavail * room.f_frsize > 2 << 30:
            return "/dev/shm"
    return tempfile.gettempdir()
