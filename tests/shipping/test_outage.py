"""A store that is down for an hour, in seconds: the plan of a real hour, with every time in it divided."""

from __future__ import annotations

import sys
import time

import pytest

from tests.e2e.conftest import Remote
from tests.e2e.job import LIMIT, Container
from tests.lab.faulty_proxy import FaultyProxy, reset
from tests.lab.waiting import until
from tests.shipping.conftest import enough, live_size, rss, size

FASTER = 1200  # times
HOUR = 3600 / FASTER
WRITTEN = 100 << 20  # bytes in that hour: more than there is memory for

# The installed command, but for the longest pause between two attempts.
DIVIDED = f"""\
from bootstrap.shipping import logs
logs._LONGEST_PAUSE /= {FASTER}
from bootstrap.cli import main
raise SystemExit(main())
"""


def test_a_store_that_is_down_for_an_hour_costs_nothing_but_a_try_a_minute(
    talker: Container, plain_remote: Remote, faulty: FaultyProxy
) -> None:
    bucket = plain_remote.bucket
    environ = {**plain_remote.env, "S3_ENDPOINT": faulty.endpoint, "BOOTSTRAP_LOG_INTERVAL": str(10 / FASTER)}
    words = ("--log", bucket.url("logs/"), "--", "python3", "-u", "talk.py", "0.001", "60000")
    with talker.running(argv=[sys.executable, "-c", DIVIDED, "run", *words], environ=environ) as process:
        until(lambda: live_size(bucket), "nothing came")
        down = faulty.inject(reset(), times=None)
        down.fired.wait(LIMIT)
        began, written = time.monotonic(), size(talker.log)
        until(lambda: time.monotonic() - began > HOUR and size(talker.log) - written > WRITTEN, "the job has to go on")
        tries, hours = down.hits, (time.monotonic() - began) / HOUR
        assert rss(process.pid, "VmHWM") < 64, "nothing is kept in memory"
        # After 10, 20 and 40 seconds, and from then on every minute; one may be under way.
        assert 10 < tries <= 5 + 60 * hours
        written = size(talker.log)
        faulty.clear()
        until(lambda: live_size(bucket) > written, "all comes when the store is back")
        assert rss(process.pid, "VmHWM") < 64, "nor while an hour is made up for"
        enough(talker)
        result = talker.finish(process)
    assert result.code == 0, result.stderr
    assert bucket.get("logs/job.log") == talker.log.read_bytes()
    assert not [key for key in bucket.list("logs/") if ".parts/" in key]
    assert result.stderr.count("cannot be sent for now") == 1, "said once, not sixty times"
    assert result.stderr.count("the log is sent again") == 1


def test_a_job_that_ends_within_the_hour_waits_as_long_as_it_may_and_names_what_stays(
    talker: Container, plain_remote: Remote, faulty: FaultyProxy
) -> None:
    bucket = plain_remote.bucket
    environ = {**plain_remote.env, "S3_ENDPOINT": faulty.endpoint}
    words = ("--grace", "3", "--log", bucket.url("logs/"), "--", "python3", "-u", "talk.py", "0.01", "50")
    with talker.running(*words, environ=environ) as process:
        until(lambda: live_size(bucket), "nothing came")
        faulty.inject(reset(), times=None).fired.wait(LIMIT)
        written = size(talker.log)
        until(lambda: size(talker.log) > written, "the job has to go on")
        began = time.monotonic()
        process.terminate()
        result = talker.finish(process)
        took = time.monotonic() - began
    assert result.code == 143
    assert took < 9, "3 s of grace, and a busy machine"
    assert f"stays in {talker.log}" in result.stderr
    assert "in parts (bootstrap logs shows them)" in result.stderr, "and what is there is named as well"
    assert talker.log.stat().st_size > live_size(bucket) > 0


# The installed command with a defect where the log is sent: of each kind of sending, so many times.
DEFECT = """\
import sys
from bootstrap.shipping import mirror, segments
left = [float(sys.argv.pop(1))]
def broken(ship):
    def wrapped(*arguments):
        if left[0] > 0:
            left[0] -= 1
            None.rstrip()
        return ship(*arguments)
    return wrapped
for each in (mirror.Mirror, segments.Segments):
    each.ship = broken(each.ship)
from bootstrap.cli import main
raise SystemExit(main())
"""


@pytest.mark.parametrize("times", [3, float("inf")], ids=["for a while", "to the end"])
def test_what_nobody_foresaw_is_said_once_and_costs_neither_the_log_nor_the_job(
    talker: Container, plain_remote: Remote, times: float
) -> None:
    bucket = plain_remote.bucket
    words = ("--log", bucket.url("logs/"), "--", "python3", "-u", "talk.py", "0.01", "50")
    argv = [sys.executable, "-c", DEFECT, str(times), "run", *words]
    with talker.running(argv=argv, environ=plain_remote.env) as process:
        if times < 100:
            until(lambda: live_size(bucket), "it has to be sent after all")
        else:
            until(lambda: size(talker.log) > 5000, "the job has to go on")
            time.sleep(1.0)  # several rounds
        enough(talker)
        result = talker.finish(process)
    assert result.code == 0, result.stderr
    assert bucket.get("logs/job.log") == talker.log.read_bytes()
    assert result.stderr.count("cannot be sent for now") == result.stderr.count("AttributeError") == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stderr.count("the log is sent again") == (times < 100)
