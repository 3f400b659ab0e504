"""Blocks of a log: what programs print when they fail, taken out of the lines around it, rank by rank.

A block is what belongs together: the chain of tracebacks of one exception with the causes before it, what a C++
program says before it aborts, the interpreter's own last words, Paddle's summary, the complaint of an option parser,
of a shell, of the dynamic loader. Each holds one or more :class:`Saying`, the last of which is the final one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import Enum

from ..values import dataclass, field, replace
from .shapes import as_pythons
from .text import HEADER, Line

MESSAGE_LINES = 40  # of one exception: PyTorch's state_dict complaints and Paddle's summaries are long
_INTERLEAVED = 400  # lines within which exceptions may follow a header


class Form(str, Enum):
    TRACEBACK = "traceback"
    TERMINATE = "terminate"
    FATAL = "fatal"
    OPTIONS = "options"
    SHELL = "shell"
    LOADER = "loader"
    ABORT = "abort"
    LINE = "line"


@dataclass(frozen=True, slots=True)
class Frame:
    file: str
    line: int
    function: str = ""


@dataclass(frozen=True, slots=True)
class Saying:
    """One thing that was said: an exception with its message, or a program's complaint.

    ``type`` is the exception's name without its module; ``text`` what rules look at: name and message, all lines.
    ``handling``: it was raised while the saying before it was handled, not because of it.
    """

    text: str
    type: str = ""
    frames: tuple[Frame, ...] = ()
    handling: bool = False

    @property
    def first_line(self) -> str:
        """The line to quote: the exception's own, or its first that says anything."""
        lines = [line.strip() for line in self.text.split("\n") if line.strip(" -=*")]
        if not lines:
            return self.text.strip()
        if len(lines) > 1 and (lines[0].endswith(":") or lines[0] == self.type):
            return f"{lines[0]} {lines[1]}"
        return lines[0]


@dataclass(frozen=True, slots=True)
class Block:
    """``begin`` and ``end`` are places in the list of lines, the end not included. ``aside`` says that the program
    itself went on after it: an exception in a destructor or in a logging call.
    """

    form: Form
    sayings: tuple[Saying, ...]
    begin: int
    end: int
    rank: int | None = None
    aside: bool = False

    @property
    def final(self) -> Saying:
        return self.sayings[-1]


