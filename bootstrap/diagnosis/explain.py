"""From facts to a verdict. The order: nothing wrong > asked to stop > the kernel's proof, with a death that fits it >
broken hardware > the exception that was chosen > a bare signal > the last lines that say something.

Nothing is guessed: exit code 137 alone is not called "out of memory", since anybody may send KILL. Sources: the
ModelArts FAQ on exit codes 137, 139 and 247 and on common training failures, where each of these cost somebody a day.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

from ..job import AskedBy, Ending
from ..reporting.language import NOTHING, Words
from ..values import dataclass, field, replace
from .blocks import Form, Frame, find
from .choice import Candidate, bare, candidates, choose
from .engines import RankFailure, last_traceback, root_cause
from .last_words import last_error, meaningful
from .machine import Machine
from .rules import CAUSES, HARDWARE
from .rules.endings import BY_SIGNAL
from .text import CUT, Line
from .verdict import Confidence, Evidence, Verdict
from .workers import WorkerFile
from .workers import read as read_workers

_LONGEST = 500  # characters of one piece of evidence
_ALSO = 5
_LINES = 3  # of the last ones, where nothing better is known


IDLE = Words("output and no work", "输出也没有计算")
SILENT = Words("output", "输出")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a verdict is made of. ``lines`` is the end of the log (:func:`.text.read_end`), ``workers`` are the files of
    single processes beside it; ``first_rank`` is the rank of this node's first process. ``grace`` and ``silence`` are
    seconds, the latter of a stall, which lacked ``silence_of``; ``stacks`` is where they were written down.
    """

    ending: Ending
    lines: Sequence[Line] = ()
    machine: Machine = field(default_factory=Machine)
    first_rank: int = 0
    grace: float = 0.0
    silence: float = 0.0
    silence_of: Words = IDLE
    stacks: str = ""
    workers: Sequence[WorkerFile] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The verdict, and what the other nodes want to know: the rank that failed first here, if the engine names one, and
    the last traceback. ``workers`` are the files of single processes that were read for it.
    """

    verdict: Verdict
    rank: RankFailure | None = None
    traceback: str = ""
    workers: tuple[WorkerFile, ...] = ()


def diagnose(facts: Facts) -> Diagnosis:
    """Look at the evidence once; there always is a verdict."""
    scene = _Scene(replace(facts, lines=[*read_workers(facts.workers), *facts.lines]))
    return Diagnosis(scene.verdict(), scene.first, last_traceback(scene.lines), tuple(facts.workers))


def explain(facts: Facts) -> Verdict:
    """The verdict on ``facts.ending``."""
    return diagnose(facts).verdict


class _Scene:
    """The evidence of one ending, looked at once."""

    def __init__(self, facts: Facts) -> None:
        self.facts, self.ending, self.lines = facts, facts.ending, facts.lines
        self.blocks = find(facts.lines)
        self.first = root_cause(facts.lines, facts.first_rank)
        if self.first is not None and self.first.exit_code == -signal.SIGTERM:
            self.first = None  # its launcher ended it, for a reason that is not this rank's
        told = self.first is not None and self.first.exit_code > 0
        # a launcher that ended the other ranks, and ends as they did (Paddle's with 241): that is not what it died of
        self.death = None if told and facts.ending.signal is None else _death(facts.ending)
        self.found = candidates(facts.lines, self.blocks, facts.machine)
        self.rank = self.first.rank if self.first is not None else None
        self.line = bare(facts.lines, facts.machine, self.blocks, self.rank)

    def verdict(self) -> Verdict:
        if self.ending.succeeded:
            return self._success()
        return self._stopped() or self._out_of_memory() or self._hardware() or self._chosen() or self._silent()

    # --- the rungs, in their order ---------------------------------------------------------------------------------

    def _success(self) -> Verdict:
        """What went wrong on the way is no cause of anything; a traceback near the end is worth a word."""
        last = [one for one in self.found if one.block.form is Form.TRACEBACK and not one.overcome and one.after <= 3]
        seen = tuple(self._evidence(one, named=True) for one in last[-1:])
        return _verdict("success", Confidence.PROVEN, also_seen=seen)

    def _stopped(self) -> Verdict | None:
        who = self.ending.asked_by
        id = f"stopped-by-{who.value}"
        if id not in CAUSES:
            return None
        killed = self.ending.signal == signal.SIGKILL
        how = Words(
            f"and did not end within its share of the {self.facts.grace:g} s of grace"
            if killed
            else f"({self.ending})",
            f"且未在 {self.facts.grace:g} 秒宽限期内它的那一份里退出" if killed else f"（{self.ending}）",
        )
        lacked, seconds = self.facts.silence_of, f"{self.facts.silence:g}"
        silence = Words(f"no {lacked.en} for {seconds} s", f"{seconds} 秒内没有{lacked.zh}")
        found = _verdict(
            id,
            Confidence.PROVEN,
            stacks=self.facts.stacks or "stall.txt",
            silence=silence,
            also_seen=self._others(None),
        )
        remedy = found.remedy
        if killed and who is not AskedBy.STALL:
            handle = Words(
                "Handle SIGTERM in the command, or give more --grace", "在命令中处理 SIGTERM，或调大 --grace"
            )
            remedy = handle if not remedy else remedy.then(handle)
        text = Words(f"{found.text.en} {how.en}", f"{found.text.zh}{how.zh}")
        return replace(found, text=text, remedy=remedy)

    def _out_of_memory(self) -> Verdict | None:
        proof = self.ending.out_of_memory
        if proof is None or proof.kills == 0 or not self._fits_a_kill():
            return None

        def size(value: int | None) -> str:
            return "unknown" if value is None else f"{value / 2**20:.0f} MiB"

        size_zh = (size(proof.limit).replace("unknown", "未知"), size(proof.peak).replace("unknown", "未知"))
        told_zh = f"{proof.source} 记录了 {proof.kills} 次 OOM kill，上限 {size_zh[0]}，峰值 {size_zh[1]}"
        told = f"{proof.kills} OOM kill(s) in {proof.source}, limit {size(proof.limit)}, peak {size(proof.peak)}"
        rank = self.first.rank if self.first is not None and self.first.exit_code == -signal.SIGKILL else None
        return _verdict(
            "out-of-memory",
            Confidence.PROVEN,
            evidence=(Evidence(told, rank, zh=told_zh),),
            also_seen=self._others(None),
            ending=self.ending,
        )

    def _fits_a_kill(self) -> bool:
        """Whether the end looks as if the kernel's kill had brought it about, and not another failure beside it."""
        if self.death == signal.SIGKILL or (self.first is not None and self.first.exit_code == -signal.SIGKILL):
            return True
        chosen = choose(self.found, self.line, self.first, self.death, self.facts.machine)
        return chosen is None or chosen.secondary or chosen.cause in _OF_KILLS

    def _hardware(self) -> Verdict | None:
        for place in range(len(self.lines) - 1, -1, -1):
            line = self.lines[place]
            if not _MAY_BE_HARDWARE.search(line.text):
                continue
            if any(re.search(rule.says, line.text) for rule in HARDWARE):
                seen = _quote(line)
                return _verdict("device-hardware", Confidence.SAID, evidence=(seen,), also_seen=self._others(None))
        return None

    def _chosen(self) -> Verdict | None:
        one = choose(self.found, self.line, self.first, self.death, self.facts.machine)
        signalled = self._signalled_rank()
        if one is None:
            return signalled or self._by_signal()
        if one.secondary and signalled is not None and self._died_by() != signal.SIGABRT:
            return signalled
        if one.secondary and self.death is not None and self.death != signal.SIGABRT:
            return self._by_signal()
        if one.secondary and signalled is None and self._said_nothing():
            return None
        return self._from(one)

    def _died_by(self) -> int:
        return -self.first.exit_code if self.first is not None else 0

    def _said_nothing(self) -> bool:
        """Whether the rank that failed first wrote lines of its own, none of which is about a failure that is known:
        the others' lost connections are not the cause.
        """
        mine = any(line.rank == self.rank for line in self.lines) if self.rank is not None else False
        return mine and all(one.block.rank != self.rank for one in self.found if not one.overcome)

    def _by_signal(self) -> Verdict | None:
        if self.death is None:
            return None
        id = BY_SIGNAL.get(
            signal.Signals(self.death) if self.death in _SIGNALS else signal.SIGKILL, "killed-from-outside"
        )
        last = [line for _, line in meaningful(self.lines, 8)]
        told = [line for line in last if _OF_SIGNALS.search(line.text)] or last
        seen = tuple(_quote(line) for line in told[-1:])
        found = _verdict(id, Confidence.LIKELY, evidence=seen, also_seen=self._others(None))
        return replace(found, text=Words(f"{found.text.en} ({self.ending})", f"{found.text.zh}（{self.ending}）"))

    def _signalled_rank(self) -> Verdict | None:
        """A rank that died by a signal without a word of its own, as the engine reports it."""
        if self.first is None or self.first.exit_code >= 0:
            return None
        number = -self.first.exit_code
        name = signal.Signals(number).name if number in _SIGNALS else f"signal {number}"
        id = (
            BY_SIGNAL.get(signal.Signals(number), "killed-from-outside")
            if number in _SIGNALS
            else "killed-from-outside"
        )
        if id == "killed-from-outside":
            id = "rank-killed"
        rank = self.first.rank
        told = f"the engine reports that rank {rank} died by {name}"
        seen = Evidence(told, rank, zh=f"训练引擎报告 rank {rank} 因 {name} 退出")
        return _verdict(id, Confidence.SAID, evidence=(seen,), also_seen=self._others(None))

    def _silent(self) -> Verdict:
        """Nothing that is known: quote what there is, and say so where there is nothing."""
        signalled = self._by_signal()
        if signalled is not None:
            return signalled
        if self.ending.status == 124:
            return self._ended("timed-out", ())
        error = last_error(self.lines, rank=self.rank)
        if error is not None:
            return self._ended("command-failed", (_quote(error),))
        wrapped = [one for one in self.found if one.secondary]
        if wrapped and not self._said_nothing():
            return self._ended("command-failed", (self._evidence(wrapped[-1]),))
        last = meaningful(self.lines, _LINES, self.rank)
        if not last:  # nothing but progress and the like
            last = [(place, line) for place, line in enumerate(self.lines) if line.rank == self.rank][-_LINES - 1 :]
        return self._ended("ended-silently", tuple(_quote(line) for _, line in last if line.text))

    # --- how it is told --------------------------------------------------------------------------------------------

    def _ended(self, id: str, evidence: tuple[Evidence, ...]) -> Verdict:
        found = _verdict(id, Confidence.LIKELY, evidence=evidence, also_seen=self._others(None))
        return replace(found, text=Words(f"{found.text.en} ({self.ending})", f"{found.text.zh}（{self.ending}）"))

    def _from(self, one: Candidate) -> Verdict:
        said = one.block.form is not Form.LINE and one.after == 0
        found = _verdict(
            one.cause,
            Confidence.SAID if said else Confidence.LIKELY,
            evidence=(self._evidence(one),),
            also_seen=self._others(one),
            **one.facts,
        )
        text = Words(f"{found.text.en} ({self.ending})", f"{found.text.zh}（{self.ending}）")
        remedy = found.remedy
        if one.rule is not None:
            if one.rule.hint:
                hint = one.rule.hint.filled(**one.facts)
                remedy = hint.then(remedy) if one.facts.get("nearest") else hint
            found = replace(found, retry=one.rule.retry or found.retry, fault=one.rule.fault or found.fault)
        if one.cause == "syntax-error":
            remedy = _which_python(one).then(remedy)
        return replace(found, text=text, remedy=remedy)

    def _evidence(self, one: Candidate, *, named: bool = False) -> Evidence:
        frame = self._frame(one)
        where = self._stands(one)
        rank = one.block.rank
        if rank is None:
            rank = self._whose(one)
        return Evidence(
            _cut(_quoted_line(one)),
            rank,
            frame.file if frame else where.file,
            frame.line if frame else where.number,
            one.cause if named else "",
        )

    def _stands(self, one: Candidate) -> Line:
        """The line that says it, where it is one of a process's own file."""
        for line in self.lines[one.block.begin : one.block.end]:
            if line.file and line.rank == one.block.rank and line.text.strip() and line.text.strip() in one.saying.text:
                return line
        return Line("")

    def _whose(self, one: Candidate) -> int | None:
        """Whose it is what stands in the output without a rank: a single rank said it in a file of its own, or it must
        be that of which the engine tells.
        """
        said = {other.block.rank for other in self.found if other.saying.text == one.saying.text} - {None}
        if len(said) == 1:
            return said.pop()
        return self.first.rank if self.first is not None and self._only(one) else None

    def _only(self, one: Candidate) -> bool:
        """Whether no other candidate says anything else, so that it must be the rank's that the engine names."""
        return all(
            other.saying.first_line == one.saying.first_line
            for other in self.found
            if not other.secondary and not other.overcome
        )

    def _frame(self, one: Candidate) -> Frame | None:
        """The last frame of the user's own code; of a chain, the one that is nearest to the saying that was chosen."""
        sayings = one.block.sayings
        at = next(place for place, saying in enumerate(sayings) if saying is one.saying)
        for saying in (one.saying, *reversed(sayings[:at]), *sayings[at + 1 :]):
            own = [frame for frame in saying.frames if self.facts.machine.is_users(frame.file)]
            if own:
                return own[-1]
        return one.saying.frames[-1] if one.saying.frames else None

    def _others(self, chosen: Candidate | None) -> tuple[Evidence, ...]:
        """What else was said, each thing once, the last first."""
        seen: dict[tuple[str, str], Evidence] = {}
        mine = (chosen.cause, _cut(_quoted_line(chosen))) if chosen is not None else ("", "")
        for one in reversed([*self.found, *([self.line] if self.line else [])]):
            if one is chosen or one.cause == "command-failed":
                continue
            evidence = self._evidence(one, named=True)
            key = (evidence.id, evidence.text)
            if key != mine and key not in seen:
                seen[key] = evidence
        return tuple(seen.values())[:_ALSO]


