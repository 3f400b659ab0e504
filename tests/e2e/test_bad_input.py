"""Every kind of bad input ends in one clear message, its own exit code, a run record, and the log where possible."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import NO_BUCKET, Remote
from tests.e2e.job import SCRIPTS, Container, Result
from tests.lab.names import with_hosts
from tests.lab.strict_proxy import Key, Obs

ECHO = ("--", "echo", "trained")


def said(result: Result, *words: str) -> None:
    """One message with all of ``words``, and no traceback."""
    errors = [line for line in result.stderr.splitlines() if "error: " in line and "as said above" not in line]
    assert len(errors) == 1, result.stderr
    missing = [word for word in words if word not in errors[0]]
    assert not missing, (missing, errors[0])
    assert "What to do: " in errors[0]
    assert "Traceback" not in result.stderr
    assert b"trained" not in result.stdout


def delivered_log(container: Container, result: Result) -> str:
    """The log at ``--log``'s directory ``logs`` beside the container: it tells what went wrong."""
    return (container.home.parent / "logs" / "job.log").read_text()


@pytest.fixture
def logs(container: Container) -> tuple[str, str]:
    return ("--log", str(container.home.parent / "logs"))


# --- URLs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "failure", "words"),
    [
        ("obs://", (105, "url-invalid"), ["bucket"]),
        ("obs:/bucket/code/", (105, "url-invalid"), ["obs://bucket/code/"]),
        ("obs://BAD bucket/code/", (105, "url-invalid"), ["BAD bucket"]),
        ("ob://bucket/code/", (106, "url-scheme"), ["ob://", "did you mean obs://bucket/code/"]),
        ("https://bkt.obs.cn-north-4.myhuaweicloud.com/code/", (105, "url-invalid"), ["obs://bkt/code/"]),
        ("oss://bucket/code/", (123, "support-missing"), ["ossfs", "s3://bucket/key"]),
        ("cos://bucket/code/", (106, "url-scheme"), ["s3://bucket/code/"]),
    ],
)
def test_a_wrong_url(
    container: Container, logs: tuple[str, str], url: str, failure: tuple[int, str], words: list[str]
) -> None:
    result = container.run("--code", url, *logs, *ECHO)
    assert result.failure == failure
    said(result, "--code", *words)


def test_an_option_that_does_not_exist(container: Container) -> None:
    result = container.run("--codee", "x", *ECHO)
    assert result.code == 101
    assert "--codee" in result.stderr and "What to do" in result.stderr


def test_a_value_that_cannot_be_used(container: Container) -> None:
    result = container.run("--grace", "soon", *ECHO)
    assert result.code == 101
    assert "--grace cannot be 'soon'" in result.stderr


def test_no_command_at_all(container: Container) -> None:
    result = container.run("--quiet")
    assert result.code == 101
    assert "no command" in result.stderr


# --- the store -------------------------------------------------------------------------------------------------------


def test_a_bucket_that_is_not_there(container: Container, logs: tuple[str, str], remote: Remote) -> None:
    result = container.run("--code", f"obs://{NO_BUCKET}/code/", *logs, *ECHO, environ=remote.env)
    assert result.failure == (110, "bucket-missing")
    said(result, NO_BUCKET)
    assert NO_BUCKET in delivered_log(container, result)


def test_an_empty_prefix_names_the_nearest(container: Container, logs: tuple[str, str], remote: Remote) -> None:
    remote.bucket.put("proj/codes/train.py", "")
    result = container.run("--code", remote.bucket.url("proj/code/"), *logs, *ECHO, environ=remote.env)
    assert result.failure == (111, "nothing-there")
    said(result, remote.bucket.name, "proj/code/", "proj/codes/")


def test_no_credentials(container: Container, logs: tuple[str, str], plain_remote: Remote) -> None:
    environ = {name: value for name, value in plain_remote.env.items() if "KEY" not in name}
    environ["AWS_EC2_METADATA_DISABLED"] = "true"
    result = container.run("--code", plain_remote.bucket.url("code/"), *logs, *ECHO, environ=environ)
    assert result.failure == (107, "credentials-missing")
    said(result, "S3_ACCESS_KEY_ID")


