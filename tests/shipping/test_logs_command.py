"""``bootstrap logs``: of jobs that run, that ended, that were killed, from anywhere."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bootstrap.shipping.heartbeat import Heartbeat
from tests.e2e.conftest import Remote
from tests.e2e.job import BOOTSTRAP, LIMIT, Container
from tests.lab.faulty_proxy import FaultyProxy, reset
from tests.lab.processes import end
from tests.lab.waiting import until
from tests.shipping.conftest import enough, heartbeat, live_log, live_size, size

PLACE = {"PATH": os.defpath, "HOME": "/nonexistent"}


def logs(remote: Remote, *words: str, front: list[str] | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*(front or []), BOOTSTRAP, "logs", *words], env={**PLACE, **remote.env}, capture_output=True, timeout=LIMIT
    )


@contextmanager
def following(remote: Remote, out: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    with out.open("wb") as sink:
        process = subprocess.Popen(
            [BOOTSTRAP, "logs", "-f", *words], env={**PLACE, **remote.env}, stdout=sink, stderr=subprocess.PIPE
        )
    try:
        yield process
    finally:
        end(process)


def test_a_running_job_and_then_the_same_job_ended(talker: Container, remote: Remote) -> None:
    url = remote.bucket.url("logs/")
    words = ("--log", url, "--", "python3", "-u", "talk.py", "0.01", "50")
    with talker.running(*words, environ=remote.env) as process:
        until(lambda: live_size(remote.bucket), "nothing came")
        seen = logs(remote, url, front=talker.front)
        assert seen.returncode == 0, seen.stderr
        assert seen.stdout.startswith(b"line 000000000 ")
        assert talker.log.read_bytes().startswith(seen.stdout)
        assert b"node 0, attempt 1: last seen 20" in seen.stderr and b"in step launch" in seen.stderr
        assert b"killed" not in seen.stderr
        enough(talker)
        assert talker.finish(process).code == 0
    seen = logs(remote, url, front=talker.front)
    assert (seen.returncode, seen.stdout, seen.stderr) == (0, talker.log.read_bytes(), b"")


def test_following_ends_with_the_job_and_has_every_byte_once(
    talker: Container, plain_remote: Remote, tmp_path: Path
) -> None:
    url, out = plain_remote.bucket.url("logs/"), tmp_path / "seen"
    words = ("--log", url, "--", "python3", "-u", "talk.py", "0.002", "5000")
    with talker.running(*words, environ=plain_remote.env) as job:
        until(lambda: live_size(plain_remote.bucket), "nothing came")
        with following(plain_remote, out, url) as follower:
            until(lambda: size(out) > 2000, "it shows nothing")
            shown = size(out)
            until(lambda: size(out) > shown, "it does not go on")
            enough(talker)
            assert talker.finish(job).code == 0
            assert follower.wait(LIMIT) == 0
    assert out.read_bytes() == talker.log.read_bytes()


def test_a_killed_job_is_told_with_when_it_was_last_seen(talker: Container, plain_remote: Remote) -> None:
    bucket = plain_remote.bucket
    words = ("--log", bucket.url("logs/"), "--", "python3", "-u", "talk.py", "0.01", "50")
    with talker.running(*words, environ=plain_remote.env) as process:
        until(lambda: live_size(bucket), "nothing came")
        # the heartbeat comes behind the part that it tells of
        until(lambda: any(key.endswith("heartbeat.json") for key in bucket.list("logs/")), "no heartbeat came")
        process.kill()
        process.wait(LIMIT)
    enough(talker)
    seen = logs(plain_remote, bucket.url("logs/"))
    assert seen.stdout == live_log(bucket)
    last_seen = heartbeat(bucket)["last_seen"]
    assert last_seen.encode() in seen.stderr


def test_several_nodes_each_alone_or_all_with_their_number_in_front(
    talker: Container, plain_remote: Remote, tmp_path: Path
) -> None:
    url = plain_remote.bucket.url("logs/")
    out = tmp_path / "seen"
    base = {**plain_remote.env, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "BOOTSTRAP_INTERFACE": "lo"}
    jobs = []
    for rank in "01":
        script = f"echo start of {rank}; while [ ! -e enough ]; do sleep 0.05; done; printf 'end of {rank}'"
        log = {"RANK": rank, "BOOTSTRAP_LOG_FILE": str(talker.tmp / f"task-{rank}.log")}
        running = talker.running("--log", url, "--", "sh", "-c", script, environ={**base, **log})
        jobs.append((running, running.__enter__()))
    try:
        until(lambda: live_log_of(plain_remote, 0) and live_log_of(plain_remote, 1), "nothing came")
        alone = logs(plain_remote, url)
        assert alone.stdout == b"start of 0\n"
        assert b"there are others: 1" in alone.stderr
        assert logs(plain_remote, "--node", "1", url).stdout == b"start of 1\n"
        both = logs(plain_remote, "--node", "all", url)
        assert sorted(both.stdout.splitlines()) == [b"[0] start of 0", b"[1] start of 1"]
        with following(plain_remote, out, "--node", "all", url) as follower:
            until(lambda: size(out) > 20, "it shows nothing")
            enough(talker)
            assert [talker.finish(process).code for _, process in jobs] == [0, 0]
            assert follower.wait(LIMIT) == 0
        lines = [b"[0] end of 0", b"[0] start of 0", b"[1] end of 1", b"[1] start of 1"]
        assert sorted(out.read_bytes().splitlines()) == lines
        assert sorted(logs(plain_remote, "--node", "all", url).stdout.splitlines()) == lines
    finally:
        for running, _ in jobs:
            running.__exit__(None, None, None)


def test_nodes_whose_log_file_has_the_same_name_do_not_overwrite_each_other(
    tmp_path: Path, plain_remote: Remote
) -> None:
    url = plain_remote.bucket.url("logs/")
    for rank in "012":
        container = Container(tmp_path / f"node{rank}")  # a container of its own: job.log in each
        environ = {**plain_remote.env, "RANK": rank, "WORLD_SIZE": "3", "MASTER_ADDR": "127.0.0.1"}
        words = ("--interface", "lo", "--log", url, "--", "echo", f"node {rank}")
        assert container.run(*words, environ=environ).code == 0
    delivered = plain_remote.bucket.list("logs/")
    assert {"logs/job.log", "logs/node-1/job.log", "logs/node-2/job.run.json"} <= set(delivered)
    assert not [key for key in delivered if "attempt" in key], "none takes another for an earlier attempt of its own"
    assert logs(plain_remote, "--node", "2", url).stdout == b"node 2\n"
    assert logs(plain_remote, "--node", "all", url).stdout == b"[0] node 0\n[1] node 1\n[2] node 2\n"


def test_the_nodes_of_modelarts_v2_are_known_by_their_names(tmp_path: Path, plain_remote: Remote) -> None:
    url = plain_remote.bucket.url("logs/")
    for rank in "01":
        container = Container(tmp_path / f"node{rank}")
        environ = {**plain_remote.env, "MA_VJ_NAME": "ma-job-1", "MA_NUM_HOSTS": "2", "MA_TASK_NAME": "worker"}
        environ |= {"VC_TASK_INDEX": rank, "MA_LOG_DIR": str(container.tmp), "BOOTSTRAP_LOG_FILE": ""}
        words = ("--job-dir", ".", "--interface", "lo", "--log", url, "--", "echo", f"node {rank}")
        assert container.run(*words, environ=environ).code == 0
    assert "logs/bootstrap-worker-1.log" in plain_remote.bucket.list("logs/")
    assert logs(plain_remote, "--node", "all", url).stdout == b"[0] node 0\n[1] node 1\n"


def live_log_of(remote: Remote, node: int) -> bytes:
    keys = [key for key in remote.bucket.list("logs/") if f".parts/node-{node}." in key and key[-1].isdigit()]
    return b"".join(remote.bucket.get(key) for key in sorted(keys))


def test_an_earlier_attempt_on_request(talker: Container, plain_remote: Remote) -> None:
    url = plain_remote.bucket.url("logs/")
    for word in ("first", "second"):
        assert talker.run("--log", url, "--", "echo", word, environ=plain_remote.env).code == 0
    assert logs(plain_remote, url).stdout == b"second\n"
    assert logs(plain_remote, "--attempt", "1", url).stdout == b"first\n"


def test_a_log_in_a_directory_is_followed_as_well(talker: Container, tmp_path: Path) -> None:
    nas, out, nothing = tmp_path / "nas", tmp_path / "seen", Remote(None, {})  # type: ignore[arg-type]
    words = ("--log", str(nas), "--", "python3", "-u", "talk.py", "0.01", "50")
    with talker.running(*words) as job:
        until(lambda: size(nas / "job.log"), "nothing came")
        until(lambda: list(nas.glob("job.log.parts/*/heartbeat.json")), "no heartbeat")
        with following(nothing, out, str(nas)) as follower:
            until(lambda: size(out) > 2000, "it shows nothing")
            enough(talker)
            assert talker.finish(job).code == 0
            assert follower.wait(LIMIT) == 0
    assert out.read_bytes() == talker.log.read_bytes()


def test_in_a_directory_each_attempt_is_shown_by_its_number_also_one_that_runs_or_was_killed(
    talker: Container, tmp_path: Path
) -> None:
    nas, nothing = tmp_path / "nas", Remote(None, {})  # type: ignore[arg-type]
    with talker.running("--log", str(nas), "--", "sh", "-c", "echo first; sleep 60"):
        until(lambda: size(nas / "job.log"), "nothing came")
        until(lambda: list(nas.glob("job.log.parts/*/heartbeat.json")), "no heartbeat")
        assert logs(nothing, "--attempt", "1", str(nas)).stdout == b"first\n"
    talker.log.unlink()  # another container
    assert talker.run("--log", str(nas), "--", "echo", "second").code == 0
    assert logs(nothing, str(nas)).stdout == b"second\n"
    assert logs(nothing, "--attempt", "1", str(nas)).stdout == b"first\n"


def test_a_store_that_fails_for_a_moment_does_not_end_the_following(
    talker: Container, plain_remote: Remote, tmp_path: Path, faulty: FaultyProxy
) -> None:
    url, out = plain_remote.bucket.url("logs/"), tmp_path / "seen"
    words = ("--log", url, "--", "python3", "-u", "talk.py", "0.01", "50")
    with talker.running(*words, environ=plain_remote.env) as job:
        until(lambda: live_size(plain_remote.bucket), "nothing came")
        behind = Remote(plain_remote.bucket, {**plain_remote.env, "S3_ENDPOINT": faulty.endpoint})
        with following(behind, out, url) as follower:
            until(lambda: size(out), "it shows nothing")
            faulty.inject(reset(), times=None).fired.wait(LIMIT)
            time.sleep(0.5)
            faulty.clear()
            shown = size(out)
            until(lambda: size(out) > shown, "it does not go on")
            enough(talker)
            assert talker.finish(job).code == 0
            assert follower.wait(LIMIT) == 0
    assert out.read_bytes() == talker.log.read_bytes()


def test_who_has_been_silent_for_long_is_taken_to_be_gone(tmp_path: Path) -> None:
    trace = tmp_path / "job.log.parts" / "node-3.attempt-2.20260101T000000Z"
    trace.mkdir(parents=True)
    (trace / f"{0:016d}-{5:016d}").write_bytes(b"alive")
    beat = Heartbeat("2026-01-01T00:00:10.000+00:00", "fetch", 2, 3, 5, 10.0, "host-3")
    (trace / "heartbeat.json").write_bytes(beat.text())
    for path in trace.iterdir():
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    seen = logs(Remote(None, {}), str(tmp_path))  # type: ignore[arg-type]
    assert seen.stdout == b"alive"
    told = b"node 3, attempt 2: last seen 2026-01-01T00:00:10.000+00:00 (2 h ago) in step fetch, on host-3; killed"
    assert told in seen.stderr


@pytest.mark.parametrize("words", [[], ["--node", "7"], ["--attempt", "3"]])
def test_where_there_is_no_such_log_it_says_so(plain_remote: Remote, words: list[str]) -> None:
    plain_remote.bucket.put("logs/other.txt", b"no log")
    seen = logs(plain_remote, *words, plain_remote.bucket.url("logs/"))
    assert (seen.returncode, seen.stdout) == (111, b"")
    assert b"there is no log" in seen.stderr


@pytest.mark.parametrize("node", ["first", "-1", "²"])
def test_a_node_is_a_number_or_all(plain_remote: Remote, node: str) -> None:
    seen = logs(plain_remote, "--node", node, plain_remote.bucket.url("logs/"))
    assert seen.returncode == 101
    assert b"say the number of a node, or all" in seen.stderr


def test_the_store_and_the_keys_are_those_that_settings_name(plain_remote: Remote, tmp_path: Path) -> None:
    plain_remote.bucket.put("logs/job.log", b"said")
    store = plain_remote.bucket.store
    keys = tmp_path / "keys"
    keys.write_text(f"[default]\naws_access_key_id = {store.access_key}\naws_secret_access_key = {store.secret_key}\n")
    keys.chmod(0o600)
    environ = {**PLACE, "BOOTSTRAP_ENDPOINT": store.endpoint, "BOOTSTRAP_CREDENTIALS_FILE": str(keys)}
    url = plain_remote.bucket.url("logs/")
    seen = subprocess.run([BOOTSTRAP, "logs", url], env=environ, capture_output=True, timeout=LIMIT)
    assert (seen.returncode, seen.stdout) == (0, b"said"), seen.stderr
