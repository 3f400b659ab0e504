"""README's picture: a real job in a real terminal, recorded and drawn as SVG. ``scripts/picture`` runs it.

The job fetches its code from a real object store, trains something small and delivers its model there. A terminal
emulator (pyte) reads what it writes; what is on its screen at the end is drawn, character by character, in its colours.
"""

from __future__ import annotations

import html
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
from pathlib import Path

import pyte

from tests.lab.stores import running_seaweedfs

HERE = Path(__file__).resolve().parent
EXAMPLE = HERE.parent / "examples/v1-model"
COLUMNS = 124
COMMAND = (
    "bootstrap", "run", "--code", "obs://my-bucket/mnist/", "--output", "out=obs://my-bucket/models/",
    "--log", "obs://my-bucket/logs/", "--", "python", "mnist/train.py",
)  # fmt: skip
WIDTH, HEIGHT = 8.4, 18  # of one character, in the picture's pixels
PAINT = {
    "default": "#d4d4d4",
    "cyan": "#56b6c2",
    "red": "#e06c75",
    "yellow": "#e5c07b",
    "brown": "#e5c07b",
    "green": "#98c379",
}


def record() -> list[str]:
    """The lines of the terminal, as SVG text, after the job has run in it."""
    with tempfile.TemporaryDirectory() as directory, running_seaweedfs(Path(directory, "store")) as store:
        bucket = store.make_bucket("my-bucket")
        bucket.put("mnist/train.py", (EXAMPLE / "train.py").read_bytes())
        home = Path(directory, "job")
        home.mkdir()
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environ = {"PATH": path, "TERM": "xterm", "HOME": str(home), "TMPDIR": str(home), "PYTHONUNBUFFERED": "1"}
        words = [*COMMAND[:2], "--job-dir", str(home), "--log-file", str(home / "mnist.log"), *COMMAND[2:]]
        shown = played(words, {**environ, **store.env()}, home)
    shown = shown.replace(str(home).encode(), b"/job")
    screen = pyte.Screen(COLUMNS, 60)
    pyte.ByteStream(screen).feed(b"$ " + " ".join(COMMAND).encode() + b"\r\n" + shown)
    last = max(number for number, line in enumerate(screen.display) if line.strip())
    return [drawn(screen, number) for number in range(last + 1)]


def played(words: list[str], environ: dict[str, str], cwd: Path) -> bytes:
    """What a command writes to a terminal of its own."""
    ours, theirs = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, COLUMNS, 0, 0))
    process = subprocess.Popen(
        words, env=environ, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            select.select([ours], [], [])
            data = os.read(ours, 65536)
        except OSError:  # nobody has the other end any more
            break
        if not data:
            break
        shown += data
    os.close(ours)
    assert process.wait() == 0, shown.decode()
    return shown


def drawn(screen: pyte.Screen, number: int) -> str:
    """One line of the screen: a run of equal characters in a ``tspan`` of its colour."""
    runs: list[tuple[str, str]] = []
    for column in range(COLUMNS):
        cell = screen.buffer[number][column]
        colour = PAINT.get(cell.fg, PAINT["default"])
        if runs and runs[-1][0] == colour:
            runs[-1] = (colour, runs[-1][1] + cell.data)
        else:
            runs.append((colour, cell.data))
    text = "".join(f'<tspan fill="{colour}">{html.escape(data)}</tspan>' for colour, data in runs)
    return re.sub(r"\s+</tspan>$", "</tspan>", text)


def svg(lines: list[str]) -> str:
    """A window with the lines in it."""
    width, height = COLUMNS * WIDTH + 40, len(lines) * HEIGHT + 60
    text = "\n".join(
        f'<text x="20" y="{52 + number * HEIGHT}" xml:space="preserve">{line}</text>'
        for number, line in enumerate(lines)
    )
    dots = "".join(
        f'<circle cx="{20 + 20 * number}" cy="18" r="6" fill="{colour}"/>'
        for number, colour in enumerate(("#ff5f56", "#ffbd2e", "#27c93f"))
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}">
<title>bootstrap run, from boot to exit</title>
<rect width="100%" height="100%" rx="8" fill="#1e1e1e"/>
{dots}
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="14">
{text}
</g>
</svg>
"""


if __name__ == "__main__":
    (HERE / "picture.svg").write_text(svg(record()))
    print(HERE / "picture.svg")