def test_an_unknown_access_key(container: Container, logs: tuple[str, str], remote: Remote) -> None:
    environ = {**remote.env, "S3_ACCESS_KEY_ID": "NOBODYKNOWSTHISKEY00"}
    result = container.run("--code", remote.bucket.url("code/"), *logs, *ECHO, environ=environ)
    assert result.failure == (108, "credentials-rejected")
    said(result, "InvalidAccessKeyId", "request id")


def test_a_wrong_secret_key(container: Container, logs: tuple[str, str], remote: Remote) -> None:
    secret = "this/is/not/the/secret/key/of/anybody/0"
    environ = {**remote.env, "S3_SECRET_ACCESS_KEY": secret}
    result = container.run("--code", remote.bucket.url("code/"), *logs, *ECHO, environ=environ)
    assert result.failure == (108, "credentials-rejected")
    said(result, "SignatureDoesNotMatch")
    assert secret not in result.stderr + json.dumps(result.record)


@pytest.fixture
def strict(container: Container, obs: Obs, tmp_path: Path) -> Obs:
    """Huawei's OBS as far as refusals go, with names that the job can resolve."""
    container.front = with_hosts(tmp_path / "hosts", [*obs.names(), "obs.other-region-9.lab.test"])
    return obs


def test_no_permission(container: Container, logs: tuple[str, str], strict: Obs) -> None:
    bucket = strict.make_bucket()
    bucket.put("code/train.py", "")
    container.front = with_hosts(container.tmp / "hosts", strict.names())
    strict.policy.forbid = lambda method, name, key: name == bucket.name
    result = container.run("--code", bucket.url("code/"), *logs, *ECHO, environ=strict.env())
    assert result.failure == (109, "permission-denied")
    said(result, "AccessDenied", bucket.name)


def test_an_object_that_may_not_be_read_is_never_skipped(
    container: Container, logs: tuple[str, str], strict: Obs
) -> None:
    """The old downloader said "vanish away", left the file out and exited 0."""
    bucket = strict.make_bucket()
    bucket.put_tree("code/", {"train.py": "print('trained')", "secret.py": ""})
    container.front = with_hosts(container.tmp / "hosts", strict.names())
    strict.policy.forbid = lambda method, name, key: key == "code/secret.py"
    result = container.run("--code", bucket.url("code/"), *logs, "--", "python3", "code/train.py", environ=strict.env())
    assert result.failure == (109, "permission-denied")
    said(result, "code/secret.py")


def test_a_wrong_region(container: Container, logs: tuple[str, str], strict: Obs) -> None:
    bucket = strict.make_bucket()
    container.front = with_hosts(container.tmp / "hosts", strict.names())
    strict.policy.elsewhere[bucket.name] = "obs.other-region-9.lab.test"
    result = container.run("--code", bucket.url("code/"), *logs, *ECHO, environ=strict.env())
    assert result.failure == (112, "endpoint-wrong")
    said(result, "obs.other-region-9.lab.test")


def test_the_wrong_addressing_style(container: Container, logs: tuple[str, str], strict: Obs) -> None:
    bucket = strict.make_bucket()
    container.front = with_hosts(container.tmp / "hosts", strict.names())
    code = ("--code", bucket.url("code/"))
    result = container.run(*code, "--addressing", "path", *logs, *ECHO, environ=strict.env())
    assert result.failure == (112, "endpoint-wrong")
    said(result, "VirtualHostDomainRequired", "--addressing")


def test_a_clock_that_is_off(container: Container, logs: tuple[str, str], strict: Obs) -> None:
    bucket = strict.make_bucket()
    container.front = with_hosts(container.tmp / "hosts", strict.names())
    strict.policy.clock_offset = 3600
    result = container.run("--code", bucket.url("code/"), *logs, *ECHO, environ=strict.env())
    assert result.failure == (204, "clock-skewed")
    said(result, "RequestTimeTooSkewed", "behind")


