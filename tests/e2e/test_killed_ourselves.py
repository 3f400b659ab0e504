"""KILL of the bootstrap itself: its command is told, and what is left is ended by the next run."""

from __future__ import annotations

import os
import sys

from tests.e2e.job import Container
from tests.lab.waiting import until
from tests.process.conftest import alive

WRITER = (
    "import os, signal, time\nopen('pid', 'w').write(str(os.getpid()))\nos.rename('pid', 'ready')\n"
    "while True: time.sleep(0.02); open('beats', 'a').write('x')\n"
)


def killed(container: Container, *command: str) -> int:
    """A run whose bootstrap is killed; returns the number of the process that writes."""
    (container.work / "writer.py").write_text(WRITER)
    with container.running("--", *command) as process:
        container.wait_for(container.work / "ready")
        process.kill()
        process.wait()
        process.communicate()
    return int((container.work / "ready").read_text())


def test_the_command_does_not_outlive_us(container: Container) -> None:
    writer = killed(container, sys.executable, "writer.py")
    until(lambda: not alive(writer))


def test_what_it_left_is_named_and_ended_by_the_next_run(container: Container) -> None:
    """A shell is told of our death, and what it has started is not."""
    writer = killed(container, "bash", "-c", f"{sys.executable} writer.py; true")
    assert alive(writer)
    try:
        result = container.run("--", "true")
        assert result.code == 0, result.stderr
        assert not alive(writer)
        assert f"({writer})" in result.stderr and "an earlier run was killed" in result.stderr
    finally:
        if alive(writer):
            os.kill(writer, 9)


def test_another_run_that_is_well_is_left_alone(container: Container) -> None:
    (container.work / "writer.py").write_text(WRITER)
    with container.running("--log-file", str(container.tmp / "one.log"), "--", sys.executable, "writer.py") as process:
        container.wait_for(container.work / "ready")
        writer = int((container.work / "ready").read_text())
        result = container.run("--", "true")
        assert result.code == 0 and "earlier run" not in result.stderr, result.stderr
        assert alive(writer)
        process.terminate()
        container.finish(process)
