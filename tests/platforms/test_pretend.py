"""What a rehearsal makes up is what the platforms' own readers take it for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from bootstrap.errors import UsageError
from bootstrap.job import PlatformFacts
from bootstrap.platforms import identify
from bootstrap.platforms.pretend import PLATFORMS, PretendPlace, containers, in_global_order, without_platform

ONE, TWO = [("worker", 3)], [("master", 1), ("worker", 2)]
JOBS = [*((name, ONE) for name in PLATFORMS), ("volcano", TWO)]


def played(
    root: Path, platform: str, roles: list[tuple[str, int]], *, slots: int = 0, addresses: Sequence[str] = ()
) -> list[PlatformFacts]:
    """What each container is told, found without a word of which platform it is."""
    found = []
    for number, one in enumerate(containers(platform, "jobx", roles, slots=slots, addresses=addresses)):
        here = root / str(number)
        for name, text in one.files.items():
            (here / "etc" / name).parent.mkdir(parents=True, exist_ok=True)
            (here / "etc" / name).write_text(text)
        at = one.environ_at(PretendPlace("/home/x", "/job", f"10.0.0.{number}"))
        found.append(identify({"HOSTNAME": one.host.partition(".")[0], **one.environ, **at}, root=here))
    return found


@pytest.mark.parametrize("slots", [0, 4])
@pytest.mark.parametrize(
    ("platform", "roles"),
    [*((name, ONE) for name in PLATFORMS), *((name, [("worker", 1)]) for name in PLATFORMS), ("volcano", TWO)],
)
def test_every_container_knows_its_job_its_rank_and_its_slots(
    platform: str, roles: list[tuple[str, int]], slots: int, tmp_path: Path
) -> None:
    count = sum(number for _, number in roles)
    for rank, facts in enumerate(played(tmp_path, platform, roles, slots=slots)):
        assert (facts.platform, facts.job_id, facts.warnings) == (platform, "jobx", ())
        assert (facts.cluster.size, facts.cluster.node_rank, facts.cluster.slots) == (count, rank, slots)
        assert len({node.host for node in facts.cluster.nodes}) == count


@pytest.mark.parametrize(("platform", "roles"), JOBS)
def test_addresses_stand_in_for_names_and_every_container_still_knows_its_rank(
    platform: str, roles: list[tuple[str, int]], tmp_path: Path
) -> None:
    addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    for rank, facts in enumerate(played(tmp_path, platform, roles, addresses=addresses)):
        assert [node.host for node in facts.cluster.nodes] == addresses
        assert facts.cluster.node_rank == rank
    made = containers(platform, "jobx", roles, addresses=addresses)
    assert ["RANK" in one.environ for one in made] == [len(roles) > 1] * 3, "one role's index says as much"


def test_masters_stand_before_workers_and_only_what_can_be_played_is() -> None:
    assert in_global_order(["worker", "task-10", "master", "task-2"]) == ["master", "worker", "task-2", "task-10"]
    with pytest.raises(UsageError, match="cannot be rehearsed"):
        containers("local", "", ONE)
    assert containers("dls", "", ONE)[0].environ["DLS_JOB_ID"] == "jobab12cd34"
    assert containers("volcano", "", ONE)[0].host == "rehearsal-worker-0.rehearsal"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_without_a_platform_nothing_of_one_is_left(platform: str) -> None:
    (one,) = containers(platform, "jobx", [("worker", 1)], slots=2)
    there = {**one.environ, **one.environ_at(PretendPlace("/h", "/j", "10.0.0.1"))}
    kept = {"PATH": "/bin", "NCCL_DEBUG": "INFO"}
    left = without_platform({**there, "RANK": "0", "KUBERNETES_SERVICE_HOST": "h", **kept})
    assert {name for name in left if not name.startswith("NCCL_")} == {"PATH"}
    assert left["NCCL_DEBUG"] == "INFO"
