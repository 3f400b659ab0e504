"""JSON that somebody else has written."""

from __future__ import annotations

import pytest

from bootstrap.ground.json_text import load_json


@pytest.mark.parametrize("text", [b"[" * 2_000_000, "[" * 2_000_000, b"{", b"", b"\xff", "9" * 5000])
def test_whatever_is_wrong_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        load_json(text)
