"""The images under test, built once for all workers of a run; unchanged layers are kept from run to run."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import lab_or_skip
from tests.images import recipe
from tests.lab.containers import Engine
from tests.lab.stores import Bucket

PROFILE = Path("/usr/share/containers/seccomp.json")
RUNTIME = "localhost/modelarts-bootstrap:runtime"
WITH_RUNTIME = f"""
COPY --from={RUNTIME} /opt/bootstrap /opt/bootstrap
ENTRYPOINT ["/opt/bootstrap/bin/bootstrap", "run", "--"]
"""


@dataclass(frozen=True)
class Workshop:
    """Makes an image at most once in a run, whichever worker asks first."""

    engine: Engine
    directory: Path

    def once(self, name: str, make: object) -> str:
        """The tag of what ``make()`` builds."""
        assert callable(make)
        with (self.directory / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = self.directory / f"{name}.tag"
            if not done.exists():
                done.write_text(make())
            return done.read_text()

    def runtime(self) -> str:
        """The target of Dockerfile.base for any image."""
        return self.once("target-runtime", lambda: recipe.runtime(self.engine, self.context("target-runtime")))

    def base_image(self, target: str, base: str) -> str:
        """One of its targets for ModelArts."""
        self.runtime()

        def make() -> str:
            return recipe.base_image(self.engine, target, self.context(f"target-{target}"), base)

        return self.once(f"target-{target}", make)

    def context(self, name: str) -> Path:
        """A clone, with the wheels that a build without a network needs."""
        context = self.directory / f"context-{name}"
        shutil.rmtree(context, ignore_errors=True)  # of a build that came to nothing
        context.mkdir()
        return recipe.make_context(self.engine, context)

    def image(self, name: str, dockerfile: str, files: Mapping[str, Path] | None = None, network: str = "none") -> str:
        """An image of the user's, whose context holds copies of ``files``."""

        def make() -> str:
            context = self.directory / f"context-{name}"
            shutil.rmtree(context, ignore_errors=True)
            context.mkdir()
            (context / "Dockerfile").write_text(dockerfile)
            for relative, source in (files or {}).items():
                (context / relative).parent.mkdir(parents=True, exist_ok=True)
                if source.is_dir():
                    shutil.copytree(source, context / relative, symlinks=True, ignore=recipe.IGNORED)
                else:
                    shutil.copy2(source, context / relative)
            return self.engine.build(context, f"localhost/lab/{name}", network=network)

        return self.once(name, make)


@pytest.fixture(scope="session")
def bootstrap() -> str:
    """The installed command."""
    return str(Path(sys.executable).with_name("bootstrap"))


@pytest.fixture(scope="session")
def workshop(containers: Engine, lab_directory: Path) -> Iterator[Workshop]:
    directory = lab_directory / "images"
    directory.mkdir(parents=True, exist_ok=True)
    with lab_or_skip():
        yield Workshop(containers, directory)


@pytest.fixture(scope="session")
def runtime(workshop: Workshop) -> str:
    with lab_or_skip():
        return workshop.runtime()


@pytest.fixture(scope="session")
def with_python(workshop: Workshop) -> str:
    """Debian with a Python of its own, which stands in for every image of that kind."""
    with lab_or_skip():
        return workshop.engine.base("bookworm", include=["python3-minimal"])


@pytest.fixture(scope="session")
def bullseye(workshop: Workshop, runtime: str) -> str:
    """glibc 2.31 and no Python."""
    with lab_or_skip():
        workshop.engine.base("bullseye")
    return workshop.image("bullseye", f"FROM debian:bullseye-slim{WITH_RUNTIME}")


@pytest.fixture(scope="session")
def old_python(workshop: Workshop, runtime: str) -> str:
    """A Python that is too old for the package, as ``python`` and whole: bullseye's 3.9. Any other is that of a prefix
    (a 3.6, say) that BOOTSTRAP_TEST_OLD_PYTHON names: nothing is looked for in anybody's home directory.
    """
    prefix = os.environ.get("BOOTSTRAP_TEST_OLD_PYTHON")
    if not prefix:
        with lab_or_skip():
            base = workshop.engine.base("bullseye", include=["python3"])
        dockerfile = f"FROM {base}\nRUN mkdir -p /usr/local/bin && ln -s /usr/bin/python3 /usr/local/bin/python"
        return workshop.image("old-python", dockerfile + WITH_RUNTIME)
    (program,) = sorted(Path(prefix).glob("bin/python3.[0-8]"))
    with lab_or_skip():
        workshop.engine.base("bookworm")
    dockerfile = "FROM debian:bookworm-slim\nCOPY python /usr/local\n"
    dockerfile += f"RUN ldconfig; ln -sf {program.name} /usr/local/bin/python"
    return workshop.image("old-python", dockerfile + WITH_RUNTIME, {"python": Path(prefix)})


@pytest.fixture(scope="session")
def busybox(workshop: Workshop, runtime: str) -> str:
    """No C library at all: one static program, which is also the shell."""
    program = shutil.which("busybox", path="/bin:/usr/bin:/sbin:/usr/sbin")
    if program is None:
        pytest.skip("lab: busybox is missing: apt-get install busybox-static")
    dockerfile = """
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "/bin"]
RUN mkdir -m 1777 /tmp
"""
    return workshop.image("busybox", dockerfile + WITH_RUNTIME, {"busybox": Path(program)})


@pytest.fixture(scope="session")
def base_v1(workshop: Workshop, with_python: str) -> str:
    with lab_or_skip():
        return workshop.base_image("base-v1", with_python)


@pytest.fixture(scope="session")
def base_v2(workshop: Workshop, with_python: str) -> str:
    with lab_or_skip():
        return workshop.base_image("base-v2", with_python)


@pytest.fixture
def without_clone3(tmp_path: Path) -> str:
    """The engine's own seccomp profile, but clone3 is refused as engines from before 2021 do: EPERM, not ENOSYS."""
    if not PROFILE.exists():
        pytest.skip(f"lab: {PROFILE} is missing: apt-get install golang-github-containers-common")
    profile = json.loads(PROFILE.read_text())
    for rule in profile["syscalls"]:
        rule["names"] = [name for name in rule["names"] if name != "clone3"]
    profile["syscalls"].append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1})
    (tmp_path / "seccomp.json").write_text(json.dumps(profile))
    return f"--security-opt=seccomp={tmp_path / 'seccomp.json'}"


def settings(bucket: Bucket) -> dict[str, str]:
    """Those of the main job, in the environment: the entry point takes only the command."""
    return {
        **bucket.store.env(),
        "BOOTSTRAP_CODE": bucket.url("proj/code/"),
        "BOOTSTRAP_OUTPUT": f"out={bucket.url('models/')}",
        "BOOTSTRAP_LOG": bucket.url("logs/"),
        "BOOTSTRAP_JOB_DIR": "/tmp/job",
        "BOOTSTRAP_LOG_FILE": "/tmp/job.log",
    }


def shell(*lines: str) -> Sequence[str]:
    """A command of several lines for the image's own shell."""
    return ("sh", "-c", "\n".join(lines))