def test_a_token_that_has_ended(container: Container, logs: tuple[str, str], strict: Obs) -> None:
    bucket = strict.make_bucket()
    container.front = with_hosts(container.tmp / "hosts", strict.names())
    strict.policy.keys["TEMPORARYKEY00000001"] = Key("temporary/secret", "the-token-of-it", time.time() - 60)
    strict.policy.expired_as = "ExpiredToken"
    environ = {
        **strict.env(),
        "S3_ACCESS_KEY_ID": "TEMPORARYKEY00000001",
        "S3_SECRET_ACCESS_KEY": "temporary/secret",
        "AWS_SESSION_TOKEN": "the-token-of-it",
    }
    result = container.run("--code", bucket.url("code/"), *logs, *ECHO, environ=environ)
    assert result.failure == (205, "credentials-expired")
    said(result, "ExpiredToken")
    assert "the-token-of-it" not in result.stderr


def test_a_store_that_is_not_there(container: Container, logs: tuple[str, str], plain_remote: Remote) -> None:
    environ = {**plain_remote.env, "S3_ENDPOINT": "http://127.0.0.1:9", "BOOTSTRAP_STORE_TIMEOUT": "3"}
    result = container.run("--code", "obs://bucket/code/", *logs, *ECHO, environ=environ)
    assert result.failure == (200, "store-unavailable")
    said(result, "127.0.0.1:9")
    said(result, "(--store-timeout)")


def test_an_endpoint_whose_name_does_not_resolve(container: Container, logs: tuple[str, str]) -> None:
    environ = {
        "S3_ENDPOINT": "https://obs.nowhere-1.invalid",
        "S3_ACCESS_KEY_ID": "SOMEKEY0000000000001",
        "S3_SECRET_ACCESS_KEY": "some/secret/of/forty/characters/long/0001",
    }
    result = container.run("--code", "obs://bucket/code/", *logs, *ECHO, environ=environ)
    assert result.failure == (201, "name-unresolved")
    said(result, "bucket.obs.nowhere-1.invalid")


def test_no_endpoint(container: Container, logs: tuple[str, str], plain_remote: Remote) -> None:
    environ = {**plain_remote.env, "S3_ENDPOINT": ""}
    result = container.run("--code", "obs://bucket/code/", *logs, *ECHO, environ=environ)
    assert result.failure == (112, "endpoint-wrong")
    said(result, "S3_ENDPOINT")


def test_an_output_that_could_never_be_delivered_is_known_before_the_training(
    container: Container, logs: tuple[str, str], plain_remote: Remote
) -> None:
    result = container.run("--output", f"out=obs://{NO_BUCKET}/x/", *logs, *ECHO, environ=plain_remote.env)
    assert result.failure == (110, "bucket-missing")
    said(result, "--output", NO_BUCKET)


def test_a_log_that_cannot_be_delivered_is_a_warning(container: Container, strict: Obs) -> None:
    bucket = strict.make_bucket()
    container.front = with_hosts(container.tmp / "hosts", strict.names())
    strict.policy.forbid = lambda method, name, key: method == "PUT"
    result = container.run("--log", bucket.url("logs/"), *ECHO, environ=strict.env())
    assert (result.code, result.stdout) == (0, b"trained\n")
    assert f"warning: the log was not delivered and stays in {container.log}" in result.stderr
    assert container.log.read_bytes() == b"trained\n"


def test_outputs_lost_after_a_success_are_a_failure_of_their_own(
    container: Container, logs: tuple[str, str], strict: Obs
) -> None:
    bucket = strict.make_bucket()
    container.front = with_hosts(container.tmp / "hosts", strict.names())
    strict.policy.forbid = lambda method, name, key: method == "PUT" and "/claims/" not in key
    words = ("--output", f"out={bucket.url('x/')}", *logs, "--", "touch", "out/model")
    result = container.run(*words, environ=strict.env())
    assert result.code == 206, result.stderr
    assert result.record["user"]["status"] == 0
    assert result.record["reason_id"] == "outputs-undelivered"
    assert "AccessDenied" in result.stderr and f"{container.work}/out" in result.stderr
    assert (container.work / "out" / "model").exists()


