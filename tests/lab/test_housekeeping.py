"""The container lab keeps what is in use and nothing else."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import lab_or_skip
from tests.lab import housekeeping
from tests.lab.containers import Engine

pytestmark = pytest.mark.container


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Engine]:
    """A lab of this test's own, with nothing in it."""
    with lab_or_skip():
        engine = Engine(tmp_path / "lab")
    yield engine
    engine.podman("rmi", "--all", "--force")


def make(engine: Engine, tmp_path: Path, tag: str, content: str) -> str:
    """An image that needs no base; one of the same content is not built again."""
    (tmp_path / "file").write_text(content)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY file /first\nCOPY file /second\n")
    return engine.build(tmp_path, tag)


def layers(engine: Engine) -> set[str]:
    return set(engine.podman("images", "--all", "--quiet").stdout.split())


def mounts(engine: Engine) -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(engine.directory) in line]


def test_the_last_one_to_leave_takes_away_what_newer_builds_replaced(house: Engine, tmp_path: Path) -> None:
    with housekeeping.living_in(house):
        make(house, tmp_path, "localhost/lab/a", "old")
        old = layers(house)
        with housekeeping.living_in(house):
            make(house, tmp_path, "localhost/lab/a", "new")
        both = layers(house)
        assert both > old, "somebody is still at home"
    assert layers(house) == both - old
    with housekeeping.living_in(house):
        make(house, tmp_path, "localhost/lab/a", "new")
        assert layers(house) == both - old, "what is in use, its cached layers too, is kept"


def test_what_a_killed_run_left_is_taken_away_by_the_next(house: Engine, tmp_path: Path) -> None:
    image = make(house, tmp_path, "localhost/lab/a", "x")
    house.podman("image", "mount", image)
    house.podman("create", "--name", "forgotten", image, "nothing")
    (house.scratch / "half-a-base.tar").touch()
    (house.scratch / "buildah123").mkdir()
    assert mounts(house)
    with housekeeping.living_in(house):
        assert not mounts(house)
        assert not house.podman("ps", "--all", "--quiet").stdout
        assert not list(house.scratch.iterdir())
        assert layers(house)


def test_an_image_that_no_recipe_asks_for_is_kept_for_a_week(house: Engine, tmp_path: Path) -> None:
    for name in ("used", "unused", "unknown"):
        make(house, tmp_path, f"localhost/lab/{name}", name)
    long_ago = time.time() - housekeeping.KEPT - 1
    os.utime(housekeeping.mark(house, "localhost/lab/unused"), (long_ago, long_ago))
    housekeeping.mark(house, "localhost/lab/unknown").unlink()
    housekeeping.tidy(house)
    kept = house.podman("images", "--format", "{{.Repository}}").stdout.split()
    assert sorted(kept) == ["localhost/lab/unknown", "localhost/lab/used"]


def test_beyond_the_bound_the_longest_unused_goes_first(
    house: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate(("a", "b", "c")):
        make(house, tmp_path, f"localhost/lab/{name}", name * 10**6)
        then = time.time() - 100 + number
        os.utime(housekeeping.mark(house, f"localhost/lab/{name}"), (then, then))
    monkeypatch.setattr(housekeeping, "LARGEST", 5 * 10**6)  # of three images of 2 MB each
    housekeeping.tidy(house)
    kept = house.podman("images", "--format", "{{.Repository}}").stdout.split()
    assert sorted(kept) == ["localhost/lab/b", "localhost/lab/c"]
