"""Jobs that run longer than their keys, through the installed command and a store that knows which keys have ended."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.credentials.test_renewal import Agent
from tests.e2e.job import Container, Result
from tests.lab.names import with_hosts
from tests.lab.stores import Bucket, Store
from tests.lab.strict_proxy import Obs
from tests.lab.waiting import until

TRAIN = """\
import os, time
for number in range(3):
    open(f"out/{number}", "w").write("weights")
open("trained", "w").close()
while not os.path.exists("go"):
    time.sleep(0.02)
"""
MADE = {str(number): b"weights" for number in range(3)}


@pytest.fixture
def bucket(obs: Obs, container: Container, tmp_path: Path) -> Bucket:
    made = obs.make_bucket()
    made.put("code/train.py", TRAIN)
    container.front = with_hosts(tmp_path / "hosts", obs.names())
    return made


class LongJob:
    """A job whose keys end while its command runs; ``then`` happens before the command goes on to its end."""

    def __init__(self, container: Container, bucket: Bucket, environ: dict[str, str]) -> None:
        self.container, self.bucket = container, bucket
        url = bucket.url
        self.words = ["--code", url("code/"), "--log", url("logs/"), "--output", f"out={url('out/')}"]
        self.environ = environ
        (container.work / "out").mkdir()

    def run(self, obs: Obs, last: Store, renewed: Agent | None = None) -> Result:
        with self.container.running(*self.words, "--", "python3", "code/train.py", environ=self.environ) as process:
            trained = self.container.work / "trained"
            until(lambda: trained.exists() or process.poll() is not None)
            assert process.poll() is None, process.communicate()
            obs.end(last)
            if renewed:
                renewed.renew()
            (self.container.work / "go").touch()
            return self.container.finish(process)


def without_keys(obs: Obs) -> dict[str, str]:
    return {name: value for name, value in obs.env().items() if "KEY" not in name}


def in_variables(obs: Obs, issued: Store) -> dict[str, str]:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    return {**without_keys(obs), **dict(zip(names, (issued.access_key, issued.secret_key, issued.token), strict=True))}


@pytest.mark.parametrize("code", ["InvalidSecurity", "ExpiredToken"])
def test_outputs_and_log_are_delivered_with_the_keys_that_are_in_the_file_by_then(
    container: Container, bucket: Bucket, obs: Obs, tmp_path: Path, code: str
) -> None:
    obs.policy.expired_as = code
    agent = Agent(obs, tmp_path / "keys", None)
    job = LongJob(container, bucket, {**without_keys(obs), "CREDENTIAL_PROFILES_FILE": str(agent.path)})
    result = job.run(obs, agent.issued[-1], renewed=agent)
    assert result.code == 0, result.stderr
    assert bucket.results("out/") == MADE and {"logs/job.log", "logs/job.run.json"} <= set(bucket.list("logs/"))
    assert "object store keys renewed" in result.stderr


def test_tokens_of_a_few_seconds_are_replaced_as_often_as_the_file_is_rewritten(
    container: Container, bucket: Bucket, obs: Obs, tmp_path: Path
) -> None:
    agent = Agent(obs, tmp_path / "keys", 4)
    job = LongJob(container, bucket, {**without_keys(obs), "AWS_SHARED_CREDENTIALS_FILE": str(agent.path)})
    job.words += ["--log-interval", "0.2"]
    with container.running(*job.words, "--", "python3", "code/train.py", environ=job.environ) as process:
        began = time.monotonic()
        while time.monotonic() - began < 6 or not (container.work / "trained").exists():
            assert process.poll() is None
            time.sleep(1)
            agent.renew()
        (container.work / "go").touch()
        while process.poll() is None and time.monotonic() - began < 60:
            agent.renew()
            time.sleep(0.5)
        result = container.finish(process)
    assert result.code == 0, result.stderr
    assert bucket.results("out/") == MADE


@pytest.mark.parametrize("code", ["InvalidSecurity", "ExpiredToken"])
def test_keys_that_end_with_nothing_newer_have_their_own_exit_code_and_words(
    container: Container, bucket: Bucket, obs: Obs, code: str
) -> None:
    obs.policy.expired_as = code
    issued = obs.issue()
    result = LongJob(container, bucket, in_variables(obs, issued)).run(obs, issued)
    assert result.code == 205, result.stderr
    record = result.record
    assert (record["exit_code"], record["reason_id"], record["user"]["status"]) == (205, "credentials-expired", 0)
    assert "the command succeeded, but" in record["reason"] and "AWS_ACCESS_KEY_ID" in record["reason"]
    assert {path.name for path in (container.work / "out").iterdir()} == {"0", "1", "2"}  # they wait on disk


def test_the_end_of_keys_does_not_hide_a_failure_of_the_command(container: Container, bucket: Bucket, obs: Obs) -> None:
    bucket.put("code/train.py", TRAIN + "raise SystemExit(7)\n")
    issued = obs.issue()
    result = LongJob(container, bucket, in_variables(obs, issued)).run(obs, issued)
    assert result.code == 7, result.stderr
