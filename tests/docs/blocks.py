"""The code blocks of README and docs/: each says how it is run, and is run as it is printed.

A comment in front of a block names its setting, ``<!-- run: SETTING -->``: a function of ``test_blocks.py`` or
``test_container_blocks.py`` that makes what the reader has. Dockerfiles need none: each is built, and a job is run in
it (``tests/images/test_documentation.py``).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from docs.generate import PROJECT

BLOCK = re.compile(r"(?:^<!-- run: (?P<how>[^>]*) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


class Block(NamedTuple):
    page: str
    line: int
    language: str
    how: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Everything that people read, in English: the Chinese pages have the same blocks."""
    found = [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"), *(PROJECT / "examples").glob("*.md")]
    return [path for path in sorted(found) if "zh" not in path.parts and ".zh-" not in path.name]


def blocks(path: Path) -> list[Block]:
    text = path.read_text()
    return [
        Block(
            str(path.relative_to(PROJECT)),
            text.count("\n", 0, found.start("text")),
            found["language"],
            found["how"] or "",
            found["text"],
        )
        for found in BLOCK.finditer(text)
    ]


ALL = [block for path in pages() for block in blocks(path)]
DOCKERFILES = [block for block in ALL if block.language == "dockerfile"]
NOT_RUN = {
    ("docs/architecture.md", "mermaid"): "a drawing",
    ("docs/outputs.md", ""): "a list of names",
    ("docs/troubleshooting.md", "text"): "what a job on eight accelerators has said",
}
"""All that is no program, with the reason."""


def with_settings(settings: dict[str, object]) -> list[Block]:
    """The blocks that one of these settings runs."""
    return [block for block in ALL if block.how in settings]