_SIGNALS = {number.value for number in signal.Signals}
_OF_SIGNALS = re.compile(
    r"\b(?:Killed|Terminated|Segmentation fault|Aborted|Bus error|core dumped|Illegal instruction)\b"
)
_OF_KILLS = frozenset({"worker-killed", "rank-killed", "memory-error", "killed-from-outside", "out-of-memory"})
_MAY_BE_HARDWARE = re.compile(
    r"Xid|ECC|NVLink|lost|fallen|reset|device handle|HBM|DDR|UCE|MEM ERROR|0x80|npu|NPU|contained|hardware"
)


def _death(ending: Ending) -> int | None:
    """The signal behind the ending: the command's own, or the one that a shell (128 + n) or ``sys.exit(-n)`` (256 - n)
    made a status of.
    """
    if ending.signal is not None:
        return ending.signal
    status = ending.status or 0
    known = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 24, 25, 31)
    if status - 128 in known and status != 128 + 1:
        return status - 128
    if 256 - status in (4, 6, 7, 8, 9, 11, 15):
        return 256 - status
    return None


def _verdict(
    id: str,
    confidence: Confidence,
    *,
    evidence: tuple[Evidence, ...] = (),
    also_seen: tuple[Evidence, ...] = (),
    **facts: object,
) -> Verdict:
    cause = CAUSES[id]
    text, remedy = (
        Words(_fill(words.en, "en", facts), _fill(words.zh, "zh", facts)) if words else NOTHING
        for words in (cause.text, cause.remedy)
    )
    return Verdict(id, cause.kind, cause.retry, cause.fault, confidence, text, remedy, evidence, also_seen)


