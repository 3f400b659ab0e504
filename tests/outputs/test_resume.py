"""The next attempt finds what is complete, brings it back verified, and says what it could not use."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from bootstrap.outputs.publisher import Publisher
from bootstrap.outputs.remote.reading import as_json
from bootstrap.outputs.resume.restore import restore
from bootstrap.outputs.resume.resumed import Resumed
from bootstrap.outputs.resume.stage import finish_interrupted
from tests.lab.trees import files_below
from tests.outputs.conftest import KILLED, NEVER, Place, end, settle, tensors, write


def again(place: Place, root: Path, **options: int) -> tuple[Publisher, Resumed | None]:
    """The next attempt, in a directory of its own."""
    publisher = place.publisher(root, **options)
    return publisher, restore(
        publisher, publisher.contents, reread=place.contents, same_job=True, stop=NEVER, log=place.log
    )


def local(root: Path) -> dict[str, bytes]:
    return files_below(root)


def test_a_first_attempt_finds_nothing(place: Place, root: Path) -> None:
    _, resumed = again(place, root)
    assert resumed is None
    assert place.log.lines == []


def test_the_newest_complete_checkpoint_and_the_other_files_come_back(place: Place, root: Path, tmp_path: Path) -> None:
    for n in (1, 2):
        write(
            root,
            {f"checkpoint-{n}/model.safetensors": tensors(n), f"checkpoint-{n}/trainer_state.json": "{}"},
            age=60 - n,
        )
    write(root, {"log/metrics.csv": "1,2", "latest": "checkpoint-2"})
    first = place.publisher(root)
    first.round(NEVER)
    write(root, {"checkpoint-3/model.safetensors": tensors(3)}, age=10)  # never finished
    first.round(NEVER)

    publisher, resumed = again(place, tmp_path / "second")
    assert resumed is not None
    assert (resumed.checkpoint, resumed.attempt) == ("checkpoint-2", 1)
    assert Path(resumed.path) == tmp_path / "second/checkpoint-2"
    assert local(tmp_path / "second") == {
        "checkpoint-2/model.safetensors": tensors(2),
        "checkpoint-2/trainer_state.json": b"{}",
        "log/metrics.csv": b"1,2",
        "latest": b"checkpoint-2",
    }
    assert os.stat(tmp_path / "second/log/metrics.csv").st_mtime == pytest.approx(
        os.stat(root / "log/metrics.csv").st_mtime
    )
    publisher.round(NEVER)
    end(publisher)
    assert publisher.sender.sent == 0, "what came back need not go again"


def test_a_pointer_to_an_older_checkpoint_brings_that_one_as_well(place: Place, root: Path, tmp_path: Path) -> None:
    write(root, {"step1/a.pt": b"1", "latest": "step1"}, age=90)
    first = place.publisher(root)
    first.round(NEVER)
    write(root, {"step2/a.pt": b"2"}, age=80)
    first.round(NEVER)
    _, resumed = again(place, tmp_path / "second")
    assert resumed is not None and resumed.checkpoint == "step2"
    assert sorted(local(tmp_path / "second")) == ["latest", "step1/a.pt", "step2/a.pt"]


def test_half_a_checkpoint_of_a_command_that_was_killed_does_not_come_back(
    nas: Place, root: Path, tmp_path: Path
) -> None:
    """Nor what NeMo would remove a whole one for."""
    half = {"checkpoint-5/training_args.bin": "x", "m-last/a.distcp": "x", "m-last-unfinished": ""}
    write(root, {"checkpoint-4/trainer_state.json": "{}", "notes.txt": "x", **half})
    first = nas.publisher(root)
    first.round(NEVER)
    delivery = end(first, KILLED)
    assert {path for path, _ in delivery.doubtful} == {"checkpoint-5", "m-last"}
    assert "checkpoint-5/training_args.bin" in nas.names(), "it is there for people"
    _, resumed = again(nas, tmp_path / "second")
    assert resumed is not None and resumed.checkpoint == "checkpoint-4"
    assert sorted(local(tmp_path / "second")) == ["checkpoint-4/trainer_state.json", "notes.txt"]
    assert "not resumed from: checkpoint-5 of attempt 1 was not finished: " in nas.log.text()
    (attempt,) = as_json(nas.url, nas.contents(), None)["attempts"][1:]
    assert {one["path"] for one in attempt["unfinished"]} == {"checkpoint-5", "m-last"}


def test_what_only_its_silence_tells_to_be_whole_is_not_believed_of_a_killed_container(
    nas: Place, root: Path, tmp_path: Path
) -> None:
    write(root, {"step-1/a.bin": "1"}, age=90)
    nas.publisher(root).round(NEVER)
    write(root, {"step-2/a.bin": "half of it"}, age=80)
    _, resumed = again(nas, root)
    assert resumed is not None and resumed.checkpoint == "step-1"
    assert resumed.others == ("step-2 is on this disk, and nothing tells that it was finished",)
    _, resumed = again(nas, root, nodes=2, node=1)
    assert resumed is not None and resumed.checkpoint == "step-1", "the other node has nothing else"
    assert "step-2 is on this disk, and not complete in the store, where all nodes see it" in resumed.others
    write(tmp_path / "alone", {"step-2/a.bin": "2"}, age=80)
    _, resumed = again(Place(f"{tmp_path}/other/", nas.stores), tmp_path / "alone")
    assert resumed is not None and resumed.checkpoint == "step-2", "better than nothing"


def test_a_damaged_checkpoint_is_named_and_an_older_one_taken(place: Place, root: Path, tmp_path: Path) -> None:
    for n in (1, 2):
        write(root, {f"model-{n}.pt": bytes([n]) * 500}, age=60 - n)
        settle(place.publisher(root))
    target = place.target()
    target.put("model-2.pt", b"\xff" * 500)
    _, resumed = again(place, tmp_path / "second")
    assert resumed is not None and resumed.checkpoint == "model-1.pt"
    assert "model-2.pt" in place.log.text() and "SHA-256" in place.log.text()
    target.delete(["model-1.pt", "model-2.pt"])
    place.log.lines.clear()
    _, resumed = again(place, tmp_path / "third")
    assert resumed is None
    assert "nothing there can be resumed from" in place.log.text()


def test_a_pointer_does_not_come_back_without_what_it_names(place: Place, root: Path, tmp_path: Path) -> None:
    for n in (1, 2):
        write(root, {f"global_step{n}/a.pt": bytes([n]) * 500, "latest": f"global_step{n}"}, age=60 - n)
        place.publisher(root).round(NEVER)
    place.target().put("global_step2/a.pt", b"\xff" * 500)
    _, resumed = again(place, tmp_path / "second")
    assert resumed is not None and resumed.checkpoint == "global_step1"
    assert sorted(local(tmp_path / "second")) == ["global_step1/a.pt"]
    assert "not brought back: latest: it names global_step2, which cannot be used" in place.log.text()


def test_of_a_damaged_checkpoint_of_another_kind_nothing_comes_back(place: Place, root: Path, tmp_path: Path) -> None:
    write(root, {"best/.checkpoint-complete": "", "best/a.bin": b"a" * 100, "best/b.bin": b"b" * 100}, age=60)
    write(root, {"step-1/x.bin": b"1"}, age=50)
    place.publisher(root).round(NEVER)
    place.target().put("best/a.bin", b"c" * 100)
    _, resumed = again(place, tmp_path / "second")
    assert resumed is not None and resumed.checkpoint == "step-1"
    assert sorted(local(tmp_path / "second")) == ["step-1/x.bin"]
    assert "not brought back: best/a.bin: its SHA-256 is not the manifest's" in place.log.text()


def test_a_manifest_that_cannot_be_read_is_named(place: Place, root: Path, tmp_path: Path) -> None:
    write(root, {"model.pt": b"1"})
    place.publisher(root).round(NEVER)
    place.target().put(".bootstrap/checkpoints/other.pt/@1.1/node-0.json", b'{"schema": 7, "kind": "checkpoint"}')
    place.target().put(".bootstrap/checkpoints/x/@1.1/node-0.json", b"half")
    _, resumed = again(place, tmp_path / "second")
    assert resumed is not None and resumed.checkpoint == "model.pt"
    assert "its schema is 7" in place.log.text() and "it is no JSON" in place.log.text()


def test_a_manifest_that_leads_out_of_the_directory_is_not_believed(place: Place, root: Path, tmp_path: Path) -> None:
    write(root, {"model.pt": b"1"})
    place.publisher(root).round(NEVER)
    (one,) = place.contents().checkpoints
    evil = json.loads(one.nodes[0].text())
    evil["files"][0]["path"] = "../../evil.pt"
    place.target().put(one.nodes[0].key, json.dumps(evil).encode())
    _, resumed = again(place, tmp_path / "second")
    assert resumed is None
    assert "leads out" in place.log.text()


class Killed(BaseException):
    """Ends whatever is being done, as KILL does."""


@pytest.mark.parametrize("after", range(4))
def test_a_restore_that_was_killed_between_two_files_is_ended(
    nas: Place, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    place = nas
    files = {"step-1/a.bin": b"a", "step-1/b.bin": b"b", "latest": b"step-1"}
    write(root, {**files, "step-1/c.bin": b"c"})
    place.publisher(root).round(NEVER)
    second, moved, replace = tmp_path / "second", list[str](), os.replace

    def move(source: object, target: object) -> None:
        if ".bootstrap/resume/" in str(source) and ".bootstrap/" not in str(target):
            moved.append(str(target))
            if len(moved) > after:
                raise Killed
        replace(source, target)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "replace", move)
    with pytest.raises(Killed):
        again(place, second)
    monkeypatch.undo()
    assert len(list(second.glob("step-1/*"))) == min(after, 3)
    finish_interrupted(second, place.log)
    assert "killed while it brought its files back" in place.log.text()
    assert local(second) == {**files, "step-1/c.bin": b"c"}
    _, resumed = again(place, second)
    assert resumed is not None and resumed.checkpoint == "step-1"


def test_of_a_restore_that_cannot_be_ended_nothing_stays_that_would_pass_for_a_whole(nas: Place, root: Path) -> None:
    write(root, {"step-1/a.bin": b"a", "step-1/own.bin": b"later", "kept.txt": "x"})
    there = os.stat(root / "step-1/a.bin")
    mark = [{"path": f"step-1/{name}.bin", "size": 1, "modified": there.st_mtime} for name in ("a", "b")]
    write(root, {".bootstrap/resuming": json.dumps(mark)})
    finish_interrupted(root, nas.log)
    assert "not all are there any more" in nas.log.text()
    assert local(root) == {"step-1/own.bin": b"later", "kept.txt": b"x"}


def test_a_restart_in_the_same_container_uses_what_is_on_disk(place: Place, root: Path) -> None:
    write(root, {"model-1.pt": b"1"}, age=60)
    place.publisher(root).round(NEVER)
    write(root, {"model-2.pt": b"2"}, age=5)
    publisher, resumed = again(place, root)
    assert resumed is not None and resumed.checkpoint == "model-2.pt"
    publisher.round(NEVER)
    assert publisher.sender.sent == 1, "only the new one"


def test_what_the_image_brings_is_no_reason_to_start_from_zero(place: Place, root: Path, tmp_path: Path) -> None:
    write(root, {"last.ckpt": b"new", "notes.txt": "of the run"}, age=5)
    place.publisher(root).round(NEVER)
    second = tmp_path / "second"
    write(second, {"README": "hello", "last.ckpt": b"PK\x03\x04 cut", "notes.txt": "of the image"}, age=900)
    _, resumed = again(place, second)
    assert resumed is not None
    assert local(second) == {"README": b"hello", "last.ckpt": b"new", "notes.txt": b"of the run"}


def test_attempts_go_on_one_after_the_other(place: Place, tmp_path: Path) -> None:
    for attempt in range(1, 4):
        here = tmp_path / f"attempt-{attempt}"
        publisher, resumed = again(place, here)
        at = int((here / "last.ckpt").read_bytes()) if resumed else 0
        assert at == attempt - 1
        write(here, {"last.ckpt": str(at + 1), f"step-{at + 1}/x.pt": str(at + 1)}, age=30 - attempt)
        settle(publisher)
    assert place.complete()[0] in ("last.ckpt", "step-3")
    (last,) = [one for one in place.contents().checkpoints if one.path == "last.ckpt"]
    assert (last.attempt, place.get("last.ckpt")) == (3, b"3")
    assert time.time() > last.published
