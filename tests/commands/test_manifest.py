"""`bootstrap manifest`: the GPU manager's job files, checked as their users would want, and the Volcano Job of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.errors import JobFileInvalid
from bootstrap.rehearsal.jobfile import read
from tests.commands.structural import problems, strangers
from tests.commands.volcano_job import OURS, definitions

WHOLE = """\
jobname: sxh-mnist-1
tasks:
  - name: master
    workingDir: /nfs/testdata/code/sxh/mnist
    command: ["python", "train.py"]
    args: ["--epochs", "10"]
    image: registry.example/sxh-dev:1.0
    resources: {cpu: "500m", memory: 1024Mi, gpu: 1}
    ports: {number: 6666, name: rdzv}
  - amount: 2
    image: registry.example/sxh-dev:1.0
    command: |
      conda activate work
      python train.py
"""
TASK = "tasks:\n  - image: x\n    command: python train.py\n"


def manifest(tmp_path: Path, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "job.yaml").write_text(text)
    argv = [str(Path(sys.executable).with_name("bootstrap")), "manifest", str(tmp_path / "job.yaml"), *words]
    return subprocess.run(argv, capture_output=True, text=True)


@pytest.fixture(params=definitions())
def definition(request: pytest.FixtureRequest) -> Any:
    """What a Job may be: in our words, and as Volcano publishes it where this machine has that."""
    return definitions()[request.param]


FULL = {
    "everything": (WHOLE, ("--nas", "data:/nfs/other", "--queue", "gpu")),
    "the least": ("jobname: a\ntasks:\n  - image: x\n", ()),
    "numbers": ("jobname: a\ntasks:\n  - {image: x, command: y, resources: {cpu: 2, memory: 1.5Gi, gpu: '8'}}\n", ()),
    "many tasks": (
        "jobname: a\ntasks:\n"
        + "".join(f"  - {{name: t{i}, amount: {i + 1}, image: x, command: y}}\n" for i in range(9)),
        (),
    ),
}


@pytest.mark.parametrize("case", FULL)
def test_the_manifest_is_valid(case: str, definition: Any, tmp_path: Path) -> None:
    text, words = FULL[case]
    made = manifest(tmp_path, text, *words)
    assert made.returncode == 0, made.stderr
    job = yaml.safe_load(made.stdout)
    assert problems(job, definition) == []
    policies = [tuple(sorted(policy.items())) for policy in job["spec"]["policies"]]
    assert len(set(policies)) == len(policies), "Volcano refuses a policy that is given twice"
    assert job["spec"]["minAvailable"] == sum(task["replicas"] for task in job["spec"]["tasks"])


def misspell(job: Any) -> None:
    job["spec"]["tasks"][0]["template"]["spec"]["containers"][0]["comand"] = ["x"]


def number_as_text(job: Any) -> None:
    job["spec"]["minAvailable"] = "3"


def no_such_event(job: Any) -> None:
    job["spec"]["policies"].append({"event": "PodVanished", "action": "RestartJob"})


def no_quantity(job: Any) -> None:
    job["spec"]["tasks"][0]["template"]["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "half"}}


def too_large(job: Any) -> None:
    job["spec"]["maxRetry"] = 2**31


def nameless(job: Any) -> None:
    del job["metadata"]["name"]


@pytest.mark.parametrize("spoil", [misspell, number_as_text, no_such_event, no_quantity, too_large, nameless])
def test_what_cannot_be_a_job_is_not_taken_for_one(spoil: Any, definition: Any, tmp_path: Path) -> None:
    job = yaml.safe_load(manifest(tmp_path, WHOLE).stdout)
    spoil(job)
    assert len(problems(job, definition)) == 1


def test_our_words_say_nothing_that_is_not_in_the_published_definition(definition: Any) -> None:
    ours, published = (
        one["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] for one in (OURS, definition)
    )
    assert strangers(ours, published) == []


def test_the_manifest_runs_the_same_with_the_bootstrap_as_entry_point(tmp_path: Path) -> None:
    made = manifest(tmp_path, WHOLE, "--nas", "data", "--queue", "gpu")
    assert made.returncode == 0, made.stderr
    job: Any = yaml.safe_load(made.stdout)
    assert (job["metadata"]["name"], job["spec"]["minAvailable"], job["spec"]["queue"]) == ("sxh-mnist-1", 3, "gpu")
    assert job["spec"]["volumes"] == [{"mountPath": "/nfs/testdata", "volumeClaimName": "data"}]
    assert {"exitCode": 200, "action": "RestartJob"} in job["spec"]["policies"]
    assert not [one for one in job["spec"]["policies"] if 100 <= one.get("exitCode", 0) < 200]
    master, worker = (task["template"]["spec"]["containers"][0] for task in job["spec"]["tasks"])
    assert master["command"] == ["/opt/bootstrap/bin/bootstrap", "run", "--"]
    assert master["args"] == ["python", "train.py", "--epochs", "10"]
    assert master["workingDir"] == "/nfs/testdata/code/sxh/mnist"
    assert master["resources"]["limits"] == {"cpu": "500m", "memory": "1024Mi", "nvidia.com/gpu": "1"}
    assert master["ports"] == [{"name": "rdzv", "containerPort": 6666}]
    assert worker["args"] == ["bash", "-c", "conda activate work\npython train.py"]
    assert (job["spec"]["tasks"][1]["name"], job["spec"]["tasks"][1]["replicas"]) == ("task-1", 2)


def test_a_command_without_anything_of_a_shell_is_words(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("jobname: a\n" + TASK)
    assert read(tmp_path / "job.yaml").tasks[0].command == ("python", "train.py")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("jobname: a\ntasks:\n  - image: x\n  \tname: b\n", "line 4: a tab"),
        ("jobname: Test_job1\n" + TASK, "'Test_job1' is no name for Kubernetes"),
        ("jobname: Test_job1\n" + TASK, "test-job1 would do"),
        ("jobname： a\n" + TASK, "line 1: a full-width colon (：) behind jobname"),
        ("jobname: a\ntasks:\n  - name： b\n    image: x\n", "line 3: a full-width colon"),
        ("jobname: a\ntasks:\n  - name: b\n    image： x\n", "line 4: a full-width colon"),
        ("jobname: a\ntasks:\n  - image: x\n    command: [“a”，“b”]\n    args: [1\n", "line 4: the sign “"),
        ("jobname: a\n" + TASK + "---\njobname: b\n" + TASK, "line 5: --- begins a second document"),
        ("apiVersion: batch.volcano.sh/v1alpha1\nkind: Job\nmetadata: {name: a}\n", "this is a Volcano Job already"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n", "this is a Kubernetes Pod"),
        ("jobname: a\ntasks:\n  - {name: a_b, image: x}\n  - {name: a-b, image: y}\n", "two tasks are named a-b"),
        ("jobname: a\ntasks:\n  - {image: x, ports: {number: 80, name: -a}}\n", "single - between them"),
        ("jobname: a\ntasks:\n  - {image: x, ports: {number: 80, name: a--b}}\n", "single - between them"),
        ("jobname: a\njobname: b\n" + TASK, "'jobname' is given twice"),
        ("jobname: a\ntasks:\n  - {name: t, image: x}\n  - {name: t, image: y}\n", "two tasks are named t"),
        ("jobname: a\ntasks:\n  - {images: x}\n", "no field is named 'images'; is image meant?"),
        ("jobname: a\ntasks:\n  - {name: t}\n", "task 0, image: the name of an image is needed"),
        ("jobname: a\ntasks:\n  - {image: x, amount: 0}\n", "0 is no number of containers"),
        ("jobname: a\ntasks:\n  - {image: x, resources: {gpu: half}}\n", "task 0, resources, gpu: 'half' is no amount"),
        ("jobname: a\ntasks:\n  - {image: x, ports: {number: 80, name: '80'}}\n", "one letter at least"),
        ("jobname: a\ntasks:\n  - {image: x, args: [1]}\n", "there is no command to give them to"),
        ("jobname: a\ntasks: {image: x}\n", "a list with at least one task"),
        ("jobname: " + "a" * 60 + "\n" + TASK, "its pod would be named"),
        ("jobname: [a\n", "not YAML"),
        ("- a\n", "holds no job"),
        ("", "holds no job"),
        ("jobname: -a\n" + TASK, "'-a' is no name for Kubernetes"),
        ("jobname: a\ntasks:\n  - {name: Master_0, image: x}\n", "task 0, name: 'Master_0' is no name for Kubernetes"),
        ("jobname: a\ntasks:\n  - {image: x}\n  - {name: task-0, image: y}\n", "two tasks are named task-0"),
        ("jobname: a\ntasks:\n  - image: x\n    image: y\n", "'image' is given twice"),
        ("jobname: a\r\ntasks:\r\n\t- image: x\r\n", "line 3: a tab"),
        ("jobname: a\ntasks:\n  - {image: x, amount: '2'}\n", "'2' is no number of containers"),
        ("jobname: a\ntasks:\n  - image:\tx\n", "line 3: a tab"),
        (
            "jobname: a\ntasks:\n  - image: x\n    command: python t.py 'a\n",
            'task 0, command: "python t.py \'a" are no',
        ),
        ("jobname: a\ntasks:\n  - {image: x, workingDir: code}\n", "task 0, workingDir: 'code' is no absolute path"),
        ("jobname: a\ntasks:\n  - {image: x, ports: [{number: 1, name: a}, {number: 2, name: a}]}\n", "named a"),
    ],
)
def test_what_users_stumble_over_is_named_with_its_place(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(text)
    with pytest.raises(JobFileInvalid) as raised:
        read(tmp_path / "job.yaml")
    assert words in str(raised.value)


def test_all_wrong_tabs_are_named_at_once_a_line_each_and_those_behind_values_are_let_through(tmp_path: Path) -> None:
    right = "jobname: a\t\ntasks:\t\n  - image: x\t# mine\n    command: y\t \n"
    assert yaml.safe_load(manifest(tmp_path, right).stdout)["metadata"]["name"] == "a"
    made = manifest(tmp_path, "jobname:\ta\t\ntasks:\t\n\t- image: x\n  -\tname: b\n    image:\ty\n")
    assert made.returncode == 119
    told = made.stderr.splitlines()
    assert [line.split(":")[0] for line in told[1:]] == ["  line 1", "  line 3", "  line 4", "  line 5"], made.stderr


def test_an_underscore_in_a_name_is_mended_as_the_manager_does(tmp_path: Path) -> None:
    made = manifest(tmp_path, "jobname: test_job1\ntasks:\n  - {name: my_task, image: x, command: y}\n")
    job = yaml.safe_load(made.stdout)
    assert (made.returncode, job["metadata"]["name"], job["spec"]["tasks"][0]["name"]) == (0, "test-job1", "my-task")
    assert "jobname: test_job1 is no name" in made.stderr and "it becomes test-job1" in made.stderr


def test_a_port_may_have_a_name_of_several_words(tmp_path: Path) -> None:
    made = manifest(tmp_path, "jobname: a\ntasks:\n  - {image: x, command: y, ports: {number: 80, name: my-port-2}}\n")
    container = yaml.safe_load(made.stdout)["spec"]["tasks"][0]["template"]["spec"]["containers"][0]
    assert container["ports"] == [{"name": "my-port-2", "containerPort": 80}]


def test_the_manifest_of_a_manifest_is_refused(tmp_path: Path) -> None:
    made = manifest(tmp_path, manifest(tmp_path, "jobname: a\n" + TASK).stdout)
    assert made.returncode == 119 and "this is a Volcano Job already" in made.stderr and "kubectl create" in made.stderr


def test_the_log_of_a_job_on_the_nas_is_in_the_jobs_directory(tmp_path: Path) -> None:
    task = "  - {image: x, command: y, workingDir: /nfs/testdata/code}\n"
    made = manifest(tmp_path, f"jobname: a\ntasks:\n{task}", "--nas", "claim")
    container = yaml.safe_load(made.stdout)["spec"]["tasks"][0]["template"]["spec"]["containers"][0]
    told = {one["name"]: one["value"] for one in container["env"]}
    assert told == {"BOOTSTRAP_JOB_DIR": "/nfs/testdata/code", "BOOTSTRAP_LOG": "/nfs/testdata/code/logs/a/"}
    without = yaml.safe_load(manifest(tmp_path, f"jobname: a\ntasks:\n{task}").stdout)
    assert "BOOTSTRAP_LOG" not in str(without)


def test_windows_line_ends_and_its_mark_at_the_beginning_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "unix.yaml").write_text(WHOLE)
    (tmp_path / "windows.yaml").write_bytes(b"\xef\xbb\xbf" + WHOLE.replace("\n", "\r\n").encode())
    assert read(tmp_path / "windows.yaml") == read(tmp_path / "unix.yaml")


def test_a_script_may_have_tabs_of_its_own(tmp_path: Path) -> None:
    script = "cat <<-END\n\twords\nEND\n"
    indented = "".join(f"      {line}\n" for line in script.splitlines())
    (tmp_path / "job.yaml").write_text(f"jobname: a\ntasks:\n  - image: x\n    command: |\n{indented}")
    assert read(tmp_path / "job.yaml").tasks[0].command == ("bash", "-c", script.strip())


def test_all_that_is_wrong_is_said_at_once_with_our_exit_code(tmp_path: Path) -> None:
    made = manifest(tmp_path, "jobname: A_b\ntasks:\n  - {command: x, gpus: 1}\n")
    assert made.returncode == 119
    assert "3 things are wrong" in made.stderr and made.stdout == ""


def test_comments_are_warned_of_since_the_manager_may_refuse_them(tmp_path: Path) -> None:
    made = manifest(tmp_path, "jobname: a  # mine\n" + TASK + "# the end\n")
    assert made.returncode == 0 and "comments in line 1, 5:" in made.stderr


def test_what_looks_like_a_comment_in_a_script_is_none(tmp_path: Path) -> None:
    task = "  - image: x\n    command: |\n      # first\n      python a.py # then\n    args: ['# no']\n"
    made = manifest(tmp_path, f"jobname: a\ntasks:\n{task}")
    assert (made.returncode, made.stderr) == (0, "")


def test_a_task_may_take_the_fields_of_another(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        "jobname: a\ntasks:\n  - &first {name: b, image: x, command: y}\n  - {<<: *first, name: c}\n"
    )
    assert [(task.name, task.image) for task in read(tmp_path / "job.yaml").tasks] == [("b", "x"), ("c", "x")]


def test_a_jobname_that_no_service_can_have_is_warned_of(tmp_path: Path) -> None:
    made = manifest(tmp_path, "jobname: 1a\n" + TASK)
    assert made.returncode == 0 and "jobname 1a begins with a digit" in made.stderr


@pytest.mark.parametrize("nas", ["", ":/x", "My_Claim", "claim:relative"])
def test_a_nas_that_is_none_is_refused(nas: str, tmp_path: Path) -> None:
    made = manifest(tmp_path, "jobname: a\n" + TASK, "--nas", nas)
    assert made.returncode == 101 and f"--nas {nas}: " in made.stderr


def test_a_working_directory_without_the_nas_is_warned_of(tmp_path: Path) -> None:
    task = "  - {image: x, command: y, workingDir: /nfs/testdata/code}\n"
    made = manifest(tmp_path, f"jobname: a\ntasks:\n{task}")
    assert made.returncode == 0 and "/nfs/testdata/code of task task-0 needs --nas" in made.stderr
    assert manifest(tmp_path, f"jobname: a\ntasks:\n{task}", "--nas", "claim").stderr == ""


def test_plain_jobs_have_a_policy_for_our_exit_codes(tmp_path: Path) -> None:
    made = manifest(tmp_path, WHOLE, "--nas", "data", "--plain-jobs")
    assert made.returncode == 0, made.stderr
    for job in yaml.safe_load(made.stdout)["items"]:
        container = job["spec"]["template"]["spec"]["containers"][0]
        assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never", "a podFailurePolicy wants it"
        fail, ignore, count = job["spec"]["podFailurePolicy"]["rules"]
        assert (fail["action"], ignore["action"], count["action"]) == ("FailJob", "Ignore", "Count")
        assert fail["onExitCodes"]["containerName"] == container["name"]
        assert 111 in fail["onExitCodes"]["values"] and 200 in count["onExitCodes"]["values"]
        assert not {126, 127, 0} & {*fail["onExitCodes"]["values"], *count["onExitCodes"]["values"]}
        for rule in (fail, count):  # the API server wants them in order, each once
            values = rule["onExitCodes"]["values"]
            assert values == sorted(set(values)) and len(values) <= 255
