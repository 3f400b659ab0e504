"""run.json is whole at every moment, counts attempts, and never holds a secret."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from bootstrap.masking.registry import Secrets
from bootstrap.masking.stream import Redactor
from bootstrap.reporting.record import Record


def load(path: Path) -> dict[str, object]:
    return json.loads(path.read_text())  # type: ignore[no-any-return]


def run_once(path: Path, job_id: str = "j1") -> Record:
    record = Record()
    record.place(path, job_id)
    record.update(platform={"job_id": job_id})
    return record


def test_it_tells_steps_with_their_times_and_results(tmp_path: Path) -> None:
    record = run_once(tmp_path / "run.json")
    record.begin("fetch")
    assert load(tmp_path / "run.json")["phase"] == "fetch"
    record.end("ok", files=3)
    record.conclude(7, "why", "because")
    document = load(tmp_path / "run.json")
    (step,) = document["steps"]  # type: ignore[misc]
    assert step["name"] == "fetch" and step["result"] == "ok" and step["files"] == 3
    assert step["started"] <= step["ended"] and step["seconds"] >= 0
    assert (document["phase"], document["exit_code"], document["reason"]) == ("ended", 7, "because")


def test_a_reader_never_sees_half_a_document(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    record = run_once(path)
    done = threading.Event()

    def write() -> None:
        for number in range(300):
            record.update(filler="x" * (number * 50))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = 0
    while not done.is_set():
        load(path)
        seen += 1
    writer.join()
    assert seen > 0
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def test_a_second_run_of_the_same_job_is_attempt_2_and_keeps_the_first(tmp_path: Path) -> None:
    path = tmp_path / "run" / "run.json"
    assert run_once(path).attempt == 1
    assert run_once(path).attempt == 2
    assert run_once(path).attempt == 3
    assert load(path.with_name("run.attempt-1.json"))["attempt"] == 1
    assert load(path.with_name("run.attempt-2.json"))["attempt"] == 2


def test_another_job_at_the_same_place_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    run_once(path, "j1")
    assert run_once(path, "j2").attempt == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"attempt": null}'])
def test_a_damaged_earlier_record_counts_as_one_attempt(tmp_path: Path, content: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(content)
    assert run_once(path).attempt == 2


def test_secrets_are_masked(tmp_path: Path) -> None:
    record = run_once(tmp_path / "run.json")
    record.mask = lambda text: text.replace("hunter22", "***")
    record.update(command=["python", "--key=hunter22"])
    assert "hunter22" not in (tmp_path / "run.json").read_text()


def test_a_place_that_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        Record().place(tmp_path / "file" / "run.json")


def test_a_secret_quoted_by_python_inside_json_is_masked_too() -> None:
    secret = 'pass/+"word\\é='
    secrets = Secrets()
    secrets.add("DB_PASSWORD", secret)
    record = Record()
    record.mask = Redactor(secrets).mask
    record.update(bootstrap={"traceback": f"KeyError: {({'DB_PASSWORD': secret},)!r}", "facts": [secret]})
    written = json.loads(record.text())["bootstrap"]
    assert written == {"traceback": "KeyError: ({'DB_PASSWORD': '***'},)", "facts": ["***"]}
