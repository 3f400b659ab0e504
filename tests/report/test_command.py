"""``bootstrap report`` and ``--report`` of real runs, from directories and from a store."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

from tests.e2e.conftest import Remote
from tests.e2e.job import BOOTSTRAP, Container, Result
from tests.report.conftest import Page, load


def report(container: Container, *words: str, **environ: str) -> tuple[str, subprocess.CompletedProcess[str]]:
    done = subprocess.run(
        [BOOTSTRAP, "report", *words],
        cwd=container.tmp,
        env={**container.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
    )
    written = done.returncode == 0 and "-" not in words
    return (Path(done.stdout.strip()).read_text() if written else done.stdout), done


def test_the_page_of_a_directory_of_logs(container: Container, failed: Result) -> None:
    text, done = report(container, str(container.tmp / "logs"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("/report.html")
    page = Page(text)
    for told in ("exit code 1", "python-exception", "KeyError: 'labels<script>'", "train.py:9"):
        assert told in page.text, told
    assert hashlib.sha256(b"weights").hexdigest() in page.text
    assert "epoch 1" in page.text
    assert "50%" not in page.text
    assert len(page.of("figure")) >= 4
    addresses = {attributes.get("id") for attributes in page.of("div")}
    links = {str(attributes["href"]).removeprefix("#") for attributes in page.of("a")}
    assert links and links <= addresses


def test_the_page_of_a_run_dir(container: Container, failed: Result) -> None:
    (run_dir,) = [path.parent for path in container.home.parent.rglob("run.json")]
    _, done = report(container, str(run_dir), "--output", "-", "--lang", "zh")
    assert done.returncode == 0, done.stderr
    assert "结束原因" in Page(done.stdout).text
    assert "train.py:9" in Page(done.stdout).text
    assert not (container.tmp / "report.html").exists()


def test_an_earlier_attempt(container: Container, failed: Result) -> None:
    again = container.run("--log", str(container.tmp / "logs"), "--", "true")
    assert again.code == 0, again.stderr
    assert "exit code 0" in Page(report(container, str(container.tmp / "logs"))[0]).text
    first, done = report(container, str(container.tmp / "logs"), "--attempt", "1")
    assert done.returncode == 0, done.stderr
    page = Page(first)
    assert "exit code 1" in page.text
    assert len(page.of("figure")) >= 4  # its samples were set aside with it


def test_several_nodes_side_by_side(container: Container, failed: Result) -> None:
    logs = container.tmp / "logs"
    shutil.copytree(logs, container.tmp / "node-1")
    shutil.move(container.tmp / "node-1", logs / "node-1")
    for directory, node, code in ((logs, 0, 143), (logs / "node-1", 1, 1)):
        (path,) = directory.glob("*.run.json")
        found = load(path)
        found.update(exit_code=code, node={"rank": node, "size": 2}, first_failure={"node": 1, "at": found["ended"]})
        path.write_text(json.dumps(found))
    text, done = report(container, str(logs))
    assert done.returncode == 0, done.stderr
    page = Page(text)
    assert "exit code 143" in page.text
    assert "first failure" in page.text
    assert "n1-L1" in {attributes.get("id") for attributes in page.of("div")}


def test_a_job_that_still_runs_or_was_killed(container: Container, failed: Result) -> None:
    logs = container.tmp / "logs"
    for path in logs.glob("*.run.json"):
        path.unlink()
    page = Page(report(container, str(logs))[0])
    assert "not ended, or killed" in page.text
    assert "epoch 1" in page.text


def test_a_store(container: Container, plain_remote: Remote) -> None:
    bucket = plain_remote.bucket.url().rstrip("/")
    environ = {**container.environ, **plain_remote.env}
    done = container.run(
        *("--log", f"{bucket}/logs/", "--output", f"out={bucket}/models/", "--sample-interval", "0.3", "--report"),
        *("--", "sh", "-c", "mkdir -p out; echo weights >out/model.bin; sleep 2; echo done"),
        environ=environ,
    )
    assert done.code == 0, done.stderr
    text, told = report(container, f"{bucket}/logs/", **plain_remote.env)
    assert told.returncode == 0, told.stderr
    page = Page(text)
    assert hashlib.sha256(b"weights\n").hexdigest() in page.text
    assert len(page.of("figure")) >= 4
    listed = subprocess.run(
        [BOOTSTRAP, "ls", "-r", f"{bucket}/logs/"], env=environ, capture_output=True, text=True, timeout=60
    ).stdout
    assert re.search(r"\S+\.report\.html", listed), listed
    assert "samples.jsonl" in listed


def test_a_run_delivers_its_own_page(container: Container) -> None:
    logs, models = container.tmp / "logs", container.tmp / "models"
    done = container.run(
        *("--report", "--log", str(logs), "--output", f"out={models}"),
        *("--", "sh", "-c", "mkdir -p out; echo weights >out/model.bin; exit 3"),
    )
    assert done.code == 3, done.stderr
    (path,) = logs.glob("*.report.html")
    page = Page(path.read_text())
    assert "exit code 3" in page.text
    assert hashlib.sha256(b"weights\n").hexdigest() in page.text
    assert "conclude" in page.text


def test_a_page_that_cannot_be_written_fails_no_job(container: Container) -> None:
    (container.tmp / "logs").mkdir()
    log_file = container.tmp / "job.log"
    (container.tmp / "job.report.html").mkdir()
    done = container.run("--report", "--log-file", str(log_file), "--log", str(container.tmp / "logs"), "--", "true")
    assert done.code == 0, done.stderr
    assert "the report could not be made" in done.stderr
    assert list((container.tmp / "logs").glob("*.run.json"))


def test_secrets_of_the_reader_are_masked(container: Container, failed: Result) -> None:
    (log,) = (container.tmp / "logs").glob("*.log")
    log.write_text("key is lab-Secret-0123456789abcdef\n" + log.read_text())
    text, _ = report(
        container,
        str(container.tmp / "logs"),
        S3_ACCESS_KEY_ID="LABACCESSKEY",
        S3_SECRET_ACCESS_KEY="lab-Secret-0123456789abcdef",
    )
    assert "key is ***" in Page(text).text
    assert "lab-Secret" not in text


def test_a_file_of_somebody_is_not_overwritten(container: Container, failed: Result) -> None:
    mine = container.tmp / "report.html"
    mine.write_text("<html>my thesis</html>")
    _, done = report(container, str(container.tmp / "logs"))
    assert done.returncode == 115
    assert mine.read_text() == "<html>my thesis</html>"
    mine.unlink()
    assert report(container, str(container.tmp / "logs"))[1].returncode == 0
    assert report(container, str(container.tmp / "logs"))[1].returncode == 0  # our own, again


def test_a_place_without_a_run(container: Container) -> None:
    assert report(container, str(container.tmp))[1].returncode == 111
    assert report(container, str(container.tmp / "no such"))[1].returncode == 111
