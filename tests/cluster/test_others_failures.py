"""Another node's failure ends this node's command, and nothing else: nobody waits to kill us then."""

from __future__ import annotations

import time
from pathlib import Path

from tests.e2e.conftest import Remote
from tests.e2e.conftest import container as container
from tests.e2e.conftest import plain_remote as plain_remote
from tests.e2e.job import Container, Result
from tests.lab.faulty_proxy import Fault, FaultyProxy
from tests.lab.stores import free_ports
from tests.lab.waiting import until

SAVES = """
import os, signal, sys, time
def save(*_):
    open("out/model", "w").write("saved")
    sys.exit(9)
signal.signal(signal.SIGTERM, save)
open("armed-" + os.environ["RANK"], "w")
while not os.path.exists("go-" + os.environ["RANK"]): time.sleep(0.02)
sys.exit(3)
"""


def first_when_the_second_fails(container: Container, *words: str, **environ: str) -> Result:
    """How node 0 of two ends, whose command saves when it is asked to stop, since the other's has failed."""
    both = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "BOOTSTRAP_INTERFACE": "lo"}
    both |= {"BOOTSTRAP_MEET_PORT": str(free_ports(1)[0]), **environ}
    words = ("--on-peer-failure", "stop", *words, "--", "python3", "-c", SAVES)
    own = [{"RANK": rank, "BOOTSTRAP_LOG_FILE": str(container.tmp / f"task-{rank}.log")} for rank in "01"]
    with (
        container.running(*words, environ={**both, **own[0]}) as first,
        container.running(*words, environ={**both, **own[1]}) as second,
    ):
        for rank in "01":
            until(lambda rank=rank: (container.work / f"armed-{rank}").exists(), limit=90)
        (container.work / "go-1").touch()
        assert container.finish(second).code == 3
        return container.finish(first)


def test_it_does_not_start_our_grace_and_the_delivery_takes_as_long_as_it_needs(
    container: Container, plain_remote: Remote, faulty: FaultyProxy
) -> None:
    grace, slow = 2.0, 4.0
    faulty.inject(Fault("slow", first=lambda _: time.sleep(slow)), key="*out/model", method="PUT", times=None)
    output = f"out={plain_remote.bucket.url('out/')}"
    store = {**plain_remote.env, "S3_ENDPOINT": faulty.endpoint}
    ended = first_when_the_second_fails(container, "--grace", str(grace), "--output", output, **store)
    assert ended.code == 9, ended.stderr
    assert "the grace period is over" not in ended.stderr
    assert plain_remote.bucket.get("out/model") == b"saved"


def test_the_record_of_it_is_whole(container: Container) -> None:
    """The same on one machine, where nothing is to be delivered: the first failure is the other node's."""
    (container.work / "out").mkdir()
    assert first_when_the_second_fails(container).code == 9
    for rank in "01":
        text = Path(container.tmp / f"task-{rank}.run" / "run.json").read_text()
        assert '"node": 1' in text.partition('"first_failure"')[2][:200], text
