"""Two attempts with one URL at the same time: who started later has the names, and nobody loses anything."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.e2e.conftest import Remote
from tests.e2e.job import Container, Result
from tests.lab.faulty_proxy import FaultyProxy, refused
from tests.lab.trees import files_below
from tests.lab.waiting import until
from tests.shipping.conftest import enough, live_size

WAIT = "echo {0}; while [ ! -e go ]; do sleep 0.05; done; echo {0} >out/model"


@pytest.fixture
def two(tmp_path: Path, container: Container) -> tuple[Container, Container]:
    """The older attempt's container, and the newer one's, which sees nothing of it but the store."""
    newer = Container(tmp_path / "newer")
    newer.front = container.front
    for one in (container, newer):
        one.environ["BOOTSTRAP_LOG_INTERVAL"] = "0.2"
    return container, newer


def words(base: str, name: str) -> list[str]:
    return ["--log", f"{base}logs/", "--output", f"out={base}model/", "--", "sh", "-c", WAIT.format(name)]


def apart() -> None:
    """Attempts are told apart by the second of their start."""
    time.sleep(1.05 - time.time() % 1)


@pytest.mark.parametrize("first_to_end", ["newer", "older"])
@pytest.mark.parametrize("kind", ["bucket", "directory"])
def test_who_started_later_has_the_names_whoever_ends_first(
    two: tuple[Container, Container], plain_remote: Remote, tmp_path: Path, first_to_end: str, kind: str
) -> None:
    older, newer = two
    nas = tmp_path / "nas"
    base = plain_remote.bucket.url("") if kind == "bucket" else f"{nas}/"

    def stored() -> dict[str, bytes]:
        if kind == "bucket":
            return plain_remote.bucket.tree("")
        return files_below(nas)

    with older.running(*words(base, "older"), environ=plain_remote.env) as first:
        until(lambda: any("heartbeat" in key for key in stored()), "the older one is on its way")
        apart()
        with newer.running(*words(base, "newer"), environ=plain_remote.env) as second:
            until(lambda: sum("heartbeat" in key for key in stored()) == 2, "the newer one is on its way")
            order = [(newer, second), (older, first)]
            results = {}
            for container, process in order if first_to_end == "newer" else reversed(order):
                (container.work / "go").touch()
                results[container] = container.finish(process)
    assert [result.code for result in results.values()] == [0, 0]
    found = stored()
    assert found["logs/job.log"] == b"newer\n" and found["model/model"] == b"newer\n"
    assert json.loads(found["logs/job.run.json"])["command"][-1] == WAIT.format("newer")
    aside, *more = [key for key in found if key.startswith("logs/job.attempt-") and found[key] == b"older\n"]
    assert not more, {key: found[key] for key in found if key.startswith("logs/")}
    record = aside.replace("job.attempt", "job.run.attempt").replace(".log", ".json")
    assert json.loads(found[record])["command"][-1] == WAIT.format("older")
    (model,) = (key for key in found if key.startswith("model/attempt-") and "/.bootstrap/" not in key)
    assert found[model] == b"older\n"
    assert "a later attempt" in results[older].stderr and aside.rpartition("/")[2] in results[older].stderr
    assert "a later attempt" not in results[newer].stderr
    assert not [key for key in found if ".parts/" in key], "both ended well"


def finished_together(
    first: Container, second: Container, base: str, environ: Mapping[str, str], stored: Callable[[], dict[str, bytes]]
) -> dict[str, Result]:
    """Both run at the same time, ``first`` is started and ends first."""
    with first.running(*words(base, "first"), environ=environ) as one:
        until(lambda: any("heartbeat" in key for key in stored()), "the first one is on its way")
        with second.running(*words(base, "second"), environ=environ) as two:
            until(lambda: sum("heartbeat" in key for key in stored()) == 2, "the second one is on its way")
            results = {}
            for name, container, process in (("first", first, one), ("second", second, two)):
                (container.work / "go").touch()
                results[name] = container.finish(process)
    assert [result.code for result in results.values()] == [0, 0], results
    return results


def with_clock(container: Container, *words: str) -> None:
    """The machine's clock is another than that of the files it makes, as with a NAS, and of the store."""
    if shutil.which("faketime") is None:
        pytest.skip("lab: there is no faketime")
    container.front = ["faketime", *words]
    container.environ |= {"NO_FAKE_STAT": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}


