"""Files in the making: several at once, none behind the end, and which of them a sweep may take."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from bootstrap.storage.local.staging import Staging, sweep


def test_threads_do_not_wait_for_each_others_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staging, together = Staging(), threading.Barrier(2)
    really_open, really_replace = os.open, os.replace

    def meeting_open(*words: object, **more: object) -> int:
        together.wait(10)
        return really_open(*words, **more)  # type: ignore[arg-type]

    def meeting_replace(*words: str) -> None:
        together.wait(10)
        really_replace(*words)

    monkeypatch.setattr(os, "open", meeting_open)
    monkeypatch.setattr(os, "replace", meeting_replace)

    def make(name: str) -> None:
        file, partial = staging.create(str(tmp_path / name))
        staging.publish(partial, str(tmp_path / name))
        os.close(file)

    threads = [threading.Thread(target=make, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(os.listdir(tmp_path)) == ["a", "b"] and not together.broken


def test_the_end_waits_for_who_is_giving_a_name_and_nothing_appears_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staging, begun, go_on, ended = Staging(), threading.Event(), threading.Event(), threading.Event()
    kept = [staging.create(str(tmp_path / name)) for name in "ab"]
    really_replace = os.replace

    def slowly(*words: str) -> None:
        begun.set()
        go_on.wait(10)
        really_replace(*words)

    monkeypatch.setattr(os, "replace", slowly)
    publishing = threading.Thread(target=staging.publish, args=(kept[0][1], str(tmp_path / "a")))
    closing = threading.Thread(target=lambda: (staging.close(), ended.set()))
    publishing.start()
    assert begun.wait(10)
    closing.start()
    assert not ended.wait(0.05)
    go_on.set()
    publishing.join()
    closing.join()
    assert os.listdir(tmp_path) == ["a"]
    for late in (lambda: staging.create(str(tmp_path / "c")), lambda: staging.publish(kept[1][1], str(tmp_path / "b"))):
        with pytest.raises(OSError) as caught:
            late()
        assert caught.value.errno == errno.ECANCELED
    assert os.listdir(tmp_path) == ["a"]
    for file, _ in kept:
        os.close(file)


def test_a_file_has_the_mode_that_is_asked_for_and_only_a_claimed_one_outlasts_a_sweep(tmp_path: Path) -> None:
    staging = Staging()
    claimed, free = staging.create(str(tmp_path / "a")), staging.create(str(tmp_path / "b"), mode=0o600, claimed=False)
    assert stat.S_IMODE(os.fstat(free[0]).st_mode) == 0o600
    sweep(str(tmp_path), [""])
    assert os.listdir(tmp_path) == [os.path.basename(claimed[1])]
    with pytest.raises(FileNotFoundError):
        staging.publish(free[1], str(tmp_path / "b"))
    for file, _ in (claimed, free):
        os.close(file)
    staging.close()
    assert os.listdir(tmp_path) == []
