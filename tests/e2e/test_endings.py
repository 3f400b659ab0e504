"""However the command ends, its code is ours, and the log and the outputs are delivered."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Remote
from tests.e2e.job import Container
from tests.lab.faulty_proxy import FaultyProxy, slow, unanswered
from tests.lab.waiting import until

READY = "import os, signal, sys, time; print('started', flush=True); open('ready', 'w').close()\n"


@pytest.mark.parametrize("code", [0, 1, 2, 3, 77, 101, 126, 127, 200, 255])
def test_the_commands_exit_code_is_ours(container: Container, code: int) -> None:
    result = container.run("--", "sh", "-c", f"echo out; exit {code}")
    assert (result.code, result.stdout) == (code, b"out\n")
    assert result.record["user"]["status"] == code
    assert result.record["bootstrap"] is None, "the two results are never mixed"


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGUSR1, signal.SIGRTMIN + 3]
)
def test_a_death_by_signal_is_128_and_its_number(container: Container, number: int) -> None:
    result = container.run("--", sys.executable, "-c", f"import os; os.kill(os.getpid(), {int(number)})")
    assert result.code == 128 + number
    assert result.record["user"]["signal"] == number
    assert result.record["user"]["status"] is None


@pytest.mark.parametrize(
    ("number", "asked_by"), [(signal.SIGTERM, "platform"), (signal.SIGINT, "user"), (signal.SIGHUP, "unknown")]
)
def test_a_stop_reaches_the_command_and_everything_is_delivered(
    container: Container, plain_remote: Remote, number: int, asked_by: str
) -> None:
    (container.work / "train.py").write_text(READY + "time.sleep(600)\n")
    bucket = plain_remote.bucket
    words = ("--log", bucket.url("logs/"), "--output", f"out={bucket.url('out/')}")
    with container.running(*words, "--", "python3", "-u", "train.py", environ=plain_remote.env) as process:
        container.wait_for(container.work / "ready")
        (container.work / "out" / "checkpoint").write_text("so far")
        process.send_signal(number)
        result = container.finish(process)
    assert result.code == 128 + number, result.stderr
    assert bucket.get("logs/job.log").startswith(b"started\n")
    assert bucket.get("out/checkpoint") == b"so far"
    assert json.loads(bucket.get("logs/job.run.json"))["user"]["asked_by"] == asked_by


def test_a_command_that_saves_on_term_and_ends_well_is_a_success(container: Container, plain_remote: Remote) -> None:
    script = READY + (
        "def save(*_):\n    open('out/model', 'w').write('saved'); print('saved'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, save)\nopen('armed', 'w').close()\ntime.sleep(600)\n"
    )
    (container.work / "train.py").write_text(script)
    words = ("--output", f"out={plain_remote.bucket.url('out/')}", "--", "python3", "train.py")
    with container.running(*words, environ=plain_remote.env) as process:
        container.wait_for(container.work / "armed")
        process.terminate()
        result = container.finish(process)
    assert (result.code, result.stdout) == (0, b"started\nsaved\n"), result.stderr
    assert plain_remote.bucket.get("out/model") == b"saved"


def test_a_command_that_ignores_term_is_killed_within_the_grace(container: Container, plain_remote: Remote) -> None:
    script = READY.replace("open('ready'", "signal.signal(signal.SIGTERM, signal.SIG_IGN); open('ready'")
    (container.work / "train.py").write_text(script + "time.sleep(600)\n")
    logs = ("--log", plain_remote.bucket.url("logs/"))
    with container.running("--grace", "9", *logs, "--", "python3", "train.py", environ=plain_remote.env) as process:
        container.wait_for(container.work / "ready")
        process.terminate()
        result = container.finish(process)
    assert result.code == 137
    assert result.record["user"]["asked_by"] == "platform"
    assert plain_remote.bucket.get("logs/job.log").startswith(b"started\nbootstrap: the command was stopped because")
    assert result.record["reason_id"] == "stopped-by-platform"


def test_a_stop_during_the_fetch_ends_it_and_starts_nothing(
    container: Container, plain_remote: Remote, faulty: FaultyProxy, tmp_path: Path
) -> None:
    plain_remote.bucket.put_tree("code/", {f"{n}.bin": b"x" * 100_000 for n in range(8)})
    faulty.inject(slow(2000), key="*code/*.bin", times=None)
    environ = {**plain_remote.env, "S3_ENDPOINT": faulty.endpoint}
    logs = tmp_path / "logs"
    words = ("--code", plain_remote.bucket.url("code/"), "--log", str(logs), "--", "echo", "trained")
    with container.running(*words, environ=environ) as process:
        until(lambda: list(container.work.glob("**/*")))
        began = time.monotonic()
        process.terminate()
        result = container.finish(process)
    assert result.code == 143, result.stderr
    assert time.monotonic() - began < 15
    assert b"trained" not in result.stdout
    assert "stopped in step fetch" in (logs / "job.log").read_text()
    sizes = {path.stat().st_size for path in container.work.glob("code/*.bin")}
    assert sizes <= {100_000}, "no half file under its final name"
    assert [step["result"] for step in result.record["steps"] if step["name"] == "fetch"] == ["stopped"]


@pytest.fixture
def silent(faulty: FaultyProxy) -> Iterator[FaultyProxy]:
    """A store that takes requests and never answers any."""
    release = threading.Event()
    faulty.inject(unanswered(release), times=None)
    yield faulty
    release.set()


def asked(proxy: FaultyProxy) -> None:
    """Until the first request has come in."""
    until(lambda: proxy.seen)


@pytest.mark.parametrize("option", ["--code", "--output", "--log"])
def test_a_stop_does_not_wait_for_a_store_that_never_answers(
    container: Container, plain_remote: Remote, silent: FaultyProxy, option: str
) -> None:
    place = plain_remote.bucket.url("x/")
    words = (option, f"out={place}" if option == "--output" else place, "--grace", "3", "--", "echo", "trained")
    with container.running(*words, environ={**plain_remote.env, "S3_ENDPOINT": silent.endpoint}) as process:
        asked(silent)
        began = time.monotonic()
        process.terminate()
        result = container.finish(process)
    assert result.code == 143, result.stderr
    assert time.monotonic() - began < 20
    assert result.record["reason_id"] == "stopped-early"
    assert b"trained" not in result.stdout


def test_a_delivery_that_hangs_ends_with_the_grace_and_says_what_is_left(
    container: Container, plain_remote: Remote, faulty: FaultyProxy
) -> None:
    release = threading.Event()
    (container.work / "train.py").write_text(READY + "open('out/model', 'w').write('x')\nopen('saved', 'w')\n")
    words = ("--output", f"out={plain_remote.bucket.url('x/')}", "--grace", "3", "--", "python3", "train.py")
    hang = faulty.inject(unanswered(release), method="PUT", key="*/x/model", times=None)
    with container.running(*words, environ={**plain_remote.env, "S3_ENDPOINT": faulty.endpoint}) as process:
        container.wait_for(container.work / "saved")
        until(lambda: hang.hits)
        began = time.monotonic()
        process.terminate()
        result = container.finish(process)
    release.set()
    assert result.code == 206, result.stderr
    assert time.monotonic() - began < 20
    assert "stays on disk" in result.stderr or "still on disk" in result.stderr
    assert (container.work / "out" / "model").exists()


def test_every_byte_reaches_stdout_and_the_log(container: Container, plain_remote: Remote) -> None:
    script = "import os; data = bytes(range(256)) * 5000 + b'\\xff\\xfe no newline'; os.write(1, b'')\n"
    script += "while data: data = data[os.write(1, data):]\n"
    (container.work / "bytes.py").write_text(script)
    logs = ("--log", plain_remote.bucket.url("logs/"))
    result = container.run(*logs, "--", "python3", "bytes.py", environ=plain_remote.env)
    expected = bytes(range(256)) * 5000 + b"\xff\xfe no newline"
    assert result.stdout == expected
    assert container.log.read_bytes() == expected
    assert plain_remote.bucket.get("logs/job.log") == expected


@pytest.mark.parametrize(
    "program", ["python3 -c 'import time; print(1); time.sleep(600)'", "sh -c 'echo 1; sleep 600'"]
)
def test_output_comes_as_it_is_written(container: Container, program: str) -> None:
    with container.running("--", "sh", "-c", f"exec {program}") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        process.terminate()
        assert container.finish(process).code == 143


def test_programs_that_are_not_python_are_line_buffered(container: Container, tmp_path: Path) -> None:
    """A C program that buffers by the block into a pipe: `cut` says nothing before 4096 bytes unless told otherwise."""
    os.mkfifo(tmp_path / "feed")
    feed = os.open(tmp_path / "feed", os.O_RDWR)  # waits for no reader, who meets no end
    try:
        os.write(feed, b"hello\n")
        with container.running("--", "cut", "-c1-4", str(tmp_path / "feed")) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"hell\n"
            process.terminate()
            container.finish(process)
    finally:
        os.close(feed)


def test_what_a_shell_starts_is_line_buffered_on_request(container: Container) -> None:
    (container.work / "feed.py").write_text("import time; print('hello', flush=True); time.sleep(600)\n")
    command = ("--line-buffered", "--", "sh", "-c", "python3 feed.py | tr a-z A-Z")
    with container.running(*command) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"HELLO\n"
        process.terminate()
        container.finish(process)


def test_a_terminal_of_its_own_on_request(container: Container) -> None:
    result = container.run("--pty", "--", "python3", "-c", "import sys; print(sys.stdout.isatty())")
    assert (result.code, result.stdout.strip()) == (0, b"True")
    result = container.run("--pty", "--", "sh", "-c", "test -t 1 && echo ${LD_PRELOAD-alone}")
    assert (result.code, result.stdout.strip()) == (0, b"alone"), "stdbuf has no work on a terminal"


def test_the_environment_has_what_is_promised_and_nothing_of_ours(container: Container, tmp_path: Path) -> None:
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    environ = {"PYTHONPATH": "/user/lib", "FOO": "bar", "BOOTSTRAP_CODE": "", "BOOTSTRAP_GRACE": "20"}
    result = container.run("--", "python3", "-c", show, environ=environ)
    seen = json.loads(result.stdout)
    assert seen["PYTHONUNBUFFERED"] == "1"
    assert seen["PYTHONPATH"].split(":") == [str(container.work), "/user/lib"]
    assert seen["FOO"] == "bar"
    assert "BOOTSTRAP_GRACE" not in seen, "a nested bootstrap must not do our work again"
    assert "BOOTSTRAP_LOG_FILE" not in seen
    assert not {"VIRTUAL_ENV", "PYTHONHOME", "PYTHONSAFEPATH", "LD_LIBRARY_PATH"} & set(seen)
    assert seen["PATH"] == container.environ["PATH"]


def test_the_locale_that_python_sets_for_us_is_not_the_commands(container: Container) -> None:
    assert b"LC_CTYPE=" not in container.run("--", "env").stdout
    assert b"LC_CTYPE=C.UTF-8" in container.run("--", "env", environ={"LC_CTYPE": "C.UTF-8"}).stdout, "the user's is"


def test_strangers_job_variables_are_removed_on_v1(container: Container) -> None:
    environ = {
        "DLS_TASK_INDEX": "0",
        "DLS_JOB_ID": "job1a2-20190101-1",
        "JOB1A2_20190101_1_SERVICE_HOST": "ours",
        "STRANG_20190101_SERVICE_HOST": "theirs",
        "KUBERNETES_PORT": "tcp://10.0.0.1",
    }
    result = container.run("--", "env", environ=environ)
    names = {line.partition("=")[0] for line in result.stdout.decode().splitlines()}
    assert "JOB1A2_20190101_1_SERVICE_HOST" in names
    assert not {"STRANG_20190101_SERVICE_HOST", "KUBERNETES_PORT"} & names


def test_a_grandchild_that_keeps_the_pipe_does_not_delay_the_end(container: Container) -> None:
    began = time.monotonic()
    result = container.run("--", "sh", "-c", "sleep 600 & echo done")
    assert (result.code, result.stdout) == (0, b"done\n")
    assert time.monotonic() - began < 10


def test_the_record_is_there_while_the_command_runs(container: Container) -> None:
    (container.work / "train.py").write_text(READY + "time.sleep(600)\n")
    with container.running("--", "python3", "train.py") as process:
        container.wait_for(container.work / "ready")
        (path,) = container.home.parent.rglob("run.json")
        record = json.loads(path.read_text())
        assert (record["phase"], record["user"], record["attempt"]) == ("launch", None, 1)
        process.terminate()
        container.finish(process)


def test_secrets_are_masked_everywhere(container: Container, plain_remote: Remote) -> None:
    secret = plain_remote.env["S3_SECRET_ACCESS_KEY"]
    script = "import os; print('the key is', os.environ['S3_SECRET_ACCESS_KEY'])"
    words = ("--log", plain_remote.bucket.url("logs/"), "--", "python3", "-c", script, f"--key={secret}")
    result = container.run(*words, environ=plain_remote.env)
    assert result.code == 0
    everything = [result.stdout, result.stderr.encode(), *plain_remote.bucket.tree("logs/").values()]
    everything += [path.read_bytes() for path in container.tmp.rglob("*") if path.is_file()]
    assert b"the key is ***" in result.stdout
    assert all(secret.encode() not in content for content in everything)


def test_as_pid_1_of_its_own_namespace(container: Container) -> None:
    if os.geteuid() != 0:
        pytest.skip("lab: a PID namespace needs root")
    container.front = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    result = container.run("--", "sh", "-c", "(sleep 0.1; echo orphan) & exit 5")
    assert result.code == 5, result.stderr


def test_the_ways_to_call_it_are_one(container: Container) -> None:
    for argv in ([container.argv()[0]], [sys.executable, "-m", "bootstrap"]):
        done = subprocess.run(
            [*argv, "run", "--quiet", "--", "echo", "x"], env=container.environ, cwd=container.work, capture_output=True
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"x\n", b"")


def test_a_reader_of_stdout_who_leaves_stops_nothing(container: Container) -> None:
    with container.running(
        "--", "sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        threading.Thread(target=process.stderr.read).start()
        assert process.wait(60) == 0
    assert container.log.read_text().endswith("line 19999\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_whoever_starts_us_may_have_closed_what_we_write_to(container: Container, closed: str) -> None:
    container.front = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    result = container.run("--", "sh", "-c", "cat; echo out; echo err >&2; exit 3")
    assert result.code == 3
    assert container.log.read_bytes().startswith(b"out\nerr\nbootstrap: ")
    assert result.stdout in (b"", b"out\nerr\n")


def test_a_time_limit(container: Container) -> None:
    began = time.monotonic()
    result = container.run("--timeout", "1", "--", "sleep", "600")
    assert (result.code, result.record["user"]["asked_by"]) == (143, "timeout"), result.stderr
    assert result.record["reason_id"] == "stopped-by-timeout"
    assert "it ran longer than 1.0 s" in result.stderr
    assert time.monotonic() - began < 30


def test_a_silence_limit_says_what_it_was_doing(container: Container) -> None:
    result = container.run("--stall-timeout", "1", "--", "sh", "-c", "echo working; sleep 600")
    assert (result.code, result.record["user"]["asked_by"]) == (143, "stall"), result.stderr
    (facts,) = container.tmp.rglob("stall.txt")
    assert "sleep" in facts.read_text()


def test_what_it_was_doing_is_masked(container: Container) -> None:
    token = "hf_Qm7rTzKp2WxVbNcLs"
    script = "echo working; sleep 600; : "
    result = container.run("--stall-timeout", "1", "--", "sh", "-c", script + token, token, environ={"HF_TOKEN": token})
    assert result.record["user"]["asked_by"] == "stall", result.stderr
    (facts,) = container.tmp.rglob("stall.txt")
    assert "sleep 600" in facts.read_text() and "***" in facts.read_text()
    assert token not in facts.read_text()


def test_a_command_that_resumes_is_started_again(container: Container) -> None:
    script = "echo life $BOOTSTRAP_RESTARTS; test -e again && exit 0; touch again; exit 1"
    result = container.run("--max-restarts", "3", "--", "sh", "-c", script)
    assert (result.code, result.stdout) == (0, b"life 0\nlife 1\n"), result.stderr
    assert result.record["user"]["attempts"] == 2


def test_the_stop_signal_is_a_choice_and_the_command_can_read_why(container: Container) -> None:
    script = "import os, signal, sys, time\n"
    script += "def save(*_): print(open(os.environ['BOOTSTRAP_STOP_FILE']).read()); sys.exit(0)\n"
    script += "signal.signal(signal.SIGUSR1, save); open('ready', 'w'); time.sleep(600)"
    with container.running("--stop-signal", "USR1", "--grace", "20", "--", "python3", "-c", script) as process:
        container.wait_for(container.work / "ready")
        process.terminate()
        result = container.finish(process)
    notice = json.loads(result.stdout)
    assert (result.code, notice["asked_by"]) == (0, "platform"), result.stderr
    assert 0 < notice["seconds"] < 20


def test_a_log_keeps_its_head_and_tail(container: Container) -> None:
    result = container.run("--log-limit", "100K", "--", "sh", "-c", "echo first; seq 100000; echo last")
    assert result.code == 0
    assert len(result.stdout) > 500_000, "the console goes on"
    log = container.log.read_bytes()
    assert log.startswith(b"first\n1\n") and log.endswith(b"100000\nlast\n")
    assert len(log) < 110_000


def test_stderr_apart(container: Container) -> None:
    apart = container.tmp / "errors"
    result = container.run("--stderr-file", str(apart), "--", "sh", "-c", "echo out; echo err >&2")
    assert apart.read_bytes() == b"err\n"
    assert sorted(result.stdout.split()) == [b"err", b"out"]


def test_our_process_dumps_no_core_while_it_holds_keys_and_the_command_may(container: Container) -> None:
    container.front = ["sh", "-c", 'ulimit -c 4096 && exec "$@"', "sh"]
    # Ours is back at 0 a moment after the command has begun; --timeout ends the wait for it.
    ours = "until grep -q 'Max core file size *0 ' /proc/$PPID/limits; do sleep 0.05; done"
    command = ("--timeout", "30", "--", "sh", "-c", f"ulimit -c; {ours}; grep 'Max core' /proc/$PPID/limits")
    keys = {"S3_ACCESS_KEY_ID": "SOMEKEY0000000000001", "S3_SECRET_ACCESS_KEY": "some/secret/of/forty/characters/0001"}
    result = container.run(*command, environ=keys)
    assert result.code == 0, result.stderr
    limit, ours = result.stdout.decode().splitlines()
    assert int(limit) > 0
    assert ours.split()[4] == "0"
