"""From the request to our own end, deliveries and record included, we stay within the grace."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.kill_at_grace import COMMANDS, ILLNESSES, run
from tests.lab.stores import Store


@pytest.mark.parametrize("illness", ILLNESSES)
@pytest.mark.parametrize("command", COMMANDS)
def test_who_is_killed_at_the_very_end_of_the_grace_has_concluded(
    tmp_path: Path, rclone: Store, illness: str, command: str
) -> None:
    ended = run(tmp_path / "container", rclone, illness, command, 4.0)
    assert ended.concluded, ended
    assert ended.code == {"ignores": 137, "saves": 206}[command]