def test_a_bucket_that_may_not_be_written_fails_before_the_command(
    container: Container, logs: tuple[str, str], strict: Obs
) -> None:
    bucket = strict.make_bucket()
    container.front = with_hosts(container.tmp / "hosts", strict.names())
    strict.policy.forbid = lambda method, name, key: method == "PUT"
    result = container.run("--output", f"out={bucket.url('x/')}", *logs, *ECHO, environ=strict.env())
    assert result.failure == (109, "permission-denied")
    said(result, "--output", bucket.url("x/"))


def test_an_output_directory_that_the_command_removed_is_said_to_be_gone(container: Container, tmp_path: Path) -> None:
    result = container.run("--output", f"out={tmp_path}/target", "--", "rmdir", "out")
    assert result.code == 206
    assert f"the directory of an output is gone ({container.work}/out)" in result.record["reason"]
    assert result.record["reason"].count("What to do: ") == 1


def test_a_directory_for_outputs_that_is_closed_to_us_fails_before_the_command(
    container: Container, logs: tuple[str, str], tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    if os.geteuid() == 0:
        os.chown(target, 4321, 4321)
        container.front = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]  # root is refused nothing else
    else:
        target.chmod(0o555)
    result = container.run("--output", f"out={target}/new", *logs, *ECHO)
    assert result.failure == (115, "path-unusable")
    said(result, "--output", f"{target}/new", f"{target} is dr", "we are uid")


