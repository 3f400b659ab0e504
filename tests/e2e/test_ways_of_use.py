"""The ways in which people start their jobs today, each against real stores, with the installed command."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.conftest import TRAIN, Remote
from tests.e2e.job import BOOTSTRAP, LIMIT, SCRIPTS, Container, Result

MODEL = {"model.bin": bytes(range(256)) * 100, "deep/metrics.json": b'{"loss": 0.1}'}


def install_old_names(container: Container) -> Path:
    """What a v1 image has in /home/work."""
    for script in SCRIPTS.iterdir():
        if script.is_file():
            shutil.copy(script, container.home)
    container.environ["BOOTSTRAP_BIN"] = BOOTSTRAP
    return container.home / "run_train.sh"


def v1(remote: Remote, **more: str) -> dict[str, str]:
    """The environment of a ModelArts v1 job, as its documentation and logs show it."""
    return {
        **remote.env,
        "DLS_TASK_INDEX": "0",
        "DLS_TASK_NUMBER": "1",
        "DLS_JOB_ID": "job1a2b3c",
        "DLS_DLKS_JOB_ID": "dlks-77",
        "DLS_APP_URL": remote.bucket.url("proj/code/"),
        "DLS_TRAIN_URL": f"/{remote.bucket.name}/proj/out/",
        "DLS_USE_DOWNLOADER": "1",
        "DLS_USE_UPLOADER": "1",
        "DLS_UPLOAD_LOG_OBS_DIR": f"obs://{remote.bucket.name}/logs",
        "BATCH_JOB_ID": "job1a2b3c",
        **more,
    }


def test_the_v1_boot_command_with_an_absolute_interpreter_path(container: Container, remote: Remote) -> None:
    run_train = install_old_names(container)
    remote.bucket.put_tree("proj/code/", {"train.py": TRAIN, "lib/tool.sh": "#!/bin/sh\necho tool\n"})
    if remote.bucket.store.name != "rclone":  # which has directories instead of objects that mark them
        remote.bucket.put_tree("proj/code/", {"": "", "lib/": "", "empty/": ""})
    log = container.tmp / "dls-task-0.log"
    boot = ["bash", str(run_train), sys.executable, f"{container.home}/user-job-dir/code/train.py", "--lr=0.1", "a b"]

    result = container.run(argv=boot, environ=v1(remote, BOOTSTRAP_LOG_FILE=str(log)))

    assert result.code == 0, result.stderr
    said = b'training with ["--lr=0.1", "a b"]\nto stderr\n'
    assert result.stdout.endswith(said)
    banner = result.stdout[: -len(said)].decode().splitlines()
    assert [line.split(":")[0] for line in banner] == ["user", "pwd", "app_url", "log_url", "command"]
    assert log.read_bytes() == said
    assert remote.bucket.get("logs/dls-log-dlks-77/dls-task-0.log") == said
    assert remote.bucket.results("proj/out/") == MODEL
    assert os.access(container.home / "user-job-dir/code/lib/tool.sh", os.X_OK)
    record = json.loads(remote.bucket.get("logs/dls-log-dlks-77/dls-task-0.run.json"))
    assert (record["platform"]["name"], record["exit_code"], record["user"]["status"]) == ("dls", 0, 0)
    assert [step["result"] for step in record["steps"]] == ["ok"] * 7


def test_the_v1_single_node_host_has_a_dot_in_its_name(container: Container, plain_remote: Remote) -> None:
    plain_remote.bucket.put("proj/code/show.py", "import os; print(os.environ['BOOTSTRAP_HOSTS'], os.getcwd())")
    environ = {**v1(plain_remote), "BATCH_job1a2b3c.0_HOSTS": "job1a2b3c-0:6666"}
    result = container.run("--", "python3", "code/show.py", environ=environ)
    assert result.code == 0, result.stderr
    assert result.stdout.decode().split() == ["job1a2b3c-0", str(container.home / "user-job-dir")]


def test_two_v1_nodes_deliver_beside_each_other(tmp_path: Path, plain_remote: Remote) -> None:
    plain_remote.bucket.put_tree("proj/code/", {"train.py": TRAIN})
    nodes = [Container(tmp_path / f"node{index}") for index in range(2)]

    def boot(index: int) -> Result:
        container = nodes[index]
        hosts = {f"BATCH_CUSTOM{i}_HOSTS": f"worker-{i}:6666" for i in range(2)}
        environ = v1(plain_remote, DLS_TASK_INDEX=str(index), DLS_TASK_NUMBER="2", **hosts)
        environ["BOOTSTRAP_LOG_FILE"] = str(container.tmp / f"dls-task-{index}.log")
        return container.run("--", "python3", "code/train.py", f"--node={index}", environ=environ)

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(boot, range(2)))

    assert [result.code for result in results] == [0, 0], results
    for index in range(2):
        log = plain_remote.bucket.get(f"logs/dls-log-dlks-77/dls-task-{index}.log")
        assert f"--node={index}".encode() in log
        assert results[index].record["node"] == {"rank": index, "size": 2, "hosts": ["worker-0", "worker-1"]}
    outputs = plain_remote.bucket.results("proj/out/")
    assert outputs == {**MODEL, **{f"node-1/{name}": content for name, content in MODEL.items()}}


def test_two_nodes_share_an_output_when_asked(container: Container, plain_remote: Remote) -> None:
    plain_remote.bucket.put_tree("proj/code/", {"train.py": TRAIN})
    hosts = {f"BATCH_CUSTOM{i}_HOSTS": f"worker-{i}:6666" for i in range(2)}
    environ = v1(plain_remote, DLS_TASK_INDEX="1", DLS_TASK_NUMBER="2", **hosts)
    assert container.run("--shared-outputs", "--", "python3", "code/train.py", environ=environ).code == 0
    assert plain_remote.bucket.results("proj/out/") == MODEL


def test_v1_without_the_downloader_copies_a_local_path(container: Container, tmp_path: Path) -> None:
    code = tmp_path / "mounted" / "code"
    code.mkdir(parents=True)
    (code / "train.py").write_text(TRAIN)
    environ = {"DLS_TASK_INDEX": "0", "DLS_TASK_NUMBER": "1", "DLS_USE_DOWNLOADER": "0", "DLS_APP_URL": f"{code}/"}
    result = container.run("--", "python3", "code/train.py", environ=environ)
    assert result.code == 0, result.stderr
    assert (container.home / "user-job-dir/code/train.py").read_text() == TRAIN


def test_the_v2_boot_command(container: Container, remote: Remote) -> None:
    jobs, logs = container.home / "modelarts/user-job-dir", container.home / "modelarts/log"
    outputs = container.home / "modelarts/outputs/train_url_0"
    (jobs / "code").mkdir(parents=True)
    outputs.mkdir(parents=True)
    (jobs / "code" / "x.py").write_text(TRAIN)
    url = f"/{remote.bucket.name}/v2/out/"
    declared = {"name": "train_url", "local_dir": str(outputs), "remote": {"obs": {"obs_url": url}}}
    environ = {
        **remote.env,
        "BOOTSTRAP_LOG_FILE": "",
        "MA_JOB_DIR": str(jobs),
        "MA_LOG_DIR": str(logs),
        "MA_VJ_NAME": "ma-job-0001",
        "MA_NUM_HOSTS": "1",
        "MA_TASK_NAME": "worker",
        "VC_TASK_INDEX": "0",
        "VC_WORKER_HOSTS": "ma-job-0001-worker-0.ma-job-0001",
        "MA_OUTPUTS": json.dumps({"outputs": [declared]}),
    }
    boot = ["sh", "-c", f"{shlex.quote(BOOTSTRAP)} run -- python3 ${{MA_JOB_DIR}}/code/x.py --epochs 2"]

    result = container.run(argv=boot, environ=environ)

    assert result.code == 0, result.stderr
    assert b'training with ["--epochs", "2"]' in result.stdout
    assert (logs / "bootstrap-worker-0.log").read_bytes() == result.stdout
    assert (outputs / "model.bin").read_bytes() == MODEL["model.bin"], "the child is told the platform's directory"
    assert remote.bucket.list("v2/") == [], "the platform delivers MA_OUTPUTS by itself"
    assert f"{outputs} is delivered to obs:/{url} by the platform" in result.stderr
    assert result.record["outputs"] == [{"directory": str(outputs), "url": f"obs:/{url}"}]

    asked = container.run(argv=boot, environ={**environ, "BOOTSTRAP_PLATFORM_OUTPUTS": "1"})
    assert asked.code == 0, asked.stderr
    assert remote.bucket.results("v2/out/") == MODEL


def test_an_old_v1_script_on_v2_just_works(container: Container) -> None:
    """On v2 the old script ended in `cp: cannot stat ''` and `tee: ... Permission denied`."""
    run_train = install_old_names(container)
    environ = {
        "MA_JOB_DIR": str(container.work),
        "MA_VJ_NAME": "ma-job-1",
        "MA_NUM_HOSTS": "1",
        "BOOTSTRAP_LOG_FILE": "",
    }
    environ["MA_LOG_DIR"] = str(container.home / "log")
    result = container.run(argv=["bash", str(run_train), "echo", "trained"], environ=environ)
    assert result.code == 0, result.stderr
    assert result.stdout.endswith(b"trained\n")


def test_a_nas_directory_on_volcano_with_a_conda_environment(container: Container, tmp_path: Path) -> None:
    nas = tmp_path / "nas" / "project"
    nas.mkdir(parents=True)
    # Conda's own tools are not needed to tell: an environment is a prefix whose bin comes first on the PATH.
    conda = tmp_path / "nas" / "conda" / "envs" / "torch"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(conda)], check=True)
    (nas / "show.py").write_text(
        "import json, os, sys\n"
        "print(json.dumps([sys.prefix, os.getcwd(), os.environ['CONDA_PREFIX'], os.environ['NODE_RANK']]))\n"
    )
    environ = {
        "PATH": f"{conda}/bin:{container.environ['PATH']}",
        "CONDA_PREFIX": str(conda),
        "CONDA_DEFAULT_ENV": "torch",
        "VC_TASK_INDEX": "1",
        "VC_WORKER_HOSTS": "job-worker-0.job,job-worker-1.job",
        "VC_WORKER_NUM": "2",
    }
    result = container.run("--job-dir", str(nas), "--", "python", "show.py", environ=environ)
    assert result.code == 0, result.stderr
    assert json.loads(result.stdout) == [str(conda), str(nas), str(conda), "1"]
    assert result.record["platform"]["name"] == "volcano"


def test_a_plain_rank_environment_counts_nodes(container: Container) -> None:
    script = "import os; print(os.environ['NNODES'], os.environ['NODE_RANK'], os.environ['MASTER_PORT'])"
    environ = {"MASTER_ADDR": "dlc-1-master-0", "MASTER_PORT": "23456", "WORLD_SIZE": "3", "RANK": "2"}
    result = container.run("--", "python3", "-c", script, environ=environ)
    assert (result.code, result.stdout) == (0, b"3 2 23456\n"), result.stderr
    assert result.record["platform"]["name"] == "rank-env"


def test_a_local_volume(container: Container, tmp_path: Path) -> None:
    source, results = tmp_path / "src", tmp_path / "results"
    source.mkdir()
    (source / "train.py").write_text(TRAIN)
    result = container.run(
        "--code",
        str(source),
        "--output",
        f"out={results}",
        "--log",
        str(results / "logs"),
        "--",
        "python3",
        "src/train.py",
    )
    assert result.code == 0, result.stderr
    assert (results / "model.bin").read_bytes() == MODEL["model.bin"]
    assert (results / "logs" / "job.log").read_bytes() == result.stdout
    assert (container.work / "src" / "train.py").exists()


def test_variables_do_what_options_do(container: Container, tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    (source / "train.py").write_text(TRAIN)
    environ = {
        "BOOTSTRAP_CODE": f"file://{source}",
        "BOOTSTRAP_CODE_DIRECT": "yes",
        "BOOTSTRAP_OUTPUT": f"out={tmp_path}/results",
        "BOOTSTRAP_QUIET": "1",
    }
    result = container.run("python3", "train.py", "-x", environ=environ)
    assert (result.code, result.stderr) == (0, "")
    assert (tmp_path / "results" / "model.bin").exists()


@pytest.mark.parametrize("form", ["one.py", "packed.tar.gz", "packed.zip"])
def test_a_single_object_and_archives_are_code_too(
    container: Container, plain_remote: Remote, tmp_path: Path, form: str
) -> None:
    (tmp_path / "tree" / "packed").mkdir(parents=True)
    (tmp_path / "tree" / "packed" / "one.py").write_text("print('one')")
    kind = {"tar.gz": "gztar", "zip": "zip"}.get(form.partition(".")[2])
    if kind:
        archive = shutil.make_archive(str(tmp_path / "packed"), kind, tmp_path / "tree")
        plain_remote.bucket.put(f"a/{form}", Path(archive).read_bytes())
    else:
        plain_remote.bucket.put("a/one.py", "print('one')")
    script = "one.py" if form == "one.py" else "packed/one.py"
    result = container.run(
        "--code", plain_remote.bucket.url(f"a/{form}"), "--", "python3", script, environ=plain_remote.env
    )
    assert (result.code, result.stdout) == (0, b"one\n"), result.stderr


def test_inputs_land_under_their_names(container: Container, remote: Remote) -> None:
    remote.bucket.put_tree("set/", {"a.csv": "1,2", "b/c.csv": "3"})
    remote.bucket.put("one/labels.txt", "cat")
    result = container.run(
        "--input",
        f"data={remote.bucket.url('set/')}",
        "--input",
        f"labels={remote.bucket.url('one/labels.txt', 'obs')}",
        "--",
        "cat",
        "data/a.csv",
        "data/b/c.csv",
        "labels/labels.txt",
        environ=remote.env,
    )
    assert (result.code, result.stdout) == (0, b"1,23cat"), result.stderr


def test_v1_inputs_are_fetched_as_declared(container: Container, plain_remote: Remote) -> None:
    plain_remote.bucket.put("some/dir/x.txt", "declared")
    declared = {
        "name": "demo",
        "parameter": {"label": "data_dir", "value": "sub"},
        "data_source": {"obs": {"obs_url": plain_remote.bucket.url("some/dir/")}},
    }
    environ = v1(plain_remote, DLS_APP_URL="", MA_INPUTS=json.dumps({"inputs": [declared]}))
    result = container.run("--", "cat", f"{container.home}/modelarts/inputs/sub/x.txt", environ=environ)
    assert (result.code, result.stdout) == (0, b"declared"), result.stderr


def test_a_restart_in_the_same_container_keeps_the_first_log(container: Container, plain_remote: Remote) -> None:
    logs = plain_remote.bucket.url("logs/")
    for word in ("first", "second"):
        assert container.run("--log", logs, "--", "echo", word, environ=plain_remote.env).code == 0
    assert plain_remote.bucket.get("logs/job.log") == b"second\n", "the plain name is the newest"
    assert plain_remote.bucket.get("logs/job.attempt-1.log") == b"first\n"
    assert json.loads(plain_remote.bucket.get("logs/job.run.json"))["attempt"] == 2


def test_two_runs_at_the_same_time_on_one_machine_have_a_log_each(container: Container, tmp_path: Path) -> None:
    script = "echo first; touch ready; while [ ! -e enough ]; do sleep 0.05; done; echo end of the first"
    with container.running("--log", str(tmp_path / "one"), "--", "sh", "-c", script) as first:
        container.wait_for(container.work / "ready")
        second = container.running("--log", str(tmp_path / "two"), "--", "echo", "second")
        with second as process:
            said = process.communicate(timeout=LIMIT)[1].decode()
        (container.work / "enough").touch()
        first.communicate(timeout=LIMIT)
    assert f"{container.log} is the log of another run, which still goes on" in said
    assert (tmp_path / "one" / "job.log").read_text() == "first\nend of the first\n"
    assert (tmp_path / "two" / "job-2.log").read_text() == "second\n"
    for record in ("one/job.run.json", "two/job-2.run.json"):
        assert json.loads((tmp_path / record).read_text())["attempt"] == 1


def test_nodes_that_share_a_run_dir_have_a_record_each(tmp_path: Path) -> None:
    for rank in "01":
        container = Container(tmp_path / rank)
        environ = {"RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
        words = ("--run-dir", str(tmp_path / "nas"), "--interface", "lo", "--", "true")
        assert container.run(*words, environ=environ).code == 0
    records = [tmp_path / "nas" / name for name in ("run.json", "node-1/run.json")]
    ranks = [json.loads(record.read_text())["node"]["rank"] for record in records]
    assert ranks == [0, 1]


def test_a_log_file_with_dots_in_its_name_has_its_record_beside_it(container: Container, tmp_path: Path) -> None:
    log = container.tmp / "lr.0.1.log"
    assert container.run("--log-file", str(log), "--log", str(tmp_path / "logs"), "--", "true").code == 0
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {"lr.0.1.log", "lr.0.1.jsonl", "lr.0.1.run.json"}


def test_a_restart_in_a_new_container_keeps_the_first_log(tmp_path: Path, plain_remote: Remote) -> None:
    logs = plain_remote.bucket.url("logs/")
    for word in ("first", "second", "third"):
        container = Container(tmp_path / word)
        assert container.run("--log", logs, "--", "echo", word, environ=plain_remote.env).code == 0
    kept = {name: content for name, content in plain_remote.bucket.tree("logs/").items() if name.endswith(".log")}
    assert kept == {"job.log": b"third\n", "job.attempt-1.log": b"first\n", "job.attempt-2.log": b"second\n"}


def test_a_bootstrap_inside_a_bootstrap_does_nothing_twice(container: Container, plain_remote: Remote) -> None:
    """An image whose ENTRYPOINT is ours, started with an old v1 boot command."""
    run_train = install_old_names(container)
    plain_remote.bucket.put_tree("proj/code/", {"train.py": TRAIN})
    boot = ("bash", str(run_train), "python3", "code/train.py")
    log = container.tmp / "dls-task-0.log"
    result = container.run("--", *boot, environ=v1(plain_remote, BOOTSTRAP_LOG_FILE=str(log)))
    assert result.code == 0, result.stderr
    assert plain_remote.bucket.get("logs/dls-log-dlks-77/dls-task-0.log") == result.stdout == log.read_bytes()
    assert plain_remote.bucket.results("proj/out/") == MODEL
    assert result.stderr.count("fetched") == 1
    assert not [key for key in plain_remote.bucket.list("logs/") if "attempt" in key]


def test_a_node_says_which_of_how_many_it_is_and_what_its_command_is_given(
    container: Container,
) -> None:
    several = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    result = container.run("--meet", "no", "--", "true", environ=several)
    assert result.code == 0 and "node 1 of 2" in result.stderr, result.stderr
    assert "set for the command: " in result.stderr and "NNODES=2" in result.stderr
    alone = container.run("--", "true")
    assert "a single node" in alone.stderr and "set for the command" not in alone.stderr
