"""Over values: when a checkpoint of several nodes is whole, what is missing of it, and whose attempt is the newer."""

from __future__ import annotations

import pytest

from bootstrap.outputs.remote.fence import Fence, new_claim
from bootstrap.outputs.remote.manifest import Checkpoint, Claim, Contents, File, RunManifest, whole


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
    assert Fence(claim(4)).attempt(claims, 900.0) == 4, "node 0's own is its own"
