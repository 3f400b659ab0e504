"""The nodes of a rehearsal: started, hurt as asked, their lines merged, their ends told in one table."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..ground.json_text import load_json
from ..values import dataclass, field

Say = Callable[[str], None]

_LOOK = 0.05
_LAST_LINES = 2.0  # seconds for the last lines of a node, once it has ended
_MERCY = 40.0  # seconds from our own TERM to KILL: the bootstraps' grace and a little
_INTERRUPTING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


FAULTS = {
    "kill": "kill a node, as a machine that dies",
    "stop": "ask a node to stop, as an eviction",
    "partition": "cut a node off from the others, as a network that fails",
    "delay": "have a node come late",
}


@dataclass(frozen=True, slots=True)
class NodeFault:
    """What happens to a node, and how many seconds after the start: one of :data:`FAULTS`."""

    kind: str
    node: int
    seconds: float


@dataclass(slots=True)
class NodePart:
    """One node's part. ``home`` is its own directory, ``cut`` takes it off the network."""

    host: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    home: Path
    cut: Callable[[], None] | None = None
    process: subprocess.Popen[bytes] | None = None
    code: int | None = None
    hurt: list[str] = field(default_factory=list)

    @property
    def record(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = load_json((self.home / "job.run/run.json").read_text())
        except (OSError, ValueError):
            return {}
        return found


def play(parts: Sequence[NodePart], faults: Sequence[NodeFault], say: Say) -> None:
    """Run all parts to their ends; ``say`` gets every line with its node in front. An interruption stops them all.

    Each part's ``code`` is its exit code afterwards, as a shell gives it.
    """
    began = time.monotonic()
    delays = {fault.node: fault.seconds for fault in faults if fault.kind == "delay"}
    todo = sorted((fault for fault in faults if fault.kind != "delay"), key=lambda fault: fault.seconds)
    waiting = dict(enumerate(parts))
    readers: list[threading.Thread] = []
    interrupted = 0.0
    with _interruptions() as pending:
        try:
            while waiting or any(part.code is None for part in parts):
                if pending:
                    pending.clear()
                    _stop_all(parts, say)
                    waiting.clear()
                    interrupted = interrupted or time.monotonic()
                now = time.monotonic() - began
                for number in [number for number in waiting if delays.get(number, 0.0) <= now]:
                    readers.append(_start(number, waiting.pop(number), say))
                while todo and todo[0].seconds <= now:
                    fault = todo.pop(0)
                    _hurt(parts[fault.node], fault, say)
                for number, part in enumerate(parts):
                    if part.process is not None and part.code is None:
                        code = part.process.poll()
                        if code is not None:
                            part.code = code if code >= 0 else 128 - code
                            say(f"[node {number}] ended with {part.code}")
                if interrupted and time.monotonic() - interrupted > _MERCY:
                    break
                time.sleep(_LOOK)
            for fault in todo:
                _missed(parts[fault.node], fault, "had ended", say)
        finally:
            for part in parts:
                if part.process is not None and part.process.poll() is None:
                    _kill(part.process.pid)
            for reader in readers:
                reader.join(_LAST_LINES)


@contextmanager
def _interruptions() -> Iterator[list[int]]:
    """The signals that came meanwhile, of those that would have raised KeyboardInterrupt: that may come between any two
    instructions, and a node that was being started would be lost, or all killed that should have been asked.
    """
    pending: list[int] = []
    ours = [number for number in _INTERRUPTING if signal.getsignal(number) is signal.default_int_handler]
    for number in ours:
        signal.signal(number, lambda number, _: pending.append(number))
    try:
        yield pending
    finally:
        for number in ours:
            signal.signal(number, signal.default_int_handler)


def _stop_all(parts: Sequence[NodePart], say: Say) -> None:
    say("interrupted: stopping all nodes")
    for part in parts:
        if part.process is None:
            part.code = 130
        elif part.code is None:
            part.process.send_signal(signal.SIGTERM)


def _start(number: int, part: NodePart, say: Say) -> threading.Thread:
    part.process = subprocess.Popen(
        part.argv,
        env=part.environ,
        cwd=part.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # a person's Ctrl-C is for us, and we pass it on
    )

    def read(output: Any = part.process.stdout) -> None:
        for line in output:
            say(f"[node {number}] {line.decode(errors='replace').rstrip()}")

    thread = threading.Thread(target=read, name=f"lines-{number}", daemon=True)
    thread.start()
    return thread


def _hurt(part: NodePart, fault: NodeFault, say: Say) -> None:
    if part.process is None or part.process.poll() is not None:
        when = "had not started" if part.process is None else "had ended"
        _missed(part, fault, when, say)
        return
    what = {"kill": "killed", "stop": "asked to stop", "partition": "cut off"}[fault.kind]
    say(f"[node {fault.node}] {what} after {fault.seconds:g} s, as you wished")
    part.hurt.append(f"{fault.kind} at {fault.seconds:g} s")
    if fault.kind == "kill":
        _kill(part.process.pid)
    elif fault.kind == "stop":
        part.process.terminate()
    elif part.cut is not None:
        part.cut()


def _missed(part: NodePart, fault: NodeFault, why: str, say: Say) -> None:
    """A rehearsal must not seem to have survived what did not happen."""
    say(f"[node {fault.node}] {fault.kind} after {fault.seconds:g} s, as you wished, came to nothing: it {why}")
    part.hurt.append(f"no {fault.kind} at {fault.seconds:g} s: {why}")


def _kill(pid: int) -> None:
    """A node with all that runs on it, the bootstrap last: it would notice and tell."""
    import psutil

    try:
        leader = psutil.Process(pid)
        leader.suspend()
        for process in [*leader.children(recursive=True), leader]:
            process.kill()
    except psutil.NoSuchProcess:
        pass


def table(parts: Sequence[NodePart]) -> list[str]:
    """How all ended, a line a node."""
    rows = [("node", "host", "exit", "reason", "seconds", "first failure", "hurt")]
    for number, part in enumerate(parts):
        record = part.record
        first = record.get("first_failure") or {}
        who = f"node {first['node']}" + (f", rank {first['rank']}" if "rank" in first else "") if first else "-"
        seconds = record.get("seconds")
        told = f"{seconds:.1f}" if isinstance(seconds, float) else "-"
        reason = str(record.get("reason_id", "-"))
        rows.append((str(number), part.host, str(part.code), reason, told, who, ", ".join(part.hurt) or "-"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def told(parts: Sequence[NodePart]) -> list[dict[str, object]]:
    """The same for programs: the facts of each node's record."""
    return [
        {"node": number, "host": part.host, "exit_code": part.code, "reason_id": part.record.get("reason_id")}
        | {"seconds": part.record.get("seconds"), "first_failure": part.record.get("first_failure")}
        | {"hurt": list(part.hurt)}
        for number, part in enumerate(parts)
    ]


def verdict(parts: Sequence[NodePart]) -> int:
    """One exit code for all: the first failing node's, 0 if all succeeded."""
    failed = [part for part in parts if part.code]
    if not failed:
        return 0
    for part in failed:
        first = part.record.get("first_failure") or {}
        if first and parts[first["node"]].code:
            return parts[first["node"]].code or 1
    return failed[0].code or 1
