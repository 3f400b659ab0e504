"""Why a command ended, as it is told: on the console, in the record, at the end of the log, to Kubernetes."""

from __future__ import annotations

import sys

from tests.e2e.job import Container

RAISES = "def main():\n    return {}['labels']\nmain()\n"


def test_one_thing_a_line_everywhere(container: Container) -> None:
    (container.work / "train.py").write_text(RAISES)
    message = container.tmp / "message"
    message.touch()
    result = container.run("--termination-log", str(message), "--", "python3", "train.py")
    lines = [line.partition("conclude")[2].strip() for line in result.stderr.splitlines() if "conclude" in line]
    first, seen, hint, retry = lines
    assert first == "error: the Python program ended with an exception (exit status 1) [python-exception, exit 1]"
    assert seen.startswith("seen: KeyError: 'labels' (") and "train.py:2" in seen
    assert hint.startswith("hint: ") and retry.startswith("retry: maybe: ")
    told = [first.removeprefix("error: "), seen, hint, retry]
    assert container.log.read_text().splitlines()[-4:] == [f"bootstrap: {line}" for line in told]
    assert message.read_text().splitlines() == told


def test_the_record_has_the_diagnosis(container: Container) -> None:
    (container.work / "train.py").write_text(RAISES)
    found = container.run("--", "python3", "train.py").record["diagnosis"]
    (evidence,) = found.pop("evidence")
    assert (evidence["text"], evidence["line"], evidence["rank"]) == ("KeyError: 'labels'", 2, None)
    assert evidence["file"].endswith("train.py")
    assert {name: found[name] for name in ("schema", "id", "class", "retry", "fault", "confidence", "also_seen")} == {
        "schema": 1,
        "id": "python-exception",
        "class": "program",
        "retry": "maybe",
        "fault": "yours",
        "confidence": "said",
        "also_seen": [],
    }


def test_it_is_told_in_chinese(container: Container) -> None:
    result = container.run("--", "python3", "-c", "import apex_not_here", environ={"LANG": "zh_CN.UTF-8"})
    assert "error: 找不到 Python 模块" in result.stderr and "hint: 在镜像中安装" in result.stderr
    assert result.record["diagnosis"]["text"].startswith("找不到 Python 模块")


def test_what_cannot_be_cured_is_not_started_again(container: Container) -> None:
    result = container.run("--max-restarts", "3", "--", "python3", "-c", "print(1); import apex_not_here")
    assert (result.code, result.stdout.count(b"1\n")) == (1, 1)
    assert "not started again: a Python module could not be found" in result.stderr


def test_an_earlier_lifes_words_do_not_explain_the_last_one(container: Container) -> None:
    first = "import os\nif os.environ['BOOTSTRAP_RESTARTS'] == '0': raise ConnectionResetError(104, 'x')\n{}['y']"
    result = container.run("--max-restarts", "1", "--", "python3", "-c", first)
    found = result.record["diagnosis"]
    assert (found["evidence"][0]["text"], found["also_seen"]) == ("KeyError: 'y'", [])


def test_a_traceback_before_an_exit_with_0_is_told(container: Container) -> None:
    result = container.run("--", "sh", "-c", f"{sys.executable} -c 'import apex_not_here'; true")
    assert result.code == 0
    assert "a traceback at the end, although the exit status is 0: ModuleNotFoundError" in result.stderr
    assert result.record["diagnosis"]["also_seen"][0]["id"] == "module-missing"


def test_an_exit_without_a_word_is_told(container: Container) -> None:
    result = container.run("--", "sh", "-c", "echo epoch 1; exit 1")
    assert "nothing in its output says why" in result.stderr and "seen: epoch 1" in result.stderr


def test_a_success_has_nothing_to_diagnose(container: Container) -> None:
    assert container.run("--", "true").record["diagnosis"]["id"] == "success"


def test_a_failure_of_ours_is_a_diagnosis_too(container: Container) -> None:
    result = container.run("--", "no_such_command_here")
    found = result.record["diagnosis"]
    assert (found["id"], found["retry"], result.code) == ("command-not-found", "no", 127)
    assert "retry: no: " in result.stderr


def test_a_hang_that_spins_is_a_stall(container: Container) -> None:
    spin = "import time\nprint('step 1', flush=True)\nwhile True: time.sleep(0.0001)"
    result = container.run("--stall-timeout", "1", "--", "python3", "-c", spin)
    found = result.record["diagnosis"]
    assert (found["id"], result.code) == ("stopped-by-stall", 143)
    assert "no output for 1 s" in found["text"] and "stall.txt" in found["remedy"]
