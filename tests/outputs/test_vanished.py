"""A target that is not there any more in the middle of a job: nothing is told to be where it is not."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.errors import PathUnusable
from tests.e2e.job import Container, Result
from tests.lab.stores import Store
from tests.lab.waiting import until
from tests.outputs.conftest import NEVER, Place, end, write

SAVE = """\
import os, time
for step in (1, 2):
    open(f"out/step-{step}.pt", "w").write(f"{step}")
    while not os.path.exists(f"go-{step}"):
        time.sleep(0.05)
"""


def job(container: Container, url: str, meanwhile: list[object]) -> Result:
    """``meanwhile``: what happens to the target between the first checkpoint, which is there, and the second."""
    (container.work / "train.py").write_text(SAVE)
    words = ["--output", f"out={url}", "--output-interval", "1", "--", "python3", "train.py"]
    with container.running(*words) as process:
        until((Path(url) / "step-1.pt").exists, "the first checkpoint never came")
        until(lambda: any(Path(url).glob(".bootstrap/checkpoints/step-1.pt/*/*")), "nor its manifest")
        for one in meanwhile:
            one()  # type: ignore[operator]
        for step in (1, 2):
            (container.work / f"go-{step}").touch()
        return container.finish(process)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "nas"
    place.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(place)]
    if subprocess.run(argv, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    yield place
    subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)


def test_where_a_nas_was_unmounted_nothing_goes_to_the_containers_own_disk(mounted: Path, tmp_path: Path) -> None:
    container = Container(tmp_path / "container")
    gone = lambda: subprocess.run(["umount", "-l", str(mounted)], check=True)  # noqa: E731
    result = job(container, f"{mounted}/models/", [gone])
    assert result.code == 206, result.stderr
    assert "is in another file system than at the start" in result.stderr
    assert list(mounted.iterdir()) == []


def test_a_nas_that_is_mounted_again_under_another_number_is_the_same(nas: Place, root: Path) -> None:
    publisher = nas.publisher(root)
    publisher.target.hold(publisher.claim.key)
    publisher.target._device = -1
    write(root, {"step-1.pt": "1"})
    publisher.round(NEVER)
    assert nas.complete() == ["step-1.pt"]
    publisher.target._device = -1
    shutil.rmtree(nas.url)
    with pytest.raises(PathUnusable, match="another file system"):
        publisher.round(NEVER)


def test_a_target_that_was_moved_away_gets_all_that_is_still_here(tmp_path: Path) -> None:
    container, nas = Container(tmp_path / "container"), tmp_path / "nas"
    result = job(container, f"{nas}/models/", [lambda: shutil.move(nas, tmp_path / "gone")])
    assert result.code == 0, result.stderr
    assert "has been emptied or replaced: all that is still here is sent again" in result.stderr
    assert (nas / "models/step-1.pt").read_text() == "1" and (nas / "models/step-2.pt").read_text() == "2"


def test_a_bucket_that_somebody_empties_is_filled_again(seaweedfs: Store, bucket_place: Place, root: Path) -> None:
    write(root, {"step-1.pt": "1", "metrics.csv": "1"})
    publisher = bucket_place.publisher(root)
    publisher.round(NEVER)
    target = bucket_place.target()
    target.delete([entry.key for entry in target.listed("")])
    write(root, {"step-2.pt": "2"}, age=30)
    publisher.round(NEVER)
    assert bucket_place.complete() == ["step-2.pt", "step-1.pt"]
    assert end(publisher).complete
    assert bucket_place.get("metrics.csv") == b"1"
    assert bucket_place.log.text().count("has been emptied or replaced") == 1