@pytest.mark.parametrize("kind, off", [("directory", 3600), ("bucket", 600)])
@pytest.mark.parametrize("whose", ["the first one's is ahead", "the second one's is behind"])
def test_a_clock_that_is_wrong_decides_nothing(
    two: tuple[Container, Container], plain_remote: Remote, tmp_path: Path, kind: str, off: int, whose: str
) -> None:
    """A store refuses signatures that are more than 15 minutes off."""
    first, second = two
    if "first" in whose:
        with_clock(first, "-f", f"+{off}s")
    else:
        with_clock(second, "-f", f"-{off}s")
    nas = tmp_path / "nas"
    base = plain_remote.bucket.url("") if kind == "bucket" else f"{nas}/"
    results = finished_together(first, second, base, plain_remote.env, lambda: stored_in(base, plain_remote, nas))
    found = stored_in(base, plain_remote, nas)
    assert found["logs/job.log"] == b"second\n" and found["model/model"] == b"second\n"
    assert aside(found) == [b"first\n"]
    assert "a later attempt" in results["first"].stderr and "a later attempt" not in results["second"].stderr


@pytest.mark.parametrize("round", range(3))
def test_two_that_begin_in_the_same_second_agree_on_who_is_the_later(
    two: tuple[Container, Container], plain_remote: Remote, tmp_path: Path, round: int
) -> None:
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time()))
    for one in two:
        one.environ["TZ"] = "UTC"
        with_clock(one, moment)  # which stands still
    nas = tmp_path / "nas"
    results = finished_together(*two, f"{nas}/", plain_remote.env, lambda: stored_in("", plain_remote, nas))
    found = stored_in("", plain_remote, nas)
    (later,) = (name for name, result in results.items() if "a later attempt" not in result.stderr)
    (earlier,) = results.keys() - {later}
    assert found["logs/job.log"].decode() == f"{later}\n"
    assert aside(found) == [f"{earlier}\n".encode()]
    models = {found[key].decode().strip() for key in found if key.startswith("model/") and "/.bootstrap/" not in key}
    assert models == {earlier, later}


def aside(found: Mapping[str, bytes]) -> list[bytes]:
    """The logs that were delivered beside the one with the plain name."""
    return [found[key] for key in found if key.startswith("logs/job.attempt-") and key.endswith(".log")]


def stored_in(base: str, remote: Remote, nas: Path) -> dict[str, bytes]:
    if base.startswith("s3:"):
        return remote.bucket.tree("")
    return files_below(nas)


def test_at_a_clean_end_nothing_stays_beside_the_whole_log(
    talker: Container, plain_remote: Remote, faulty: FaultyProxy
) -> None:
    bucket = plain_remote.bucket
    environ = {**plain_remote.env, "S3_ENDPOINT": faulty.endpoint}
    with talker.running(
        "--log", bucket.url("logs/"), "--", "python3", "-u", "talk.py", "0.01", "50", environ=environ
    ) as process:
        until(lambda: live_size(bucket), "nothing came")
        faulty.inject(refused(503), method="DELETE", times=4)
        enough(talker)
        assert talker.finish(process).code == 0
    assert sorted(bucket.list("logs/")) == ["logs/job.jsonl", "logs/job.log", "logs/job.run.json"]


def test_a_whole_log_is_trusted_whatever_stayed_beside_it(talker: Container, plain_remote: Remote) -> None:
    bucket = plain_remote.bucket
    with talker.running("--log", bucket.url("logs/"), "--", "python3", "-u", "talk.py", "0.01", "50",
                        environ=plain_remote.env) as process:  # fmt: skip
        until(lambda: live_size(bucket), "nothing came")
        left = {key: bucket.get(key) for key in bucket.list("logs/job.log.parts/")}
        enough(talker)
        talker.finish(process)
    whole = bucket.get("logs/job.log")
    time.sleep(1.05)  # listings have whole seconds
    bucket.put("logs/job.log", whole)
    for key, content in left.items():
        if key.endswith("heartbeat.json"):
            bucket.put(key, content)
    part = next(key for key in left if not key.endswith(".json"))
    bucket.put(part, left[part])
    time.sleep(1.05)
    bucket.put("logs/job.log", whole)
    shown = talker.run(argv=[talker.argv()[0], "logs", "-f", bucket.url("logs/")], environ=plain_remote.env)
    assert shown.stdout == whole
    assert "ended" in shown.stderr and "killed" not in shown.stderr
