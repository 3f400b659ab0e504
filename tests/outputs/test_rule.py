"""Over values: when a checkpoint of several nodes is whole, what is missing of it, and whose attempt is the newer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bootstrap.outputs.remote.contents import Contents, contents, whole
from bootstrap.outputs.remote.fence import Fence, new_claim
from bootstrap.outputs.remote.manifest import (
    LAST_STATE,
    VOID,
    Checkpoint,
    Claim,
    File,
    Part,
    RunManifest,
    directory_of,
    kind_of,
    parents,
)
from bootstrap.outputs.remote.parsing import Unreadable, parsed
from bootstrap.values import replace


def part(node: int, *paths: str, nodes: int = 1, needs: tuple[str, ...] = ()) -> Checkpoint:
    files = tuple(File(path, f"key-{node}/{path}", node, "") for path in paths)
    return Checkpoint("step-1", "", 1, 0, node, nodes, 1.0, 2.0, files, needs)


@pytest.mark.parametrize(
    ("parts", "ended", "missing"),
    [
        ([part(0, "a")], (), ()),
        ([part(0)], (), ("files",)),
        ([part(0, "a", nodes=2)], (), ("node 1",)),
        ([part(0, "a", nodes=2)], (1,), ()),  # which has told its end, and nothing of this
        ([part(1, "a", nodes=2)], (1, 2, 3), ("node 0",)),  # none of a job with more nodes
        ([part(1, "a", nodes=3)], (), ("nodes 0, 2",)),
        ([part(1, "a", nodes=4)], (), ("nodes 0, 2, 3",)),
        ([part(0, "a", nodes=9)], (), ("nodes 1, 2, 3, 4, 5, 6, 7, 8",)),
        ([part(0, "a", nodes=10)], (), ("nodes 1, 2, 3, 4, 5, 6, 7, 8, ...",)),
        ([part(0, "a", nodes=2), part(1, "b", nodes=3)], (), ("node 2",)),  # whoever knows of the most
        ([part(0, "a", needs=("a", "b"))], (), ("b",)),
        ([part(0, "a", nodes=2, needs=("b",)), part(1, "b", nodes=2)], (), ()),
        ([part(0, "a", needs=tuple("edcb"))], (), ("b", "c", "d", "1 more file")),
        ([part(0, "a", needs=tuple("dcb"))], (), ("b", "c", "d")),
        ([part(0, "a", needs=tuple("fedcb"), nodes=2)], (), ("node 1", "b", "c", "d", "2 more files")),
        ([part(0, nodes=2)], (), ("node 1",)),
    ],
)
def test_what_is_missing_is_named(parts: list[Checkpoint], ended: tuple[int, ...], missing: tuple[str, ...]) -> None:
    found = whole(parts, frozenset(ended))
    assert (found.missing, found.complete) == (missing, not missing)


def test_a_node_has_its_own_where_several_nodes_have_a_path_and_else_the_first_ones() -> None:
    found = whole([part(node, "a", "b" if node else "c", nodes=3) for node in (2, 0, 1)])
    assert [file.key for file in found.files_for(0)] == ["key-0/a", "key-1/b", "key-0/c"]
    assert [file.key for file in found.files_for(2)] == ["key-2/a", "key-2/b", "key-0/c"]
    assert [file.key for file in found.files_for(7)] == ["key-0/a", "key-1/b", "key-0/c"]


def run(node: int, attempt: int, nodes: int, complete: bool = True) -> RunManifest:
    return RunManifest(attempt, node, nodes, 1.0, 2.0, complete)


def test_an_attempt_has_ended_when_all_of_its_nodes_say_so_and_is_complete_when_all_are() -> None:
    found = Contents(runs=(run(0, 1, 2), run(0, 2, 2), run(1, 2, 2), run(0, 3, 1, False)))
    assert [found.ended(attempt) for attempt in range(5)] == [False, False, True, True, False]
    assert [found.run_complete(attempt) for attempt in range(5)] == [False, False, True, False, False]
    assert (found.attempt, Contents().attempt) == (3, 0)


# --- whose attempt is the newer --------------------------------------------------------------------------------------


def claim(attempt: int, name: str = "aa", *, node: int = 0, started: float = 0.0) -> Claim:
    return Claim(attempt, name, started, node)


def test_a_claim_is_one_more_than_the_nodes_own_greatest() -> None:
    claims = [claim(7, node=0), claim(2, node=1), claim(3, node=1), claim(9, node=2)]
    made = [new_claim(claims, node=node, nodes=4, job="j") for node in range(4)]
    assert [(one.attempt, one.node, one.nodes, one.job) for one in made] == [
        (8, 0, 4, "j"), (4, 1, 4, "j"), (10, 2, 4, "j"), (1, 3, 4, "j"),
    ]  # fmt: skip


def test_the_newest_other_claim_of_the_same_node_overtakes() -> None:
    mine = claim(2, "bb", node=1)
    others = [claim(9, node=0), claim(1, "ff", node=1), claim(2, "aa", node=1)]
    assert Fence(mine).overtaken_by([]) is None
    assert Fence(mine).overtaken_by([mine, *others]) is None
    newer = [claim(2, "cc", node=1), claim(3, "aa", node=1)]
    assert Fence(mine).overtaken_by([*newer, mine, *others]) == newer[1]


def test_what_was_saved_belongs_to_node_0s_attempt_of_that_time() -> None:
    claims = [claim(1, started=100.0), claim(2, started=200.0), claim(5, node=1, started=100.0)]
    fence = Fence(claim(3, node=1))
    assert [fence.attempt(claims, saved) for saved in (60.0, 70.0, 169.0, 170.0, 900.0)] == [3, 1, 1, 2, 2]
    assert fence.attempt(claims) == 2, "now"
    assert fence.attempt([], 900.0) == 3, "before node 0 has come"
    assert Fence(claim(4)).attempt(claims, 900.0) == 4, "node 0's own is its own"


@pytest.mark.parametrize("ahead", [0.0, 4.0, 3600.0, -3600.0, 900 * 86400.0])
def test_whose_clock_is_wrong_knows_it_by_the_time_that_the_store_gives_its_claim(ahead: float) -> None:
    """``ahead``: the store's clock, of this node's. Node 0 has yet another one."""
    mine = replace(claim(3, node=1, started=100.0 - ahead), listed=100.0)
    claims = [replace(claim(n, started=7777.0), listed=100.0 * n) for n in (1, 2)]
    fence = Fence(mine)
    found = [fence.attempt([*claims, mine], saved - ahead) for saved in (101.0, 180.0, 210.0, 900.0)]
    assert found == [1, 1, 2, 2]
    assert (fence.ahead([mine]), fence.ahead(claims)) == (ahead if abs(ahead) > 5 else 0.0, None)


# --- what is the newer, of everything below a URL ---------------------------------------------------------------------


def read(*documents: Checkpoint | RunManifest | Part | Claim) -> Contents:
    return contents((one.key.removeprefix(".bootstrap/"), one.text()) for one in documents)


def test_a_checkpoint_is_newer_by_its_attempt_then_by_its_time_then_by_its_version() -> None:
    step = part(0, "a")
    oldest_first = [
        replace(step, path="d", attempt=1, saved=9.0, version=9),
        replace(step, path="c", attempt=2, saved=3.0, version=8),
        replace(step, path="b", attempt=2, saved=4.0, version=1),
        replace(step, path="a", attempt=2, saved=4.0, version=2),
    ]
    for documents in (oldest_first, oldest_first[::-1]):
        found = read(*documents)
        assert [one.path for one in found.checkpoints] == ["a", "b", "c", "d"]
        assert found.newest is not None and found.newest.path == "a"
    unfinished = replace(step, path="e", attempt=3, nodes=2)
    found = read(unfinished, *oldest_first)
    assert found.checkpoints[0].path == "e" and found.newest is not None and found.newest.path == "a"


def test_what_nodes_say_of_a_checkpoint_is_said_of_the_whole() -> None:
    one = replace(part(0, nodes=3), format="empty", job="j")
    two, three = part(1, "b", "c", nodes=3), replace(part(2, "d", nodes=3), saved=3.0, published=5.0)
    found = whole([one, replace(two, format="torch", job="j", saved=4.0, published=4.5), three])
    assert (found.saved, found.published, found.size) == (4.0, 5.0, 1 + 1 + 2)
    assert (found.format, found.job) == ("torch", "j")


def test_a_file_is_the_newest_attempts_of_these_the_last_parts_and_the_ends_before_all() -> None:
    def held(key: str) -> tuple[File, ...]:
        return (File("log", key, 1, ""),)

    first, second, tenth = Part(2, 0, 1, held("1")), Part(2, 0, 2, held("2")), Part(2, 0, 10, held("10"))
    end, earlier = replace(run(0, 2, 1), files=held("end")), replace(run(0, 1, 1), files=held("earlier"))
    other = Part(1, 1, 1, held("other"))
    for documents, newest in (
        ((tenth, second, first), "10"),
        ((end, first, tenth, earlier), "end"),
        ((first, earlier), "1"),
        ((earlier, other), "earlier"),
    ):
        found = read(*documents)
        assert found.loose[0]["log"].key == newest
        assert found.attempts[0, "log"] == (1 if newest == "earlier" else 2)
    assert read(earlier, other).loose[1]["log"].key == "other"


def test_what_another_job_has_written_is_not_this_jobs() -> None:
    mine = [Claim(1, "aa", job="j"), Claim(3, "cc", job="j"), replace(part(0, "a"), job="j")]
    theirs = [Claim(2, "bb", job="k"), Claim(3, "dd", job="k"), replace(part(0, "a"), path="theirs", job="k")]
    parts = [Part(attempt, 0, 1, (File(f"of-{attempt}", "key", 1, ""),)) for attempt in (1, 2, 3, 4)]
    found = read(*mine, *theirs, *parts, replace(run(0, 1, 1), job="j"), replace(run(0, 2, 1), job="k")).of_job("j")
    assert {claim.run for claim in found.claims} == {"aa", "cc"}
    assert [one.path for one in found.checkpoints] == ["step-1"] and [one.attempt for one in found.runs] == [1]
    assert sorted(found.loose[0]) == ["of-1", "of-3", "of-4"], "two had the number 3, and of 4 nobody knows"


# --- documents that are none ------------------------------------------------------------------------------------------


def read_with(**changes: Any) -> Checkpoint:
    """A good document but for ``changes``; those of its only file by ``file_NAME``. None leaves a field out."""
    document = json.loads(part(0, "a").text())
    for name, value in changes.items():
        place = document["files"][0] if name.startswith("file_") else document
        name = name.removeprefix("file_")
        place.pop(name, None)
        if value is not None:
            place[name] = value
    return parsed(Checkpoint, json.dumps(document).encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"node": None},
        {"file_sha256": None},
        {"files": 3},
        {"files": [7]},
        {"attempt": "x"},
        {"attempt": float("inf")},
        {"attempt": 1_000_001},
        {"attempt": -1},
        {"version": LAST_STATE + 1},
        {"saved": "2026-02-30"},
        {"saved": 5},
        {"path": 5},
        {"job": 5},
        {"needs": [5]},
        {"needs": ["a", 5]},
        {"needs": 5},
        {"schema": 2},
        {"schema": None},
        {"kind": "run"},
        {"file_path": ""},
        {"file_path": "/a"},
        {"file_path": "a/../b"},
        {"file_path": "a\0"},
        {"file_key": ""},
        {"file_key": "../a"},
        {"file_modified": "yesterday"},
        {"file_size": 8, "file_data": [[0, 9]]},
        {"file_size": 8, "file_data": [[-1, 2]]},
        {"file_size": 8, "file_data": [[4, 6], [1, 2]]},
        {"file_size": 8, "file_data": [[3, 2]]},
        {"file_size": 8, "file_data": [[3]]},
    ],
    ids=str,
)
def test_a_document_with_a_field_that_cannot_be_is_put_aside_in_words(changes: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        read_with(**changes)


def test_a_document_at_the_edges_of_what_can_be_is_taken() -> None:
    found = read_with(attempt=0, node=1_000_000, nodes=1_000_000, version=LAST_STATE, needs=[], job=None)
    assert (found.attempt, found.node, found.nodes, found.version) == (0, 1_000_000, 1_000_000, LAST_STATE)
    file = read_with(file_path="..a/b..", file_size=8, file_data=[[0, 3], [3, 8]], file_modified=None).files[0]
    assert (file.path, file.size, file.data, file.modified) == ("..a/b..", 8, ((0, 3), (3, 8)), 0.0)
    assert read_with(file_size=8, file_data=[]).files[0].data == ()


def test_documents_that_are_none_are_named_and_those_beside_them_count() -> None:
    good, key = part(0, "a"), "checkpoints/x/@000001.000000000/node-0.json"
    found = contents([(key, b"{"), (key, b"[]"), (key, VOID), ("else", b"{"), (good.key[11:], good.text())])
    assert [where for where, _ in found.unreadable] == [f".bootstrap/{key}"] * 2
    assert "no JSON" in found.unreadable[0][1] and "kind 'checkpoint'" in found.unreadable[1][1]
    assert [one.path for one in found.checkpoints] == ["step-1"]


def test_what_a_node_has_not_named_by_its_end_it_does_not_have() -> None:
    step = part(0, "a", nodes=2)
    assert read(step, run(1, 1, 2)).newest is not None
    assert read(step, run(1, 1, 2, complete=False)).newest is None
    assert read(step, run(1, 2, 2)).newest is None, "the end of another attempt"


# --- names -----------------------------------------------------------------------------------------------------------


def test_a_key_says_what_it_is_of_and_what_is_newer_sorts_behind() -> None:
    made = [part(3, "a"), run(3, 2, 4), Part(2, 3, 7, ()), Claim(2, "ab", node=3)]
    assert [kind_of(one.key.removeprefix(".bootstrap/")) for one in made] == [
        ("checkpoint", {"path": "step-1", "attempt": "000001", "version": "000000000", "node": "3"}),
        ("run", {"attempt": "2", "node": "3"}),
        ("files", {"attempt": "2", "node": "3", "number": "000007"}),
        ("claim", {"attempt": "000002", "node": "3", "run": "ab"}),
    ]
    assert kind_of("runs/2/node-3.jsonl") == kind_of("x/runs/2/node-3.json") == ("", {})
    places = [directory_of("a", *each) for each in ((1, 2), (1, 10), (2, 1), (10, 0))]
    assert places == sorted(places)
    assert directory_of(".", 1, 2) == ".bootstrap/checkpoints/@000001.000000002/"


def test_a_path_of_more_than_200_bytes_is_in_a_key_by_its_digest() -> None:
    assert f"/{'é' * 100}/" in directory_of("é" * 100, 1, 0)
    assert "/sha256-" in directory_of("é" * 100 + "a", 1, 0)
    assert (parents("a/b/c"), parents("a/b"), parents("a")) == (["a", "a/b"], ["a"], [])


def test_a_claim_is_known_again_whatever_it_tells_beside_its_number_and_its_run() -> None:
    assert Claim(2, "aa", 1.5, 3, 4, "job", "host") == Claim(2, "aa")
    assert Claim(2, "aa", 9.0, 9, 9, "z", "z") < Claim(2, "ab") < Claim(3, "aa")


def test_a_document_is_of_schema_1_and_has_names_as_people_read_them() -> None:
    for one in (part(0, "a"), run(0, 1, 1), Part(1, 0, 1, ()), Claim(1, "aa")):
        assert json.loads(one.text())["schema"] == 1
    assert "训练".encode() in part(0, "训练").text()
    odd = part(0, "\udce9")  # a name that is no UTF-8
    assert parsed(Checkpoint, odd.text()).files[0].path == "\udce9"
    for one in (part(0, "a"), odd):
        assert one.text().startswith(b'{\n "schema": 1,\n "kind": "checkpoint",\n') and one.text().endswith(b"\n}\n")


def test_the_stretches_of_a_file_with_holes_are_told_and_of_another_nothing() -> None:
    plain = part(0, "a")
    holes = replace(plain, files=tuple(replace(one, size=9, data=((0, 2), (4, 9))) for one in plain.files))
    assert "data" not in json.loads(plain.text())["files"][0]
    assert json.loads(holes.text())["files"][0]["data"] == [[0, 2], [4, 9]]
    assert parsed(Checkpoint, holes.text()).files == holes.files