_CHAINS = {
    "The above exception was the direct cause of the following exception:": False,
    "During handling of the above exception, another exception occurred:": True,
}
# what may stand between the tracebacks of one chain
_BETWEEN = re.compile(r'^(?:"{3}|\'{3}|-- Process \d+ terminated with the following error:|-+|\s*)$')
_FRAME = re.compile(r'^\s*(?:[|+\s]*)File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<function>.+))?')
_EXCEPTION = re.compile(
    r"^(?P<type>(?:[A-Za-z_][\w]*\.)*[A-Za-z_][\w]*)(?::(?: (?P<message>.*))?)?$",
)
_NAMED_LIKE_ONE = re.compile(
    r"(?:Error|Exception|Warning|Interrupt|Exit|Stop|Timeout|Failure|Failed|Abort|Fault|Iteration|Group|NotFound|"
    r"Invalid\w*"
    r"|RemoteTraceback|Killed|Denied|Missing\w*|Expired|Unavailable|Exhausted|Cancelled|Refused|"
    r"InterpolationKeyError)\Z"
)
# lines without an indent that go on with a message: PyTorch's, NCCL's, Ascend's, TensorFlow's
_LISTED = re.compile(
    r"^(?:CUDA kernel errors|For debugging consider|Compile with|-----|C\+\+ Tr|\d+\s|\[Hint: |Last error:|nccl\w+Error"
    r"|- |\[E(?:RROR|rror)\]|\[PID: \d+\]|(?:\w+\()?E[A-Z0-9]\d{4}\)?: "
    r"|Node: |OOM when|Hint: |Detected at node|\(\d+\) )"
)
_ASIDE = re.compile(
    r"^(?:Exception ignored (?:in|on|while)\b.*|--- Logging error ---|Error in atexit\._run_exitfuncs:"
    r"|Error in sys\.excepthook:|(?:Task|Future) exception was never retrieved.*|Exception in callback .*)$"
)
_TERMINATE = re.compile(
    r"^.{0,40}?(?:terminate called (?:after throwing|without|recursively)|libc\+\+abi: terminating)"
)
_FATAL = re.compile(r"^Fatal Python error: (?P<what>.+)$")
_FATAL_FRAME = re.compile(r'^ +File "(?P<file>[^"]+)", line (?P<line>\d+) in (?P<function>.+)$')
_SUMMARY = "Error Message Summary:"
_OPTIONS = re.compile(
    r"^(?:(?P<prog>[\w./ -]{1,80}?): error: (?P<what>.+)|FATAL Flags parsing error:.*"
    r"|Error: (?:No such (?:option|command)|Missing (?:option|argument|parameter)|Invalid value|Got unexpected "
    r"extra argument"
    r"|Unexpected (?:parameter|argument)|Option '?).*"
    r"|ERROR: Could not consume arg: .*|[│|] (?:No such option|Missing (?:option|argument)|Invalid value|Got "
    r"unexpected|Unrecognized (?:options?|arguments?)|Required options?:|Error parsing ).*)$"
)
_SHELL = re.compile(
    r"^(?P<script>-?[\w./~+-]*(?:sh|bash|zsh|[\w.-]+\.(?:sh|bash|env)|[\w/.-]*/[\w.-]+)): "
    r"(?:line (?P<line>\d+): |(?P<dash>\d+): |fork: |cannot |warning: |-c: |eval: |/|\$'|\.).*$"
    r"|^(?P<zsh>zsh|bash|sh|-bash|/bin/sh|/bin/bash|ash):\s?.*$"
    r"|^(?:/usr/bin/)?env: .*: (?:No such file or directory|Permission denied)$"
    r"|^(?:exec|nohup|timeout|stdbuf|sudo|xargs|time|srun|mpirun|nice|setsid)(?: .*|: .*)(?:failed to run command|"
    r"execvp|"
    r"cannot run command|command not found|No such file|Exec format).*$"
)
_LOADER = re.compile(
    r"^\S*python[\d.]*: (?:No module named|can't open file|Error while finding module|can't find).*$"
    r"|^\S+: (?:error while loading shared libraries: .*|symbol lookup error: .*|relocation error: .*"
    r"|\S+: version `\S+' not found \(required by .*\)|\S+: no version information available.*)$"
    r"|^(?:ld\.so|Fatal glibc error|FATAL: kernel too old).*$"
)
_ABORT = re.compile(
    r"^(?:\w+\()?E[A-Z0-9]\d{4}\)?: (?:\[PID: \d+\] )?\d{4}-\d\d-\d\d.*"  # Ascend's device libraries
    r"|^F\d{4,8} \d\d:\d\d:\d\d\.\d+ +\d+ .*\] .*"  # glog's fatal lines
    r"|^F\d{4} [\d:.]+ .*\] .*"
    r"|^.*: Assertion [`'].*' failed\.?$"
    r"|^\*\*\* (?:stack smashing|buffer overflow|glibc) detected.*"
    r"|^(?:double free or corruption|free\(\): |malloc\(\): |malloc_consolidate\(\): |corrupted (?:size|double|"
    r"top)|munmap_chunk\(\): "
    r"|realloc\(\): |pure virtual method called|python\d*: malloc\.c:).*$"
)


