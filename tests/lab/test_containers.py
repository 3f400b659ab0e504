"""The container lab gives real containers: other files, other users, real limits, real signals."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.containers import Engine

pytestmark = pytest.mark.container

DOCKERFILE = """
FROM debian:bookworm-slim
ARG WORD
COPY greeting /greeting
RUN echo "$WORD" >> /greeting
ENTRYPOINT ["cat", "/greeting"]
"""


def test_an_unmodified_from_line_finds_the_base_image(containers: Engine, tmp_path: Path) -> None:
    containers.base()
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "greeting").write_text("hello\n")
    image = containers.build(tmp_path, "localhost/lab/self-test", arguments={"WORD": "lab"})
    assert containers.run(image).stdout == "hello\nlab\n"


def test_a_container_runs_as_the_user_and_with_the_files_it_is_given(containers: Engine, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("from outside\n")
    ran = containers.run(
        containers.base(), "sh", "-c", 'id -u; cat /mnt/note; echo "$WORD"; exit 7',
        env={"WORD": "said"}, mounts={tmp_path / "note": "/mnt/note"}, options=["--user=1101:1101", "--read-only"],
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (7, "1101\nfrom outside\nsaid\n")


def test_memory_is_limited_for_real(containers: Engine) -> None:
    limits = ["--memory=32m", "--memory-swap=32m"]
    ran = containers.run(containers.base(), "sh", "-c", "exec tail /dev/zero", options=limits)
    assert ran.returncode == 137


def test_a_running_container_gets_the_signals_it_is_sent(containers: Engine) -> None:
    script = 'trap "echo got TERM; exit 3" TERM; echo ready; while :; do sleep 0.05; done'
    with containers.start(containers.base(), "sh", "-c", script) as container:
        with container.follow() as log:
            assert log.stdout is not None
            assert log.stdout.readline() == "ready\n"
            assert container.exec("echo", "inside").stdout == "inside\n"
            container.stop(30)
        assert container.wait() == 3
        assert "got TERM" in container.logs()