def test_undelivered_outputs_can_be_allowed(container: Container, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("a file stands where the output should go")
    words = ("--output", f"out={target}", "--", "touch", "out/model")
    assert container.run(*words).failure == (115, "path-unusable")
    assert not (container.work / "out/model").exists(), "it fails before the command"
    result = container.run("--allow-undelivered", *words)
    assert result.code == 0, result.stderr
    assert f"{target}" in result.stderr and (container.work / "out/model").exists()


# --- names and archives -----------------------------------------------------------------------------------------------


def test_keys_that_would_leave_the_directory(container: Container, logs: tuple[str, str], moto: Remote) -> None:
    moto.bucket.put_tree("code/", {"train.py": "", "../../escape.py": "evil"})
    result = container.run("--code", moto.bucket.url("code/"), *logs, *ECHO, environ=moto.env)
    assert result.failure == (113, "names-unsafe")
    said(result, "../../escape.py")
    assert not list(container.work.rglob("*.py")), "nothing is written"


def test_a_file_where_a_directory_stands(container: Container, logs: tuple[str, str], moto: Remote) -> None:
    moto.bucket.put_tree("code/", {"data": "a file", "data/112.jpg": "a file in it"})
    result = container.run("--code", moto.bucket.url("code/"), *logs, *ECHO, environ=moto.env)
    assert result.failure == (113, "names-unsafe")
    said(result, "data")


def test_an_archive_that_is_none(container: Container, logs: tuple[str, str], plain_remote: Remote) -> None:
    plain_remote.bucket.put("code.tar.gz", b"not an archive")
    code = ("--code", plain_remote.bucket.url("code.tar.gz"))
    result = container.run(*code, *logs, *ECHO, environ=plain_remote.env)
    assert result.failure == (114, "archive-invalid")
    said(result, "code.tar.gz")


def test_an_empty_code_directory(container: Container, logs: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = container.run("--code", str(tmp_path / "empty"), *logs, *ECHO)
    assert result.failure == (111, "nothing-there")
    said(result, str(tmp_path / "empty"))


# --- the command ----------------------------------------------------------------------------------------------------


def test_a_command_that_is_not_found(container: Container, logs: tuple[str, str]) -> None:
    result = container.run(*logs, "--", "pythom3", "x.py")
    assert result.failure == (127, "command-not-found")
    said(result, "pythom3", "python3")
    assert "pythom3" in delivered_log(container, result)


def test_a_script_that_is_not_found_after_the_fetch(
    container: Container, logs: tuple[str, str], tmp_path: Path
) -> None:
    code = tmp_path / "proj"
    code.mkdir()
    (code / "train.py").write_text("")
    result = container.run("--code", str(code), *logs, "--", "python3", "train.py")
    assert result.failure == (127, "command-not-found")
    said(result, "train.py", "proj/train.py")


def test_a_command_that_cannot_be_executed(container: Container, logs: tuple[str, str]) -> None:
    script = container.work / "train.sh"
    script.write_text("#!/bin/sh\necho trained\n")
    script.chmod(0o644)
    result = container.run(*logs, "--", "./train.sh")
    assert result.failure == (126, "command-not-executable")
    said(result, "train.sh")


# --- the disk -------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(container: Container) -> Path:
    """A real file system of 4 MiB, mounted where the job will see it and nobody else."""
    if os.geteuid() != 0:
        pytest.skip("lab: mounting a small disk needs root")
    disk = container.home.parent / "disk"
    disk.mkdir()
    container.front = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size=4m none "{disk}" && exec "$@"', "sh"]
    return disk


def test_a_disk_too_small_for_the_code(
    container: Container, logs: tuple[str, str], plain_remote: Remote, small_disk: Path
) -> None:
    plain_remote.bucket.put("code/big.bin", b"\0" * (6 << 20))
    words = ("--code", plain_remote.bucket.url("code/"), "--job-dir", str(small_disk), *logs, *ECHO)
    result = container.run(*words, environ=plain_remote.env)
    assert result.failure == (116, "disk-full")
    said(result, str(small_disk), "6.3 MB")


def test_a_disk_that_fills_up_under_the_log_stops_nothing(container: Container, small_disk: Path) -> None:
    command = ("--", "sh", "-c", "head -c 20000000 /dev/zero | tr '\\0' x; echo; echo done")
    result = container.run("--log-file", str(small_disk / "job.log"), *command)
    assert result.code == 0, result.stderr
    assert result.stdout.endswith(b"x\ndone\n") and len(result.stdout) == 20_000_006
    assert "No space left" in result.stderr


def test_a_read_only_log_directory(container: Container, logs: tuple[str, str]) -> None:
    locked = container.home.parent / "locked"
    locked.mkdir()
    container.front = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o ro none "{locked}" && exec "$@"', "sh"]
    result = container.run("--log-file", str(locked / "job.log"), *logs, *ECHO)
    assert result.failure == (115, "path-unusable")
    said(result, str(locked), "--log-file", "Read-only")


def test_a_platforms_own_log_directory_that_cannot_be_written_is_replaced(container: Container) -> None:
    environ = {"MA_VJ_NAME": "j", "MA_NUM_HOSTS": "1", "MA_LOG_DIR": "/proc/nowhere", "BOOTSTRAP_LOG_FILE": ""}
    result = container.run("--job-dir", ".", *ECHO, environ=environ)
    assert (result.code, result.stdout) == (0, b"trained\n"), result.stderr
    assert "/proc/nowhere" in result.stderr
    assert "cannot be written" in result.stderr


def test_a_job_directory_of_somebody_else(container: Container, logs: tuple[str, str], tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("lab: becoming another user needs root")
    for path in [tmp_path, *tmp_path.parents][:-1]:
        path.chmod(path.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    for path in [container.home.parent, *container.home.parent.rglob("*")]:
        os.chown(path, 1101, 1101)
    locked = tmp_path / "roots-own"
    locked.mkdir(mode=0o755)
    container.front = ["setpriv", "--reuid", "1101", "--regid", "1101", "--clear-groups"]
    if subprocess.run([*container.front, sys.executable, "-c", ""], capture_output=True).returncode:
        pytest.skip(f"uid 1101 cannot run {sys.executable}, which is in somebody's home")
    own_log = ("--log-file", str(container.tmp / "job.log"))  # the default is /tmp's, where root may have been before
    result = container.run("--job-dir", str(locked / "job"), *own_log, *logs, *ECHO)
    assert result.failure == (115, "path-unusable")
    said(result, str(locked), "1101", "--job-dir")


# --- the platform --------------------------------------------------------------------------------------------------


def test_unreadable_inputs(container: Container, logs: tuple[str, str]) -> None:
    environ = {"DLS_TASK_INDEX": "0", "DLS_TASK_NUMBER": "1", "MA_INPUTS": '{"inputs": [{"name": }]}'}
    result = container.run(*logs, *ECHO, environ=environ)
    assert result.failure == (104, "declaration-unreadable")
    said(result, "MA_INPUTS", "column")
    assert "MA_INPUTS" in delivered_log(container, result)


def test_a_half_set_platform(container: Container, plain_remote: Remote) -> None:
    """Even then the log goes where v1 says that logs go, and says why."""
    environ = {
        **plain_remote.env,
        "DLS_TASK_INDEX": "1",
        "DLS_TASK_NUMBER": "2",
        "DLS_USE_UPLOADER": "1",
        "DLS_UPLOAD_LOG_OBS_DIR": plain_remote.bucket.url("logs/"),
    }
    result = container.run(*ECHO, environ=environ)
    assert result.failure == (102, "platform-incomplete")
    said(result, "DLS_TASK_NUMBER=2", "BATCH_CUSTOM")
    assert b"BATCH_CUSTOM" in plain_remote.bucket.get("logs/dls-log-unknown-id/job.log")


def test_hosts_that_do_not_match_the_task_count(container: Container, logs: tuple[str, str]) -> None:
    hosts = {f"BATCH_CUSTOM{index}_HOSTS": f"h{index}:6666" for index in range(3)}
    environ = {"DLS_TASK_INDEX": "0", "DLS_TASK_NUMBER": "2", **hosts}
    result = container.run(*logs, *ECHO, environ=environ)
    assert result.failure == (103, "cluster-mismatch")
    said(result, "DLS_TASK_NUMBER", "2", "3")


def test_an_unknown_platform(container: Container, logs: tuple[str, str]) -> None:
    result = container.run("--platform", "modelart", *logs, *ECHO)
    assert result.failure == (101, "usage")
    said(result, "modelart", "modelarts")


def test_an_interface_that_is_not_there(container: Container, logs: tuple[str, str]) -> None:
    result = container.run("--interface", "ib7", *logs, *ECHO)
    assert result.failure == (202, "interface-missing")
    said(result, "ib7", "lo")


# --- the old name's own rule, and tracebacks --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ({}, 111),
        ({"DLS_APP_URL": "obs:/bucket/code/"}, 105),
        ({"S3_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}, 107),
    ],
    ids=["nothing there", "a wrong URL", "no keys"],
)
def test_run_train_sh_keeps_127_for_a_failed_code_download(
    container: Container, plain_remote: Remote, wrong: dict[str, str], cause: int
) -> None:
    for script in SCRIPTS.iterdir():
        if script.is_file():
            shutil.copy(script, container.home)
    environ = {
        **plain_remote.env,
        "BOOTSTRAP_BIN": container.argv()[0],
        "DLS_TASK_INDEX": "0",
        "DLS_APP_URL": plain_remote.bucket.url("nothing/here/"),
        "DLS_USE_DOWNLOADER": "1",
        **wrong,
    }
    result = container.run(argv=["bash", str(container.home / "run_train.sh"), "echo", "trained"], environ=environ)
    assert result.code == 127, result.stderr
    assert "App download error: " in container.log.read_text()
    assert result.record["bootstrap"]["code"] == cause


def test_a_traceback_only_when_asked(container: Container) -> None:
    words = ("--code", "obs:/oops", *ECHO)
    assert "Traceback" not in container.run(*words).stderr
    assert "Traceback" in container.run("--traceback", *words).stderr


def test_no_shell_reads_the_command(container: Container) -> None:
    nasty = "a b; echo INJECTED $(echo INJECTED) `echo INJECTED` > /dev/null"
    result = container.run("--", "printf", "%s\\n", nasty)
    assert result.stdout.decode() == nasty + "\n"


def test_the_common_redirections_are_dropped_with_an_explanation(container: Container) -> None:
    for slip in ("2>&1", "2&>1"):
        result = container.run("--", "echo", "trained", slip)
        assert (result.code, result.stdout) == (0, b"trained\n")
        assert result.stderr.count(slip) == 1 and "no shell" in result.stderr


def test_help_comes_in_a_broken_environment_too(container: Container) -> None:
    done = subprocess.run(
        container.argv("--help"),
        env={**container.environ, "DLS_TASK_NUMBER": "2", "DLS_TASK_INDEX": "0", "BOOTSTRAP_GRACE": "7m"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "BATCH_CUSTOM" in done.stdout
    assert "now: 420 from BOOTSTRAP_GRACE" in done.stdout
    assert "BOOTSTRAP_JOB_DIR" in done.stdout


# --- orders that were not understood ----------------------------------------------------------------------------------


def test_a_variable_that_nobody_reads_is_told_with_the_nearest_name(container: Container, tmp_path: Path) -> None:
    environ = {"BOOTSTRAP_OUPUT": f"out={tmp_path}/target"}
    result = container.run("--", "sh", "-c", "env | grep OUPUT", environ=environ)
    assert result.code == 0
    assert (
        "warning: BOOTSTRAP_OUPUT is no setting, and nobody reads it; did you mean BOOTSTRAP_OUTPUT?" in result.stderr
    )
    assert b"BOOTSTRAP_OUPUT=" in result.stdout, "the command's environment stays as it was"


def test_an_option_that_nobody_knows_is_refused_with_the_nearest_name(container: Container) -> None:
    result = container.run("--ouput", "out=/tmp/x", *ECHO)
    assert result.code == 101 and "--output" in result.stderr


def test_what_surrounds_values_is_taken_off_for_settings_keys_and_switches_alike(
    container: Container, plain_remote: Remote
) -> None:
    quoted = {name: f'"{value}"' for name, value in plain_remote.env.items()}
    environ = {
        **quoted,
        "S3_USE_HTTPS": '"0"',
        "S3_ENDPOINT": f"\ufeff'{plain_remote.env['S3_ENDPOINT'].rpartition('/')[2]}'\r\n",
        "BOOTSTRAP_LOG": f'"{plain_remote.bucket.url("logs/")}"\n',
        "BOOTSTRAP_OUTPUT": f'out="{plain_remote.bucket.url("x/")}"\r\n',
    }
    result = container.run("--", "sh", "-c", "echo model >out/model; env", environ=environ)
    assert result.code == 0, result.stderr
    assert plain_remote.bucket.get("x/model") == b"model\n"
    assert b"trained" not in result.stdout and b'S3_USE_HTTPS="0"\n' in result.stdout
    for name in ("S3_USE_HTTPS", "S3_ACCESS_KEY_ID", "S3_ENDPOINT", "BOOTSTRAP_LOG"):
        assert result.stderr.count(f"warning: {name}: ") == 1, name
    assert quoted["S3_SECRET_ACCESS_KEY"].strip('"') not in result.stderr + result.stdout.decode()


@pytest.mark.parametrize("url", ["obs://bucket/$(JOB)/", "/mnt/${JOB}/", "results", "obs://bucket/{{job}}/"])
@pytest.mark.parametrize("setting", ["BOOTSTRAP_OUTPUT", "BOOTSTRAP_LOG"])
def test_a_destination_that_cannot_be_meant_is_refused_before_training(
    container: Container, setting: str, url: str
) -> None:
    result = container.run(*ECHO, environ={setting: f"out={url}" if setting.endswith("OUTPUT") else url})
    assert result.failure == (105, "url-invalid")
    assert b"trained" not in result.stdout
    assert f"{setting} = {url}" in result.stderr and result.stderr.count("has not been replaced") <= 1
    assert not Path("/mnt/${JOB}").exists() and not list(container.home.parent.rglob("results"))


@pytest.mark.parametrize("setting", ["LOG_FILE", "STDERR_FILE", "RUN_DIR"])
def test_a_file_of_the_run_whose_name_nobody_filled_in_is_refused_and_not_made(
    container: Container, setting: str, tmp_path: Path
) -> None:
    value = f"{tmp_path}/nas/${{JOB}}/x"
    result = container.run(*ECHO, environ={f"BOOTSTRAP_{setting}": value})
    assert result.code == 105, result.stderr
    assert f"BOOTSTRAP_{setting} = {value}" in result.stderr and not (tmp_path / "nas").exists()


@pytest.mark.parametrize("setting", ["LOG_FILE", "STDERR_FILE"])
def test_a_directory_where_a_file_is_wanted_is_no_file_of_its_name(
    container: Container, setting: str, tmp_path: Path
) -> None:
    result = container.run(*ECHO, environ={f"BOOTSTRAP_{setting}": f"{tmp_path}/naslog/"})
    assert result.code == 115 and f"{tmp_path}/naslog/bootstrap.log" in result.stderr
    assert not (tmp_path / "naslog").exists()


def test_a_directory_of_an_output_that_nobody_filled_in_is_refused(container: Container, tmp_path: Path) -> None:
    result = container.run("--output", f"${{OUT}}={tmp_path}/to", *ECHO)
    assert result.code == 105 and "${OUT}" in result.stderr


@pytest.mark.parametrize("divider", [",", " ", ", ", ",\t"])
@pytest.mark.parametrize("how", ["option", "variable"])
def test_several_in_one_are_not_one_with_an_odd_name(
    container: Container, divider: str, how: str, tmp_path: Path
) -> None:
    text = f"a={tmp_path}/to-a{divider}b={tmp_path}/to-b"
    options = ["--output", text] if how == "option" else []
    result = container.run(*options, *ECHO, environ={} if options else {"BOOTSTRAP_OUTPUT": text})
    assert result.code == 101, result.stderr
    assert "these are several" in result.stderr and not list(tmp_path.glob("to-*"))


@pytest.mark.parametrize(
    "words", [["--require-outputs"], ["--resume", "require"], ["--resume-from", "obs://bucket/other/"]], ids=" ".join
)
def test_what_needs_an_output_is_refused_where_none_is_ordered(container: Container, words: list[str]) -> None:
    result = container.run(*words, *ECHO)
    assert result.failure == (101, "usage")
    assert words[0] in result.stderr and b"trained" not in result.stdout
    inner = container.run(*words, *ECHO, environ={"BOOTSTRAP_INSIDE": str(container.tmp)})
    assert inner.code == 0, "the outputs are another bootstrap's, around this one"


def test_what_means_nothing_without_an_output_is_named(container: Container) -> None:
    result = container.run("--keep-checkpoints", "3", *ECHO, environ={"BOOTSTRAP_CHECKPOINT": "step-*"})
    assert result.code == 0
    assert "nothing comes of BOOTSTRAP_CHECKPOINT, --keep-checkpoints" in result.stderr


def test_a_blank_around_a_variable_s_name_is_seen(container: Container) -> None:
    result = container.run(*ECHO, environ={" BOOTSTRAP_OUTPUT": "out=/mnt/x"})
    assert "' BOOTSTRAP_OUTPUT' is no setting, and nobody reads it; did you mean BOOTSTRAP_OUTPUT?" in result.stderr


@pytest.mark.parametrize("bad_first", [True, False])
def test_one_output_that_cannot_be_written_leaves_nothing_of_the_other(
    container: Container, tmp_path: Path, bad_first: bool
) -> None:
    """Targets are looked at side by side: what was claimed for the good one by then is taken back."""
    (tmp_path / "file").write_text("in the way")
    good, bad = ("--output", f"good={tmp_path / 'good'}"), ("--output", f"bad={tmp_path / 'file' / 'below'}")
    result = container.run(*(bad + good if bad_first else good + bad), *ECHO)
    assert result.failure == (115, "path-unusable"), result.stderr
    said(result, str(tmp_path / "file"))
    assert not [path for path in (tmp_path / "good").rglob("*") if path.is_file()]
    allowed = container.run(*good, *bad, "--allow-undelivered", "--run-dir", str(tmp_path / "inner"), *ECHO)
    assert (allowed.code, allowed.stdout) == (0, b"trained\n"), allowed.stderr
    assert "as --allow-undelivered permits" in allowed.stderr