@dataclass
class _Parser:
    """One rank's lines, with their places, read once from the first to the last."""

    lines: Sequence[tuple[int, str]]
    rank: int | None
    found: list[Block] = field(default_factory=list)
    at: int = 0

    def read(self) -> list[Block]:
        while self.at < len(self.lines):
            text = self.lines[self.at][1]
            if not text:
                self.at += 1
            elif text.endswith(HEADER) and "C++ Traceback" not in text:
                self._tracebacks()
            elif _FRAME.match(text) and text.startswith(" ") and self._is_syntax_error():  # the mark takes one
                self._headless()
            elif _FATAL.match(text):
                self._fatal()
            elif text.strip() == _SUMMARY:
                self._summary()
            elif _TERMINATE.match(text):
                self._lines(Form.TERMINATE, 12)
            elif _OPTIONS.match(text):
                self._options(text)
            elif _LOADER.match(text):
                self._lines(Form.LOADER, 1)
            elif _SHELL.match(text):
                self._lines(Form.SHELL, 2 if "syntax error" in text.lower() else 1)
            elif _ABORT.match(text):
                self._lines(Form.ABORT, 3)
            else:
                self.at += 1
        return self.found

    # --- Python ------------------------------------------------------------------------------------------------

    def _tracebacks(self) -> None:
        """All tracebacks of one chain; of several processes that write at once, too: as many exceptions as headers."""
        begin = self.at
        aside = any(_ASIDE.match(text) for _, text in self.lines[max(0, begin - 1) : begin])
        sayings: list[Saying] = []
        handling = chained = False
        while self.at < len(self.lines):
            text = self.lines[self.at][1]
            if text.endswith(HEADER):
                sayings += self._one_traceback(handling)
                handling = chained = False
                continue
            if text in _CHAINS:
                handling, chained = _CHAINS[text], True
                self.at += 1
            elif _BETWEEN.match(text) and (chained or self._leads_on()):
                self.at += 1
            elif text.strip() == _SUMMARY and sayings:
                sayings += self._summary_saying(sayings[-1].frames)
            else:
                break
        if sayings:
            self._add(Form.TRACEBACK, sayings, begin, aside)

    def _leads_on(self) -> bool:
        """Whether what follows after blank lines and the like is another traceback of the chain."""
        for _, text in self.lines[self.at : self.at + 8]:
            if text in _CHAINS or text.strip() == _SUMMARY or (text.endswith(HEADER) and "C++" not in text):
                return text.strip() == _SUMMARY or text in _CHAINS or self._inner()
            if not _BETWEEN.match(text):
                return False
        return False

    def _inner(self) -> bool:
        """A traceback that follows without words of a chain: only as a part of the message of the one before."""
        near = [text for _, text in self.lines[max(0, self.at - 3) : self.at + 3]]
        return any(text.startswith(("-- Process", '"""', "'''")) for text in near)

    def _one_traceback(self, handling: bool) -> Iterator[Saying]:
        self.at += 1
        open_headers, frames = 1, []
        limit = min(len(self.lines), self.at + _INTERLEAVED)
        while self.at < limit and open_headers:
            text = self.lines[self.at][1]
            frame = _FRAME.match(text)
            if frame:
                frames.append(Frame(frame["file"], int(frame["line"]), frame["function"] or ""))
            elif text.endswith(HEADER):
                open_headers += 1
            elif text and not text.startswith((" ", "\t", "|", "+")):
                if self._is_exception(text) or not frames:
                    open_headers -= 1
                    saying = self._exception(text, tuple(frames), handling)
                    if saying is not None:
                        yield saying
                    continue
                if not self._may_be_another_process(open_headers):
                    return
            self.at += 1

    def _may_be_another_process(self, open_headers: int) -> bool:
        """Words between the lines of a traceback: another process', if the exception is still to come."""
        return any(_FRAME.match(text) or self._is_exception(text) for _, text in self.lines[self.at + 1 : self.at + 60])

    @staticmethod
    def _is_exception(text: str) -> bool:
        found = _EXCEPTION.match(text)
        if found is None:
            return False
        name = found["type"].rpartition(".")[2]
        return bool(_NAMED_LIKE_ONE.search(name)) or "." in found["type"] or (name[:1].isupper() and ":" in text)

    def _exception(self, text: str, frames: tuple[Frame, ...], handling: bool) -> Saying | None:
        """The exception's line and the further lines of its message."""
        found = _EXCEPTION.match(text)
        if found is None:
            self.at += 1
            return None
        message = [text]
        self.at += 1
        while self.at < len(self.lines) and len(message) < MESSAGE_LINES:
            more = self.lines[self.at][1]
            if self._ends_message(more, message):
                break
            message.append(more)
            self.at += 1
        while message and not message[-1].strip():
            message.pop()
        return Saying("\n".join(message), found["type"].rpartition(".")[2], frames, handling)

    def _ends_message(self, text: str, message: list[str]) -> bool:
        if text.endswith(HEADER) or text in _CHAINS or text.strip() == _SUMMARY or text.startswith(("=====", '"""')):
            return True
        opened = self._goes_on_freely(message)
        if not text:  # a blank line inside a message is followed by more of its shape
            following = self.lines[self.at + 1][1] if self.at + 1 < len(self.lines) else ""
            shaped = following.startswith(("  ", "\t", "-----", "C++ Traceback")) or bool(_LISTED.match(following))
            free = opened and bool(following) and len(message) == 1
            return not (shaped or free) or following in _CHAINS
        if "validation error" in message[0] and self.at + 1 < len(
            self.lines
        ):  # pydantic's: a field, what is wrong below
            opened = opened or self.lines[self.at + 1][1].startswith((" ", "\t"))
        opened = opened or message[-1] == "Last error:"  # NCCL's: what CUDA or the system said
        return not (opened or text.startswith((" ", "\t")) or bool(_LISTED.match(text)))

    @staticmethod
    def _goes_on_freely(message: list[str]) -> bool:
        """Whether a message that began with a colon at its line's end may go on with lines of any shape: a few, until
        there is an indent.
        """
        told = [line for line in message[1:] if line]
        return message[0].rstrip().endswith(":") and len(told) < 6 and not any(line[0] in " \t" for line in told)

    def _is_syntax_error(self) -> bool:
        """A frame without a header: the compiler's complaint about the main script."""
        return any(
            re.match(r"^(?:Syntax|Indentation|Tab)Error\b", text) for _, text in self.lines[self.at : self.at + 6]
        )

    def _headless(self) -> None:
        begin = self.at
        frame = _FRAME.match(self.lines[begin][1])
        assert frame is not None
        while not re.match(r"^(?:Syntax|Indentation|Tab)Error\b", self.lines[self.at][1]):
            self.at += 1
        saying = self._exception(self.lines[self.at][1], (Frame(frame["file"], int(frame["line"])),), False)
        if saying is not None:
            self._add(Form.TRACEBACK, [saying], begin)

    def _fatal(self) -> None:
        """The interpreter's last words; its stacks have the most recent call first, the thread that died on top."""
        begin = self.at
        text = self.lines[begin][1]
        frames: list[Frame] = []
        mine = True  # the stack of the thread that died; the others' stand before it or behind it
        self.at += 1
        while self.at < min(len(self.lines), begin + 200):
            line = self.lines[self.at][1]
            if "(most recent call first)" in line:
                mine = line.startswith(("Current thread", "Stack")) or not frames
                frames = [] if line.startswith("Current thread") else frames
            elif frame := _FATAL_FRAME.match(line):
                if mine:
                    frames.append(Frame(frame["file"], int(frame["line"]), frame["function"]))
            elif line and not line.startswith((" ", "Python runtime state", "Extension modules")):
                break
            self.at += 1
        self._add(Form.FATAL, [Saying(text, "", tuple(reversed(frames)))], begin)

    # --- others ------------------------------------------------------------------------------------------------

    def _summary(self) -> None:
        begin = self.at
        self._add(Form.FATAL, list(self._summary_saying(())), begin)

    def _summary_saying(self, frames: tuple[Frame, ...]) -> Iterator[Saying]:
        """Paddle's: a ruler, the kind of error and what it is, up to two blank lines or a bracket with the time."""
        self.at += 1
        told: list[str] = []
        while self.at < len(self.lines) and len(told) < 16:
            text = self.lines[self.at][1].strip()
            if text.endswith(HEADER) or text.startswith(("[TimeInfo", "LAUNCH ")):
                break
            if text.strip("-"):
                told.append(text)
            self.at += 1
            if text and told and text.startswith("[operator"):
                break
        if told:
            yield Saying("\n".join(told), told[0].partition(":")[0] if ":" in told[0] else "", frames)

    def _options(self, text: str) -> None:
        """argparse's complaint comes behind a usage line and ends the program; others need no usage to be known."""
        found = _OPTIONS.match(text)
        assert found is not None
        before = [line for _, line in self.lines[max(0, self.at - 60) : self.at]]
        if found["prog"] and not any(line.lower().startswith("usage:") for line in before):
            self.at += 1
            return
        self._lines(Form.OPTIONS, 2 if text.startswith("FATAL Flags") else 1)

    def _lines(self, form: Form, most: int) -> None:
        begin = self.at
        told: list[str] = []
        while self.at < len(self.lines) and len(told) < most:
            text = self.lines[self.at][1]
            if told and (not text or text.endswith(HEADER) or text.startswith("=====")):
                break
            told.append(text)
            self.at += 1
        self._add(form, [Saying("\n".join(told))], begin)

    def _add(self, form: Form, sayings: list[Saying], begin: int, aside: bool = False) -> None:
        if sayings:
            last = self.lines[self.at - 1][0] + 1
            self.found.append(Block(form, tuple(sayings), self.lines[begin][0], last, self.rank, aside))


def find(lines: Sequence[Line]) -> list[Block]:
    """All blocks, in the order in which they end. Lines of different ranks do not belong together."""
    by_rank: dict[int | None, list[tuple[int, str]]] = {}
    for place, line in enumerate(lines):
        by_rank.setdefault(line.rank, []).append((place, line.text))
    found: list[Block] = []
    for rank, own in by_rank.items():
        found += _Parser(as_pythons(own), rank).read()
    return sorted(found, key=lambda block: (block.end, block.begin))


def with_rank(block: Block, rank: int | None) -> Block:
    return replace(block, rank=rank)
