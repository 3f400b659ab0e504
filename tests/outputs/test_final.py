"""The end of an output, over a directory: what fits into the time, what is doubted, what is said of what did not go."""

from __future__ import annotations

import io
import math
import os
import signal
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from bootstrap.job import Ending
from bootstrap.outputs import final
from bootstrap.outputs.publisher import Publisher
from tests.outputs.conftest import NEVER, Place, write

SUCCESS = Ending(0, started=10.0, ended=0.0)


def ending(*, killed: bool) -> Ending:
    now = time.time()
    return Ending(None, signal.SIGKILL, ended=now) if killed else replace(SUCCESS, ended=now)


def whole() -> bytes:
    """A file that says itself where it ends, as ``torch.save`` writes it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("data.pkl", b"x")
    return made.getvalue()


def doubted(publisher: Publisher, *, killed: bool) -> dict[str, str]:
    found = publisher.look()
    return final.doubts(publisher, publisher.units_of(found), found, ending(killed=killed))


def test_what_was_written_when_the_command_was_killed_is_doubted_unless_it_tells_its_end(
    nas: Place, root: Path
) -> None:
    publisher = nas.publisher(root)
    write(root, {"half.pt": b"half", "old.pt": b"half"}, age=60)
    write(root, {"whole.pt": whole()}, age=0)
    now = time.time()
    os.utime(root / "half.pt", (now, now))
    assert list(doubted(publisher, killed=True)) == ["half.pt"]
    assert "in the moment in which the command was killed" in doubted(publisher, killed=True)["half.pt"]
    assert doubted(publisher, killed=False) == {}


@pytest.mark.parametrize(
    ("rate", "left", "fits"),
    [
        (0.0, 0.6, [True, True]),  # nothing is known yet
        (0.0, 0.5, [False, False]),  # manifests need that
        (100.0, 10.5, [True, True]),  # to the second
        (100.0, 5.0, [False, True]),  # the first would cost the second
        (100.0, 1.0, [True, True]),  # neither does: it is worth a try
    ],
)
def test_what_hardly_fits_is_tried_unless_a_smaller_one_would_be_lost_by_it(
    rate: float, left: float, fits: list[bool], nas: Place, root: Path
) -> None:
    publisher = nas.publisher(root)
    write(root, {"large.pt": b"x" * 1000, "small.pt": b"x" * 100}, age=60)
    every = sorted(publisher.units_of(publisher.look()), key=lambda unit: unit.path)
    publisher.sender.rate = rate
    haste = final._Haste(publisher, lambda: left, list(every))
    assert [haste.fits(unit) for unit in every] == fits


def test_what_cannot_be_written_is_named_with_its_reason_and_the_rest_is_there(nas: Place, root: Path) -> None:
    publisher = nas.publisher(root)
    write(root, {"a.pt": b"1", "notes.txt": b"2"}, age=60)
    (Path(nas.url) / "notes.txt" / "in the way").mkdir(parents=True)
    told = final.deliver(publisher, ending=ending(killed=False), stop=NEVER, seconds_left=lambda: math.inf)
    assert nas.complete() == ["a.pt"] and not told.complete
    ((one,)) = told.undelivered
    assert (one.path, one.size, one.cut) == ("notes.txt", 1, False) and "irectory" in one.why


def test_when_the_time_is_up_nothing_is_sent_and_nothing_concluded(nas: Place, root: Path) -> None:
    publisher = nas.publisher(root)
    write(root, {"a.pt": b"1"}, age=60)
    told = final.deliver(publisher, ending=ending(killed=False), stop=NEVER, seconds_left=lambda: 0.0)
    assert nas.complete() == [] and [one.cut for one in told.undelivered] == [True]
    assert nas.contents().runs == (), "nobody has ended here"


def test_an_output_whose_directory_is_gone_is_an_error_that_says_so(nas: Place, root: Path) -> None:
    publisher = nas.publisher(root)
    root.rmdir()
    told = final.deliver(publisher, ending=ending(killed=False), stop=NEVER, seconds_left=lambda: math.inf)
    assert told.error is not None and "is gone" in str(told.error)