def _fill(text: str, lang: str, facts: dict[str, object]) -> str:
    own = {
        name: (value.zh if lang == "zh" else value.en) if isinstance(value, Words) else value
        for name, value in facts.items()
    }
    return Words(text, text).filled(**own).en


def _which_python(one: Candidate) -> Words:
    """Of which Python a script's syntax is, where the complaint tells."""
    if re.search(r"Missing parentheses in call to 'print'|Missing parentheses in call to 'exec'", one.saying.text):
        return Words("This is Python 2", "这是 Python 2 的代码")
    return NOTHING


def _quoted_line(one: Candidate) -> str:
    """The line that the rule knows; of an exception with a long message, its first line with it."""
    saying = one.saying
    first = saying.first_line
    if one.block.form is Form.TERMINATE:
        return " ".join(line.strip() for line in saying.text.split("\n")[:2])
    if one.rule is None or "\n" not in saying.text:
        return first
    said = re.search(r"^\[Error\]: .+", saying.text, re.MULTILINE)  # of an NPU, what its numbers mean
    if said is not None and said[0] not in first:
        return f"{first} | {said[0].strip()}"
    found = re.search(one.rule.says, saying.text, re.MULTILINE)
    if found is None:
        return first
    start = saying.text.rfind("\n", 0, found.start()) + 1
    end = saying.text.find("\n", found.end())
    line = saying.text[start : end if end >= 0 else None].strip().replace("\n", " ")
    if line.startswith(first):
        return line
    return first if line in first or not line.strip("-= ") else f"{first} | {line}"


def _quote(line: Line) -> Evidence:
    return Evidence(_cut(line.text.strip()), line.rank, line.file, line.number)


def _cut(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return text[: _LONGEST * 2 // 3] + CUT + text[-_LONGEST // 3 + len(CUT) :]
