"""Which of two variables counts where both are set: every order that a platform's reading has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrap.job import PlatformFacts
from bootstrap.platforms import identify

V1 = {"DLS_TASK_NUMBER": "1", "HOSTNAME": "box"}
V2 = {"MA_VJ_NAME": "j", "MA_NUM_HOSTS": "3", "MA_TASK_NAME": "worker", "HOSTNAME": "box"}
VOLCANO = {"VC_WORKER_HOSTS": "w-0.j,w-1.j,w-2.j", "HOSTNAME": "box"}
RANKS = {"WORLD_SIZE": "3", "RANK": "1", "MASTER_ADDR": "m", "HOSTNAME": "box"}

CASES: list[tuple[dict[str, str], list[tuple[str, str]], Callable[[PlatformFacts], object], list[object]]] = [
    (V1, [("MODELARTS_IPOIB_DEVICE", "a"), ("DLS_IPOIB_DEVICE", "b")],
     lambda f: f.defaults["interface"].value, ["a", "b"]),
    (V1, [("NPROC_PER_NODE", "2"), ("PET_NPROC_PER_NODE", "3"), ("MA_NUM_GPUS", "4"), ("CUDA_VISIBLE_DEVICES", "0")],
     lambda f: f.cluster.slots, [2, 3, 4, 1]),
    (V1, [("CUDA_VISIBLE_DEVICES", "0,1"), ("ASCEND_RT_VISIBLE_DEVICES", "0,1,2")], lambda f: f.cluster.slots, [2, 3]),
    (V1, [("DLS_JOB_ID", "a"), ("BATCH_JOB_ID", "b")], lambda f: f.job_id, ["a", "b"]),
    (V1, [("DLS_USER_HOME_DIR", "/a"), ("HOME", "/b")], lambda f: f.defaults["job_dir"].value,
     ["/a/user-job-dir", "/b/user-job-dir"]),
    (V1, [("BATCH_CUSTOM0_HOSTS", "a:1"), ("BATCH_WORKER_HOSTS", "b:1"), ("BATCH_jobx.0_HOSTS", "c:1")],
     lambda f: f.cluster.master.host, ["a", "b", "c"]),
    (V2, [("VC_TASK_INDEX", "1"), ("VK_TASK_INDEX", "2"), ("MA_TASK_INDEX", "0")],
     lambda f: f.cluster.node_rank, [1, 2, 0]),
    (V2 | {"VC_TASK_INDEX": "0"}, [("VC_WORKER_HOSTS", "a,b,c"), ("MA_VJ_NAME", "j")], lambda f: f.cluster.master.host,
     ["a", "j-worker-0.j"]),
    (VOLCANO, [("VC_TASK_INDEX", "1"), ("VK_TASK_INDEX", "2")], lambda f: f.cluster.node_rank, [1, 2]),
    (RANKS, [("MASTER_ADDR", "a"), ("PET_MASTER_ADDR", "b"), ("PET_RDZV_ENDPOINT", "c:1")],
     lambda f: f.cluster.master.host, ["a", "b", "c"]),
    (RANKS, [("MASTER_PORT", "1"), ("PET_MASTER_PORT", "2")], lambda f: f.cluster.master.port, [1, 2]),
    (RANKS | {"PET_NNODES": "3"}, [("PET_NODE_RANK", "2"), ("RANK", "1"), ("JOB_COMPLETION_INDEX", "0")],
     lambda f: f.cluster.node_rank, [2, 1, 0]),
]  # fmt: skip


@pytest.mark.parametrize(("base", "order", "ask", "answers"), CASES, ids=[", ".join(n for n, _ in c[1]) for c in CASES])
def test_the_first_that_is_set_counts_and_an_empty_one_is_not_set(
    base: dict[str, str],
    order: list[tuple[str, str]],
    ask: Callable[[PlatformFacts], object],
    answers: list[object],
    tmp_path: Path,
) -> None:
    rest = {name: value for name, value in base.items() if name not in dict(order)}
    found = []
    for first in range(len(order)):
        environ = {**rest, **dict(order[first:])}
        found.append(ask(identify(environ, root=tmp_path)))
        blank = {**environ, **{name: " " for name, _ in order[:first]}}
        assert ask(identify(blank, root=tmp_path)) == found[-1]
    assert found == answers


def test_modelarts_v2_stands_before_v1_before_volcano_before_plain_ranks(tmp_path: Path) -> None:
    everything = [
        ("modelarts", {"MA_VJ_NAME": "j"}),
        ("dls", {"DLS_TASK_NUMBER": "1"}),
        ("volcano", {"VC_WORKER_HOSTS": "box"}),
        ("rank-env", {"RANK": "0", "WORLD_SIZE": "1"}),
        ("local", {"HOSTNAME": "box"}),
    ]
    for place, (name, _) in enumerate(everything):
        environ = {key: value for _, variables in everything[place:] for key, value in variables.items()}
        assert identify(environ, root=tmp_path).platform == name
