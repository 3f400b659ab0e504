"""The blocks of README and docs/ that call docker run, verbatim: `docker` is podman here, which is asked no registry.

Images that a reader has are stand-ins of the same kind. The Dockerfiles are built by ``test_documentation.py``.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import ALL, Block
from tests.docs.reader import Reader
from tests.images import recipe
from tests.images.conftest import Workshop
from tests.lab.containers import Engine
from tests.lab.typist import Typist

TRAIN = """\
import os
print("trained as", os.getuid())
open(os.path.join(os.environ["BOOTSTRAP_OUTPUT_DIR"], "model.bin"), "w").write("weights")
"""
MINE = """
FROM localhost/lab/python
COPY --from=localhost/modelarts-bootstrap:runtime /opt/bootstrap /opt/bootstrap
USER 1101:1101
ENTRYPOINT ["/opt/bootstrap/bin/bootstrap", "run", "--"]
"""


@pytest.fixture
def docker(containers: Engine, workshop: Workshop, runtime: str, with_python: str) -> Iterator[Reader]:
    """A reader with an engine, a clone, and an image of their own. One at a time: the blocks' names are the same."""
    place = Path(tempfile.mkdtemp(prefix="reader-", dir="/var/tmp"))
    reader = Reader(place, None, apart=False)
    reader.program("docker", recipe.docker(containers))
    workshop.image("python", f"FROM {with_python}\nRUN ln -s python3 /usr/bin/python")
    with containers.names_of_documentation():
        containers.podman("rm", "--force", "--ignore", "mine")
        containers.tag(workshop.image("mine", MINE), "localhost/my-image")
        yield reader
        containers.podman("rm", "--force", "--ignore", "mine")
    shutil.rmtree(place)


ONLY_US = ["--entrypoint=/opt/bootstrap/bin/bootstrap"]


def build(reader: Reader, block: str, engine: Engine) -> None:
    recipe.make_context(engine, reader.here)
    assert "modelarts-bootstrap:runtime" in reader.run(block, timeout=900)
    assert engine.run("localhost/modelarts-bootstrap:runtime", "--version", options=ONLY_US).returncode == 0


def tarball(reader: Reader, block: str, engine: Engine) -> None:
    """Twice, and the bytes are the same."""
    recipe.make_context(engine, reader.here)
    said = reader.run(block, timeout=900)
    assert "bootstrap-runtime.tar.gz: OK" in said
    first = (reader.here / "bootstrap-runtime.tar.gz.sha256").read_text()
    reader.run("docker/runtime.sh --tar again/bootstrap-runtime.tar.gz", before="mkdir again", timeout=900)
    assert (reader.here / "again/bootstrap-runtime.tar.gz.sha256").read_text() == first


def commit(reader: Reader, block: str, engine: Engine) -> None:
    """Somebody types into the shell of the first line, in a terminal."""
    reader.write("block", block)
    typist = Typist(reader.here)
    typist.resize(24, 80)
    try:
        typist.start(["bash", "-eu", "block"], reader.environ)
        typist.expect(b"# ", timeout=120)
        typist.type(b"touch /opt/installed; id -u\r")
        typist.expect(b"\r0\r\n")
        typist.type(b"cat\r")
        typist.expect(b"[?2004l")  # the shell has given the terminal away
        typist.type(b"to cat\r")
        typist.expect(b"to cat\r\nto cat\r\n")  # as it was typed, and what cat made of it
        typist.type(b"\x03")  # Ctrl-C ends the program, not the shell
        typist.expect(b"^C")
        typist.expect(b"# ")
        typist.type(b"exit 0\r")  # the last one ended with 130
        assert typist.process.wait(120) == 0, typist.read()
    finally:
        typist.close()
    ran = engine.run("localhost/my-image", "sh", "-c", "id -u; ls /opt", env={"BOOTSTRAP_JOB_DIR": "/tmp/job"})
    assert (ran.returncode, ran.stdout.split()) == (0, ["1101", "bootstrap", "installed"]), ran.stderr


def check(reader: Reader, block: str, engine: Engine) -> None:
    engine.podman("save", "--quiet", "--output", str(reader.here / "base.tar"), "localhost/lab/python")
    said = reader.run(block)
    document, _ = json.JSONDecoder().raw_decode(said[said.index("\n{") :].strip())
    assert document["platform"] == "dls"


def docker_run(reader: Reader, block: str, engine: Engine) -> None:
    reader.write("src/train.py", TRAIN)
    (reader.here / "scripts").symlink_to(recipe.PROJECT / "scripts")
    assert "trained as 1000" in reader.run(block)
    assert (reader.here / "out/model.bin").read_text() == "weights"


SETTINGS: dict[str, Callable[[Reader, str, Engine], None]] = {
    one.__name__: one for one in (build, tarball, commit, check, docker_run)
}


@pytest.mark.container
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("block", [block for block in ALL if block.how in SETTINGS], ids=str)
def test_it_runs_as_it_is_printed(docker: Reader, base_v1: str, block: Block, containers: Engine) -> None:
    SETTINGS[block.how](docker, block.text, containers)
