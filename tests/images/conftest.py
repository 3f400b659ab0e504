"""The images under test, built once for all workers of a run; unchanged layers are kept from run to run."""

from __future__ import annotations

import fcntl
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

    def target(self, name: str, base: str = "") -> str:
        """One target of Dockerfile.base."""

        def make() -> str:
            context = self.directory / f"context-{name}"
            context.mkdir()
            return recipe.build(self.engine, name, recipe.make_context(self.engine, context), base=base)

        return self.once(f"target-{name}", make)

    def image(self, name: str, dockerfile: str, files: Mapping[str, Path] | None = None) -> str:
        """An image of the user's, whose context holds copies of ``files``."""

        def make() -> str:
            context = self.directory / f"context-{name}"
            context.mkdir()
            (context / "Dockerfile").write_text(dockerfile)
            for relative, source in (files or {}).items():
                (context / relative).parent.mkdir(parents=True, exist_ok=True)
                if source.is_dir():
                    shutil.copytree(source, context / relative, symlinks=True, ignore=recipe.IGNORED)
                else:
                    shutil.copy2(source, context / relative)
            return self.engine.build(context, f"localhost/lab/{name}")

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
        return workshop.target("runtime")


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
    """A Python that is too old for the package, as ``python``: 3.6 where this machine has one, else bullseye's 3.9."""
    found = _an_old_python()
    with lab_or_skip():
        if found is None:
            base = workshop.engine.base("bullseye", include=["python3-minimal"])
            return workshop.image("old-python", f"FROM {base}\nRUN ln -s python3 /usr/bin/python{WITH_RUNTIME}")
        workshop.engine.base("bookworm")
    tree, name = found
    dockerfile = f"FROM debian:bookworm-slim\nCOPY python /usr/local\nRUN ldconfig; ln -sf {name} /usr/local/bin/python"
    return workshop.image("old-python", dockerfile + WITH_RUNTIME, {"python": tree})


def _an_old_python() -> tuple[Path, str] | None:
    """Where a Python 3.6, or the oldest one below 3.9, of this machine is installed, and its program's name."""
    managed = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for minor in (6, 7, 8):
        for program in sorted(managed.glob(f"*/bin/python3.{minor}")):
            return program.parent.parent, program.name
    return None


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


@pytest.fixture(params=["bullseye", "old_python", "busybox"])
def image(request: pytest.FixtureRequest) -> str:
    """An image of each kind that cannot run the package by itself, with the runtime copied in."""
    return str(request.getfixturevalue(request.param))


@pytest.fixture(scope="session")
def base_v1(workshop: Workshop, with_python: str) -> str:
    with lab_or_skip():
        return workshop.target("base-v1", base=with_python)


@pytest.fixture(scope="session")
def base_v2(workshop: Workshop, with_python: str) -> str:
    with lab_or_skip():
        return workshop.target("base-v2", base=with_python)


def shell(*lines: str) -> Sequence[str]:
    """A command of several lines for the image's own shell."""
    return ("sh", "-c", "\n".join(lines))
