"""A verdict in words: one thing a line, in both languages, and within Kubernetes' bounds."""

from __future__ import annotations

from pathlib import Path

from bootstrap.diagnosis import Facts, explain, lines_of
from bootstrap.diagnosis.telling import TERMINATION_LOG, log_text, write_termination_log
from bootstrap.job import Ending, OutOfMemory

RAISED = "Traceback (most recent call last):\n  File \"/job/train.py\", line 9, in f\nModuleNotFoundError: No module named 'apex'\n"


def test_the_log_ends_with_one_thing_a_line() -> None:
    found = explain(Facts(Ending(1), lines_of(RAISED)))
    first, seen, hint, retry = log_text(found, 1, "en").splitlines()
    assert first == "bootstrap: a Python module could not be found (exit status 1) [module-missing, exit 1]"
    assert seen == "bootstrap: seen: ModuleNotFoundError: No module named 'apex' (/job/train.py:9)"
    assert hint.startswith("bootstrap: hint: ") and retry.startswith("bootstrap: retry: no: ")
    assert "找不到 Python 模块" in log_text(found, 1, "zh")


def test_a_termination_log_is_written_where_there_is_one_only(tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    write_termination_log(str(path), ["x"], str)
    assert not path.exists()
    path.touch()
    write_termination_log(str(path), ["secret 1", "b"], lambda text: text.replace("secret", "***"))
    assert path.read_text() == "*** 1\nb\n"
    write_termination_log(str(path), ["宽" * 3000], str)
    data = path.read_bytes()
    assert len(data) <= TERMINATION_LOG and data.decode().endswith(" [...] \n")
    write_termination_log("", ["x"], str)
    write_termination_log(str(tmp_path), ["x"], str)


def test_evidence_in_our_own_words_is_told_in_both_languages() -> None:
    proof = OutOfMemory(kills=2, limit=64 << 20, peak=None, source="/sys/fs/cgroup/memory.events")
    found = explain(Facts(Ending(None, 9, out_of_memory=proof)))
    (seen,) = [text for mark, text in found.lines("zh") if mark == "seen"]
    assert seen == "/sys/fs/cgroup/memory.events 记录了 2 次 OOM kill，上限 64 MiB，峰值 未知"
    assert found.recorded("zh")["evidence"][0]["text"] == seen and "OOM kill(s) in" in found.lines("en")[0][1]
    lines = lines_of("epoch 1\nrank 3 failed first, with -9; ending the others\n")
    (engine,) = explain(Facts(Ending(1), lines)).evidence
    assert engine.to("zh").startswith("训练引擎报告 rank 3 因 SIGKILL 退出")
