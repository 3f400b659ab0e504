"""A look at a directory brings what is whole to its URL, in the order on which all else hangs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.faulty_proxy import FaultyProxy, refused
from tests.lab.stores import Store
from tests.outputs.conftest import KILLED, NEVER, Place, end, settle, stores_of, tensors, write

HELD = "f = open('held.bin', 'wb'); f.write(b'x' * 100); f.flush()"
MAPPED = """\
import mmap, os
f = os.open('held.bin', os.O_RDWR | os.O_CREAT)
os.ftruncate(f, 4096)
m = mmap.mmap(f, 4096)
os.close(f)
"""


def test_what_is_closed_and_quiet_is_there_after_one_round(place: Place, root: Path) -> None:
    write(root, {"metrics.json": "{}", "model.pt": b"x" * 5000, "deep/log.txt": "hello"})
    place.publisher(root).round(NEVER)
    assert place.tree() == {"metrics.json": b"{}", "model.pt": b"x" * 5000, "deep/log.txt": b"hello"}
    assert place.complete() == ["model.pt"]


def test_nothing_is_sent_again_that_has_not_changed(place: Place, root: Path) -> None:
    write(root, {f"file-{n}.txt": b"x" * 1000 for n in range(20)})
    publisher = place.publisher(root)
    publisher.round(NEVER)
    assert publisher.sender.sent == 20_000
    publisher.round(NEVER)
    write(root, {"file-3.txt": b"y" * 1000}, age=30)
    publisher.round(NEVER)
    end(publisher)
    assert publisher.sender.sent == 21_000


@pytest.mark.parametrize("script", [HELD, MAPPED], ids=["open", "mapped"])
def test_a_file_that_somebody_may_write_to_stays_until_he_has_gone(place: Place, root: Path, script: str) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{script}\nprint(flush=True); input()"],
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,
    )
    assert holder.stdout
    holder.stdout.readline()
    os.utime(root / "held.bin", (1, 1))
    write(root, {"free.bin": b"y"})
    publisher = place.publisher(root)
    publisher.round(NEVER)
    assert place.names() == ["free.bin"]
    holder.communicate(b"\n")
    publisher.round(NEVER)
    assert place.names() == ["free.bin", "held.bin"]


def test_a_checkpoint_that_is_rewritten_in_place_is_complete_at_every_moment(place: Place, root: Path) -> None:
    publisher = place.publisher(root)
    for n in range(4):
        model = {"model/config.json": str(n), "model/model.safetensors": tensors(n)}
        write(root, {"last.ckpt": bytes([n]) * 3000, **model}, age=60 - n)
        settle(publisher)
        assert sorted(place.complete()) == ["last.ckpt", "model"]
        (last,) = [one for one in place.contents().checkpoints if one.path == "last.ckpt"]
        assert last.version == n + 1
        assert place.get(last.files_for(0)[0].key) == bytes([n]) * 3000
    end(publisher)
    assert place.get("last.ckpt") == bytes([3]) * 3000
    assert place.get("model/config.json") == b"3"
    assert place.target().listed(".bootstrap/new/") == []


def test_a_pointer_goes_only_when_what_it_names_is_there(place: Place, root: Path) -> None:
    write(root, {"global_step5/mp_rank_00_model_states.pt": b"PK\x03\x04 cut short", "latest": "global_step5"})
    publisher = place.publisher(root)
    publisher.round(NEVER)
    assert place.names() == []
    write(root, {"global_step5/mp_rank_00_model_states.pt": b"whole"})
    publisher.round(NEVER)
    assert place.names() == ["global_step5/mp_rank_00_model_states.pt", "latest"]


def test_names_of_work_in_progress_wait_for_the_end(place: Place, root: Path) -> None:
    names = ("a.pt.tmp", "tmp-checkpoint-5/model.pt", "step-9/model.pt", "b.part")
    write(root, {name: "x" for name in names} | {"step-9-unfinished": ""})
    publisher = place.publisher(root)
    publisher.round(NEVER)
    assert place.names() == []
    delivery = end(publisher)
    assert place.names() == sorted(names), "but for what would say so for ever"
    assert delivery.report is not None and dict(delivery.report.left_out).keys() == {"step-9-unfinished"}


def test_the_same_file_under_a_second_name_is_copied_in_the_store(place: Place, root: Path) -> None:
    write(root, {"epoch-1.ckpt": b"x" * 100_000})
    publisher = place.publisher(root)
    publisher.round(NEVER)
    os.link(root / "epoch-1.ckpt", root / "best.ckpt")
    (root / "last.ckpt").symlink_to("epoch-1.ckpt")
    publisher.round(NEVER)
    assert sorted(place.complete()) == ["best.ckpt", "epoch-1.ckpt", "last.ckpt"]
    assert publisher.sender.sent == 100_000
    assert publisher.sender.copied == 200_000


def test_a_file_that_comes_back_under_another_name_is_not_taken_for_what_has_its_key_by_now(
    place: Place, root: Path, tmp_path: Path
) -> None:
    write(root, {"metrics.json": "the old ones"})
    publisher = place.publisher(root)
    publisher.round(NEVER)
    (root / "metrics.json").rename(tmp_path / "kept")
    write(root, {"metrics.json": "new"})
    publisher.round(NEVER)
    (tmp_path / "kept").rename(root / "metrics.old.json")
    publisher.round(NEVER)
    assert place.tree() == {"metrics.json": b"new", "metrics.old.json": b"the old ones"}


def test_a_file_of_an_earlier_time_that_takes_the_place_of_a_newer_one_is_the_newest(place: Place, root: Path) -> None:
    """``cp -p best.pt last.pt``, or a clock that is put back."""
    write(root, {"last.pt": "first"}, age=100)
    publisher = place.publisher(root)
    settle(publisher)
    write(root, {"last.pt": "the second"}, age=9000)
    settle(publisher)
    assert place.complete() == ["last.pt"], "one version, and its digest is right"
    assert place.get("last.pt") == b"the second"


def test_a_key_that_may_write_and_not_delete_delivers_everything(
    seaweedfs: Store, faulty: FaultyProxy, root: Path
) -> None:
    place = Place(seaweedfs.make_bucket().url("m/"), stores_of(seaweedfs, faulty.endpoint))
    faulty.inject(refused(403, "AccessDenied"), method="DELETE", times=None)
    publisher = place.publisher(root, keep=1)
    for n in range(3):
        write(root, {"last.ckpt": f"state {n}", f"step-{n}.pt": f"{n}", "metrics.json": f"{n}"}, age=100 - n)
        publisher.round(NEVER)
        assert place.complete()[0] in ("last.ckpt", f"step-{n}.pt")
    delivery = end(publisher)
    assert delivery.complete, delivery
    assert place.contents().run_complete(1)
    assert place.get("last.ckpt") == b"state 2"
    assert "older checkpoints stay" in place.log.text()


def test_a_kill_in_the_middle_of_a_save_does_not_make_a_checkpoint(place: Place, root: Path) -> None:
    write(root, {"step-1/model.pt": b"1", "step-1/optimizer.pt": b"1"})
    publisher = place.publisher(root)
    publisher.round(NEVER)
    write(root, {"step-2/model.pt": b"2", "step-1/model.pt": b"half"}, age=0)
    delivery = end(publisher, replace(KILLED, ended=time.time()))
    assert place.complete() == ["step-1"]
    assert place.get("step-1/model.pt") == b"1"
    assert {path for path, _ in delivery.doubtful} == {"step-1", "step-2"}
    assert place.get("step-2/model.pt") == b"2"


def test_old_checkpoints_are_removed_but_never_the_newest_nor_what_a_pointer_names(place: Place, root: Path) -> None:
    publisher = place.publisher(root, keep=2)
    for n in range(1, 6):
        write(root, {f"checkpoint-{n}/model.pt": str(n), f"checkpoint-{n}/trainer_state.json": "{}"}, age=100 - n)
        if n == 2:
            write(root, {"latest": "checkpoint-2"})
        settle(publisher)
    assert place.complete() == ["checkpoint-5", "checkpoint-4", "checkpoint-2"]
    end(publisher)
    assert place.complete() == ["checkpoint-5", "checkpoint-4", "checkpoint-2"]
    assert "checkpoint-1/model.pt" not in place.names()


def test_each_kind_of_checkpoint_is_thinned_out_by_itself(place: Place, root: Path) -> None:
    publisher = place.publisher(root, keep=2)
    for n in range(1, 5):
        write(root, {f"G_{n}.pt": str(n), f"D_{n}.pt": str(n), "last.ckpt": str(n)}, age=100 - n)
        if n == 1:
            write(root, {"best.ckpt": "1"})
        settle(publisher)
    assert sorted(place.complete()) == ["D_3.pt", "D_4.pt", "G_3.pt", "G_4.pt", "best.ckpt", "last.ckpt"]
    assert sorted(place.names()) == ["D_3.pt", "D_4.pt", "G_3.pt", "G_4.pt", "best.ckpt", "last.ckpt"]
    delivery = end(publisher)
    assert delivery.report is not None and delivery.report.files + delivery.report.skipped >= 6


def test_a_link_to_the_newest_directory_is_whole_at_every_moment(place: Place, root: Path) -> None:
    publisher = place.publisher(root)
    for n in (1, 2):
        write(root, {f"step-{n}/a.bin": f"a{n}", f"step-{n}/b.bin": f"b{n}"}, age=60 - n)
        (root / "latest").unlink(missing_ok=True)
        (root / "latest").symlink_to(f"step-{n}")
        settle(publisher)
        assert "latest" in place.complete()
        assert (place.get("latest/a.bin"), place.get("latest/b.bin")) == (f"a{n}".encode(), f"b{n}".encode())
    assert publisher.sender.sent == 8, "the store copies what it has"


def test_a_model_in_the_output_directory_itself_is_complete(place: Place, root: Path) -> None:
    """``save_pretrained(out)``: its path is a dot, which is no part of a key."""
    write(root, {"config.json": "{}", "model.safetensors": tensors(1), "logs/a.txt": "x"})
    publisher = place.publisher(root)
    publisher.round(NEVER)
    assert place.complete() == ["."]
    write(root, {"model.safetensors": tensors(2)}, age=10)
    settle(publisher)
    assert place.complete() == ["."]
    assert place.get("model.safetensors") == tensors(2)
    assert end(publisher).complete


def test_names_of_checkpoints_that_are_odd_or_long(place: Place, root: Path) -> None:
    deep = "/".join(["d" * 50] * 15)
    names = {"x/@1.1/step-3/a.bin", "a b+c%20&=#?.ckpt", "模型/ü.pt", f"{deep}/last.pt", "q'\"`$;.pt"}
    names |= set() if place.url.startswith("s3:") else {"new\nline.pt"}
    publisher = place.publisher(root)
    for text in ("one", "the second"):
        write(root, dict.fromkeys(names, text), age=100 - len(text))
        settle(publisher)
        assert sorted(place.complete()) == sorted(name.replace("/a.bin", "") for name in names)
    assert end(publisher).complete
    assert {place.get(name) for name in names} == {b"the second"}


def test_a_checkpoint_whose_manifest_is_refused_holds_up_no_other(
    seaweedfs: Store, faulty: FaultyProxy, root: Path
) -> None:
    place = Place(seaweedfs.make_bucket().url("m/"), stores_of(seaweedfs, faulty.endpoint))
    write(root, {"one.pt": "1", "two.pt": "2", "notes.txt": "n"})
    publisher = place.publisher(root)
    refuse = refused(400, "InvalidRequest")
    faulty.inject(refuse, method="PUT", key="*checkpoints/one.pt/*", times=None)
    publisher.round(NEVER)
    assert place.complete() == ["two.pt"] and place.get("notes.txt") == b"n"
    delivery = end(publisher)
    assert [one.path for one in delivery.undelivered] == ["one.pt"]
    assert "InvalidRequest" in delivery.undelivered[0].why
