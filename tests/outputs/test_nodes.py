"""Several nodes, one URL: complete means all of them, and nobody writes over another unnoticed."""

from __future__ import annotations

import pickle
import time
from pathlib import Path
from typing import Any

import pytest

from bootstrap.outputs.local import units
from bootstrap.outputs.publisher import Publisher
from bootstrap.outputs.resume.restore import restore
from tests.outputs.conftest import NEVER, Place, end, settle, write

METADATA = pickle.dumps({"shards": ["__0_0.distcp", "__1_0.distcp"]})


@pytest.fixture(params=[False, True], ids=["apart", "shared"])
def shared(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def nodes(place: Place, tmp_path: Path, shared: bool) -> list[Publisher]:
    return [place.publisher(tmp_path / f"node-{n}", node=n, nodes=2, shared=shared) for n in (0, 1)]


def test_a_sharded_checkpoint_is_complete_when_all_nodes_have_brought_theirs(
    bucket_place: Place, tmp_path: Path, shared: bool
) -> None:
    place = bucket_place
    zero, one = nodes(place, tmp_path, shared)
    write(zero.root, {"step-5/.metadata": METADATA, "step-5/__0_0.distcp": b"0"})
    zero.round(NEVER)
    (there,) = place.contents().checkpoints
    assert there.missing == ("node 1", "step-5/__1_0.distcp")
    write(one.root, {"step-5/__1_0.distcp": b"1"})
    one.round(NEVER)
    assert place.complete() == ["step-5"]
    again = place.publisher(tmp_path / "again", node=1, nodes=2, shared=shared)
    resumed = restore(again, again.contents, reread=place.contents, same_job=True, stop=NEVER, log=place.log)
    assert resumed is not None
    assert sorted(path.name for path in (tmp_path / "again/step-5").iterdir()) == [
        ".metadata",
        "__0_0.distcp",
        "__1_0.distcp",
    ]
    again.round(NEVER)
    assert again.sender.sent == 0


def test_a_node_whose_ranks_save_one_after_the_other_is_not_stuck_with_the_first(
    bucket_place: Place, tmp_path: Path, shared: bool
) -> None:
    """What comes later to a checkpoint that was published belongs to the same save: nothing of it was rewritten."""
    zero, one = nodes(bucket_place, tmp_path, shared)
    write(zero.root, {"step-5/__0_0.distcp": b"0"})
    write(one.root, {"step-5/__1_0.distcp": b"1"})
    zero.round(NEVER)
    one.round(NEVER)
    zero.round(NEVER)
    (there,) = bucket_place.contents().checkpoints
    assert there.missing == ("step-5/.metadata",)
    write(zero.root, {"step-5/.metadata": METADATA}, age=30)
    zero.round(NEVER)
    assert bucket_place.complete() == ["step-5"]
    sent = zero.sender.sent
    assert sent == len(METADATA) + 1, "and nothing is sent twice"


def test_a_node_without_the_pointer_goes_by_what_another_one_has_published(
    bucket_place: Place, tmp_path: Path, shared: bool
) -> None:
    """DeepSpeed writes ``latest`` on one node, behind a barrier of all."""
    zero, one = nodes(bucket_place, tmp_path, shared)
    write(zero.root, {"global_step5/a_optim_states.pt": b"0", "latest": "global_step5"}, age=10)
    write(one.root, {"global_step5/b_optim_states.pt": b"1"}, age=10)
    one.round(NEVER)
    assert one.waiting == {"global_step5": "there is no latest yet"}
    zero.round(NEVER)
    one.round(NEVER)
    assert bucket_place.complete() == ["global_step5"]


def test_a_node_that_has_no_part_says_so(bucket_place: Place, tmp_path: Path, shared: bool) -> None:
    zero, one = nodes(bucket_place, tmp_path, shared)
    write(zero.root, {"checkpoint-5/model.pt": b"0", "checkpoint-5/trainer_state.json": "{}", "latest": "checkpoint-5"})
    zero.round(NEVER)
    assert bucket_place.complete() == []
    assert "latest" not in bucket_place.names(), "a pointer waits for all nodes"
    one.round(NEVER)
    assert bucket_place.complete() == ["checkpoint-5"]
    zero.round(NEVER)
    assert "latest" in bucket_place.names()


def test_a_node_that_has_ended_well_need_not_answer(bucket_place: Place, tmp_path: Path, shared: bool) -> None:
    zero, one = nodes(bucket_place, tmp_path, shared)
    end(one)
    write(zero.root, {"step-1/a.pt": b"0"})
    zero.round(NEVER)
    assert bucket_place.complete() == ["step-1"]


def test_two_attempts_shards_are_never_mixed(bucket_place: Place, tmp_path: Path, shared: bool) -> None:
    place = bucket_place
    zero, _ = nodes(place, tmp_path, shared)
    write(zero.root, {"step-5/.metadata": METADATA, "step-5/__0_0.distcp": b"of the first"}, age=1)
    zero.round(NEVER)
    time.sleep(0.01)
    second = [place.publisher(tmp_path / f"second-{n}", node=n, nodes=2, shared=shared) for n in (0, 1)]
    write(second[1].root, {"step-5/__1_0.distcp": b"of the second"}, age=-40)
    second[1].round(NEVER)
    assert place.complete() == []


def test_two_nodes_that_write_one_name_notice(bucket_place: Place, tmp_path: Path) -> None:
    zero, one = nodes(bucket_place, tmp_path, True)
    write(zero.root, {"metrics.json": "of node 0", "same.txt": "same"})
    write(one.root, {"metrics.json": "of node 1", "same.txt": "same"})
    zero.round(NEVER)
    one.round(NEVER)
    assert bucket_place.get("metrics.json") == b"of node 0"
    assert bucket_place.get("node-1/metrics.json") == b"of node 1"
    assert "node-1/same.txt" not in bucket_place.names()
    assert "metrics.json" in bucket_place.log.text()


def test_an_attempt_that_was_overtaken_writes_beside(place: Place, root: Path, tmp_path: Path) -> None:
    write(root, {"last.ckpt": b"old"})
    old = place.publisher(root)
    old.round(NEVER)
    newer = place.publisher(tmp_path / "newer")
    write(newer.root, {"last.ckpt": b"new"})
    settle(newer)
    write(root, {"last.ckpt": b"woken up"}, age=5)
    old.round(NEVER)
    end(old)
    assert place.get("last.ckpt") == b"new"
    beside = [key for key in place.names() if key.endswith("last.ckpt") and key != "last.ckpt"]
    assert [place.get(key) for key in beside] == [b"woken up"]
    assert "a newer attempt has begun" in place.log.text()
    assert place.complete() == ["last.ckpt"]


@pytest.mark.parametrize("name", ["last.ckpt", "latest"])
def test_an_attempt_that_is_overtaken_while_it_sends_takes_no_name(
    place: Place, root: Path, tmp_path: Path, name: str
) -> None:
    write(root, {"last.ckpt": b"1", "latest": "last.ckpt"})
    old = place.publisher(root)
    old.round(NEVER)
    newer = place.publisher(tmp_path / "newer")
    newer_claim = newer.claim.key
    place.target().delete([newer_claim])
    write(root, {name: b"last.ckpt of old"}, age=20)
    send = old.sender.send

    def overtaken(wanted: Any, **how: Any) -> Any:
        done = send(wanted, **how)
        old.sender.send = send  # type: ignore[method-assign]
        place.target().put(newer_claim, newer.claim.text())
        write(newer.root, {"last.ckpt": b"new", "latest": "last.ckpt, new"}, age=10)
        settle(newer)
        return done

    if name == "last.ckpt":
        old.sender.send = overtaken  # type: ignore[method-assign]
        old.round(NEVER)
    else:
        place.target().put(newer_claim, newer.claim.text())
        write(newer.root, {"last.ckpt": b"new", "latest": "last.ckpt, new"}, age=10)
        settle(newer)
        old._publish_pointers([unit for unit in _units(old) if unit.kind == "pointer"], _units(old), NEVER)
    assert place.complete() == ["last.ckpt"]
    assert (place.get("last.ckpt"), place.get("latest")) == (b"new", b"last.ckpt, new")
    assert "a newer attempt has begun" in place.log.text()
    end(old)
    (beside,) = [key for key in place.names() if key.endswith(f"/{name}")]
    assert place.get(beside) == b"last.ckpt of old"


def _units(publisher: Publisher) -> list[units.Unit]:
    return units.units_of(publisher.look().items)


@pytest.mark.parametrize("after", [1, 3])
def test_an_attempt_of_another_number_of_nodes_goes_on_and_tidies_up(
    bucket_place: Place, tmp_path: Path, shared: bool, after: int
) -> None:
    place = bucket_place
    for step in (1, 2):
        for publisher in nodes(place, tmp_path, shared):
            node = publisher.options.node
            rest = {f"step-{step}/.metadata": METADATA} if node == 0 else {}
            write(publisher.root, {f"step-{step}/__{node}_0.distcp": f"{node}", **rest}, age=100 - step)
            publisher.round(NEVER)
    assert place.complete()[0] == "step-2"
    second = [
        place.publisher(tmp_path / f"second-{n}", node=n, nodes=after, shared=shared, keep=1) for n in range(after)
    ]
    for publisher in second:
        contents = place.contents()
        resumed = restore(publisher, contents, reread=place.contents, same_job=True, stop=NEVER, log=place.log)
        assert resumed is not None and resumed.checkpoint == "step-2"
        assert len(list((publisher.root / "step-2").iterdir())) == 3
    whole = pickle.dumps({"shards": [f"__{n}_0.distcp" for n in range(after)]})
    for publisher in second:
        node = publisher.options.node
        rest = {"step-3/.metadata": whole} if node == 0 else {}
        write(publisher.root, {f"step-3/__{node}_0.distcp": f"{node}", **rest}, age=4)
        publisher.round(NEVER)
    for publisher in second:
        publisher.refresh()
    assert place.complete() == ["step-3"]
    assert not [name for name in place.names() if "step-2" in name or "step-1" in name]
