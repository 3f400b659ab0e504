"""The log in the store while the job runs: soon, in order, once at the end, and there when the container is not."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Remote
from tests.e2e.job import LIMIT, Container
from tests.lab.faulty_proxy import FaultyProxy, refused, reset, unanswered
from tests.lab.stores import Store
from tests.lab.waiting import until
from tests.shipping.conftest import INTERVAL, enough, heartbeat, live_log, live_size, rss, size


def sent(proxy: FaultyProxy, key: str) -> int:
    """Bytes of bodies that went to keys which begin so."""
    return sum(
        int(request.headers.get("Content-Length") or 0)
        for request in proxy.seen
        if request.method in ("PUT", "POST") and request.key.startswith(key) and "heartbeat" not in request.key
    )


def test_new_bytes_are_there_while_it_runs_and_one_whole_log_at_the_end(talker: Container, remote: Remote) -> None:
    bucket = remote.bucket
    words = ("--log", bucket.url("logs/"), "--", "python3", "-u", "talk.py", "0.01", "50")
    with talker.running(*words, environ=remote.env) as process:
        until(lambda: live_size(bucket) > 2000, "nothing came while it ran")
        assert "logs/job.log" not in bucket.list()
        beat = until(lambda: heartbeat(bucket), "no heartbeat")
        assert (beat["phase"], beat["attempt"], beat["node"]) == ("launch", 1, 0)
        assert beat["log_bytes"] > 0
        before = live_size(bucket)
        until(lambda: live_size(bucket) > before, "it did not go on")
        log = live_log(bucket)
        assert talker.log.read_bytes().startswith(log)
        enough(talker)
        result = talker.finish(process)
    assert result.code == 0, result.stderr
    assert bucket.get("logs/job.log") == talker.log.read_bytes()
    assert talker.log.read_bytes().endswith(b"the end\n")
    assert bucket.list() == ["logs/job.jsonl", "logs/job.log", "logs/job.run.json"], "parts and heartbeat are gone"


@pytest.mark.parametrize("whom", ["supervisor", "both"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_kill_at_any_moment_under_load_costs_one_interval_at_most(
    talker: Container, plain_remote: Remote, seed: int, whom: str
) -> None:
    bucket, chance = plain_remote.bucket, random.Random(seed)
    words = ("--log", bucket.url("logs/"), "--", "python3", "-u", "talk.py", "0.001", "2000")
    sizes: list[tuple[float, int]] = []
    with talker.running(*words, environ=plain_remote.env) as process:
        until(lambda: live_size(bucket), "nothing came")
        last = time.monotonic() + 1 + chance.random()
        while time.monotonic() < last:
            sizes.append((time.monotonic(), size(talker.log)))
            time.sleep(0.005)
        if whom == "both":
            for child in _children(process.pid):
                os.kill(child, signal.SIGKILL)
        process.kill()
        killed = time.monotonic()
        process.wait(LIMIT)
        enough(talker)
        stored, written = live_log(bucket), talker.log.read_bytes()
        assert written.startswith(stored), "a prefix, nothing else"
        # One interval, and what a request on a busy machine takes.
        behind = next(at for at, count in sizes if count >= min(len(stored), sizes[-1][1]))
        assert killed - behind < INTERVAL + 1.5
        assert heartbeat(bucket)["phase"] == "launch", "the trace of a container that vanished"
        assert heartbeat(bucket)["log_bytes"] <= len(stored)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_command_that_is_killed_at_any_moment_under_load_loses_nothing(
    talker: Container, plain_remote: Remote, seed: int
) -> None:
    bucket, chance = plain_remote.bucket, random.Random(seed)
    words = ("--log", bucket.url("logs/"), "--", "python3", "-u", "talk.py", "0.0005", "2000")
    with talker.running(*words, environ=plain_remote.env) as process:
        if seed > 1:  # else while not a byte is in the store yet
            until(lambda: live_size(bucket), "nothing came")
        until(lambda: size(talker.log), "it wrote nothing")
        time.sleep(chance.random())
        (command,) = _children(process.pid)
        os.kill(command, signal.SIGKILL)
        result = talker.finish(process)
    assert result.code == 137, result.stderr
    log = bucket.get("logs/job.log")
    assert log == talker.log.read_bytes()
    # its last words may be half a line, if it was killed in a write; then comes why it ended
    written, _, why = log.partition(b"bootstrap: ")
    lines = b"".join(b"line %09d %s\n" % (n, b"." * 2000) for n in range(log.count(b"\n") + 1))
    assert lines.startswith(written.rstrip(b"\n"))
    assert b"KILL" in why
    assert not [key for key in bucket.list("logs/") if ".parts/" in key]


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("kind", ["seaweedfs", "rclone"])
def test_what_is_sent_is_at_most_2_2_times_the_log(
    talker: Container, request: pytest.FixtureRequest, kind: str
) -> None:
    store: Store = request.getfixturevalue(kind)
    bucket = store.make_bucket()
    with FaultyProxy(store.endpoint) as proxy:
        environ = {**store.env(), "S3_ENDPOINT": proxy.endpoint}
        words = ("--log", bucket.url("logs/"), "--", "python3", "-u", "talk.py", "0.02", "200000")
        with talker.running(*words, environ=environ) as process:
            until(lambda: size(talker.log) > 25 << 20, "it did not write")
            objects = len(bucket.list("logs/job.log.parts/"))
            enough(talker)
            result = talker.finish(process)
        assert result.code == 0, result.stderr
        log = talker.log.read_bytes()
        assert bucket.get("logs/job.log") == log
        assert sent(proxy, f"{bucket.name}/logs/job.log.parts/") >= len(log), "it did go live"
        assert sent(proxy, f"{bucket.name}/logs/job.log") <= 2.2 * len(log)
        if kind == "seaweedfs":
            assert objects < 20, "what is small becomes a part of what is large"
            assert sent(proxy, f"{bucket.name}/logs/job.log?") == 0
            whole = [seen for seen in proxy.seen if seen.key == f"{bucket.name}/logs/job.log"]
            assert not any(seen.method == "PUT" and not seen.query for seen in whole), "joined, not sent again"


def test_it_beats_while_a_slow_delivery_runs(container: Container, plain_remote: Remote, faulty: FaultyProxy) -> None:
    bucket, release = plain_remote.bucket, threading.Event()
    faulty.inject(unanswered(release), key="*out/model", method="PUT", times=None)
    words = ("--log", bucket.url("logs/"), "--output", f"out={bucket.url('out/')}")
    environ = {**plain_remote.env, "S3_ENDPOINT": faulty.endpoint, "BOOTSTRAP_LOG_INTERVAL": "0.3"}
    with container.running(*words, "--", "sh", "-c", "echo x > out/model", environ=environ) as process:
        seen: set[str] = set()

        def three_beats() -> bool:
            if any(key.endswith("heartbeat.json") for key in bucket.list("logs/")):
                beat = heartbeat(bucket)
                seen.update([beat["last_seen"]] if beat["phase"] == "deliver" else [])
            return len(seen) >= 3

        until(three_beats, lambda: f"no sign of life while it delivers: {seen}")
        release.set()
        result = container.finish(process)
    assert result.code == 0, result.stderr
    assert not [key for key in bucket.list("logs/") if key.endswith("heartbeat.json")]


def test_a_short_job_sends_its_log_once_and_nothing_else(container: Container, plain_remote: Remote) -> None:
    bucket = plain_remote.bucket
    with FaultyProxy(bucket.store.endpoint) as proxy:
        environ = {**plain_remote.env, "S3_ENDPOINT": proxy.endpoint}
        assert container.run("--log", bucket.url("logs/"), "--", "echo", "short", environ=environ).code == 0
        assert sent(proxy, f"{bucket.name}/logs/job.log") == len(b"short\n")
        assert not [request for request in proxy.seen if ".parts" in request.key]


def test_an_interval_of_0_sends_the_log_at_the_end_only(talker: Container, plain_remote: Remote) -> None:
    bucket = plain_remote.bucket
    words = ("--log", bucket.url("logs/"), "--log-interval", "0", "--", "sh", "-c", "echo live; sleep 1")
    assert talker.run(*words, environ=plain_remote.env).code == 0
    assert bucket.get("logs/job.log") == b"live\n"


def test_a_store_that_is_down_for_a_while_costs_the_job_nothing(
    talker: Container, plain_remote: Remote, faulty: FaultyProxy
) -> None:
    bucket = plain_remote.bucket
    environ = {**plain_remote.env, "S3_ENDPOINT": faulty.endpoint}
    words = ("--log", bucket.url("logs/"), "--", "python3", "-u", "talk.py", "0.001", "3000")
    with talker.running(*words, environ=environ) as process:
        until(lambda: live_size(bucket), "nothing came")
        down = faulty.inject(reset(), times=None)
        down.fired.wait(LIMIT)
        before = live_size(bucket)
        written = size(talker.log)
        until(lambda: size(talker.log) > written + (8 << 20), "the job has to go on")
        until(lambda: down.hits > 2, "it has to try again")
        assert rss(process.pid, "VmHWM") < 64, "nothing is kept in memory"
        assert live_size(bucket) == before
        faulty.clear()
        until(lambda: live_size(bucket) > written, "all comes when the store is back")
        lines = talker.log.with_suffix(".jsonl")
        until(lambda: "the log is sent again" in lines.read_text(), "and that is said")
        enough(talker)
        result = talker.finish(process)
    assert result.code == 0, result.stderr
    assert bucket.get("logs/job.log") == talker.log.read_bytes()
    assert result.stderr.count("cannot be sent for now") == 1, "said once, not every interval"
    assert result.stderr.count("the log is sent again") == 1


def test_a_store_that_never_answers_does_not_hold_up_a_stop_and_what_stays_is_named(
    talker: Container, plain_remote: Remote, faulty: FaultyProxy
) -> None:
    bucket, release = plain_remote.bucket, threading.Event()
    environ = {**plain_remote.env, "S3_ENDPOINT": faulty.endpoint}
    words = ("--grace", "3", "--log", bucket.url("logs/"), "--", "python3", "-u", "talk.py", "0.01", "50")
    with talker.running(*words, environ=environ) as process:
        until(lambda: live_size(bucket), "nothing came")
        faulty.inject(unanswered(release), times=None).fired.wait(LIMIT)
        began = time.monotonic()
        process.terminate()
        result = talker.finish(process)
        took = time.monotonic() - began
    release.set()
    assert result.code == 143
    assert took < 9, "3 s of grace, and a busy machine"
    assert str(talker.log) in result.stderr, "where the log is"
    stored = live_log(bucket)
    assert stored and talker.log.read_bytes().startswith(stored), "what was sent before is not lost"


def test_when_the_whole_log_is_refused_its_parts_are_the_log(
    talker: Container, plain_remote: Remote, faulty: FaultyProxy
) -> None:
    bucket = plain_remote.bucket
    faulty.inject(refused(403, "AccessDenied"), method="P*", key="*/job.log", times=None)
    environ = {**plain_remote.env, "S3_ENDPOINT": faulty.endpoint}
    words = ("--log", bucket.url("logs/"), "--", "python3", "-u", "talk.py", "0.01", "50")
    with talker.running(*words, environ=environ) as process:
        until(lambda: live_size(bucket), "nothing came")
        enough(talker)
        result = talker.finish(process)
    assert result.code == 0, "the log is no reason to fail a job"
    assert live_log(bucket) == talker.log.read_bytes(), "to the last byte"
    assert heartbeat(bucket)["phase"] == "ended"
    assert "bootstrap logs shows them" in result.stderr


def test_two_attempts_never_meet(talker: Container, plain_remote: Remote) -> None:
    """The first is killed, the second starts in a new container, which knows nothing of it, and ends well."""
    bucket = plain_remote.bucket
    words = ("--log", bucket.url("logs/"), "--", "python3", "-u", "talk.py", "0.01", "50")
    with talker.running(*words, environ=plain_remote.env) as process:
        until(lambda: live_size(bucket), "nothing came")
        process.kill()
        process.wait(LIMIT)
    enough(talker)
    until(lambda: not _alive("talk.py", talker.work), "the orphan stays")
    first, trace = live_log(bucket), bucket.list("logs/job.log.parts/")
    subprocess.run(["rm", "-rf", talker.log.with_suffix(".run")], check=True)
    for path in talker.tmp.glob("job*"):
        path.unlink()
    second = ("--log", bucket.url("logs/"), "--", "sh", "-c", "echo second; sleep 1")
    assert talker.run(*second, environ=plain_remote.env).code == 0
    assert bucket.get("logs/job.log") == b"second\n"
    assert bucket.list("logs/job.log.parts/") == trace, "the killed one's trace stays as it was"
    assert live_log(bucket) == first
    assert all(".attempt-1." in key for key in trace)
    assert talker.run("--log", bucket.url("logs/"), "--", "echo", "third", environ=plain_remote.env).code == 0
    assert bucket.get("logs/job.log") == b"third\n"
    assert bucket.get("logs/job.attempt-2.log") == b"second\n"


def _alive(name: str, cwd: Path) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if name.encode() in path.read_bytes() and path.with_name("cwd").readlink() == cwd:
                return True
        except OSError:
            continue
    return False


def test_in_a_directory_the_log_itself_grows(talker: Container, tmp_path: Path) -> None:
    nas = tmp_path / "nas" / "logs"
    nas.mkdir(parents=True)
    (nas / "job.log").write_bytes(b"of the attempt before")
    words = ("--log", str(nas), "--", "python3", "-u", "talk.py", "0.01", "50")
    with talker.running(*words) as process:
        until(lambda: size(nas / "job.log") > 2000, "it does not grow")
        inode = (nas / "job.log").stat().st_ino
        assert talker.log.read_bytes().startswith((nas / "job.log").read_bytes())
        until(lambda: list(nas.glob("job.log.parts/*/heartbeat.json")), "no heartbeat")
        enough(talker)
        result = talker.finish(process)
    assert result.code == 0, result.stderr
    assert (nas / "job.log").read_bytes() == talker.log.read_bytes()
    assert (nas / "job.log").stat().st_ino == inode, "appended, not written a second time"
    assert (nas / "job.attempt-1.log").read_bytes() == b"of the attempt before"
    assert sorted(path.name for path in nas.iterdir()) == ["job.attempt-1.log", "job.jsonl", "job.log", "job.run.json"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
@pytest.mark.parametrize("where", ["bucket", "bucket, at the end only", "directory"])
def test_the_end_of_a_log_arrives_although_the_disk_has_no_room_to_put_it_together(
    talker: Container, plain_remote: Remote, tmp_path: Path, where: str
) -> None:
    small, nas = tmp_path / "small", tmp_path / "nas"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", small], check=True)
    try:
        command = "seq -f %09.0f 20000; sleep 1; head -c 200000 /dev/zero >$SMALL/other 2>/dev/null; exit 5"
        target = str(nas) if where == "directory" else plain_remote.bucket.url("logs/")
        interval = "0" if "only" in where else str(INTERVAL)
        words = ("--log", target, "--log-interval", interval, "--log-limit", "64K", "--log-file", f"{small}/job.log")
        words += ("--run-dir", str(tmp_path / "run"), "--", "sh", "-c", command)
        result = talker.run(*words, environ={**plain_remote.env, "SMALL": str(small)})
        assert result.code == 5, result.stderr
        assert len(list(small.glob("job.log.tail-*"))) == 2
        shown = subprocess.run(
            [talker.argv()[0], "logs", target], env={**talker.environ, **plain_remote.env}, capture_output=True
        )
        head, _, tail = shown.stdout.partition(b"\n[bootstrap] ")
        assert (len(head), head[:10]) == (32 << 10, b"000000001\n"), shown.stderr
        assert b"000019999\n000020000\nbootstrap: " in tail, "and what it means, behind it"
        assert "seen: 000020000" in result.stderr, "the evidence is at the end of the parts"
        left = plain_remote.bucket.list("logs/") if where != "directory" else [path.name for path in nas.iterdir()]
        assert not [name for name in left if ".tail-" in name], "there, where there is room, it is one file"
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_log_url_that_is_the_logs_own_directory_leaves_it_in_peace(talker: Container) -> None:
    result = talker.run("--log", str(talker.log.parent), "--", "sh", "-c", "echo once; sleep 1")
    assert result.code == 0, result.stderr
    assert talker.log.read_bytes() == b"once\n"
