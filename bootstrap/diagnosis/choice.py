"""Which of the blocks is the cause: primary before secondary, the engine's first rank before others, the last one.

A program that fails leaves many words, most of them of what the failure brought about: the other ranks' lost
connections, the launcher's own complaint. And a program that lives leaves words of failures that it survived. Here it
is decided which words count; what they mean is the rules' matter.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence

from ..values import dataclass
from .blocks import Block, Form, Saying
from .engines import RankFailure, as_block
from .last_words import is_noise, meaningful, quoted, speaks_of_an_error, was_overcome
from .machine import Machine
from .rules import RULES
from .rules.model import Rule
from .text import Line

_NEAR = 12  # lines that say something, after a block, with which it still is the end of its program
_FAR = 60
_BARE = 8  # of the last such lines, which are read one by one
_BUGS = frozenset(
    {"KeyError", "NameError", "AttributeError", "TypeError", "IndexError", "UnboundLocalError", "ZeroDivisionError"}
)
# Torch's and MindSpore's exceptions on Ascend, and those of extensions that are built: they only say that somebody has
# said it already.
_POINTS_ABOVE = re.compile(
    r"(?i)\b(?:error|exception)s? (?:is|are|was|were|has been) (?:reported|printed|shown) (?:as )?above"
    r"|^RuntimeError: Error (?:building extension|compiling objects)"  # the compiler's words stand there
)
_FROM_OUTSIDE = frozenset(
    {
        signal.SIGKILL,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGXCPU,
        signal.SIGXFSZ,
    }
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing that may be the cause: what was said, by whom, and the rule that knows it (None: any exception).

    ``after``: how many lines that say something its own rank wrote behind it.
    """

    block: Block
    saying: Saying
    rule: Rule | None
    facts: dict[str, str]
    after: int
    overcome: bool = False

    @property
    def secondary(self) -> bool:
        return self.rule is not None and self.rule.secondary

    @property
    def points_above(self) -> bool:
        """Whether it says nothing but that another place says it."""
        return self.rule is None and bool(_POINTS_ABOVE.search(self.saying.text))

    @property
    def of_devices(self) -> bool:
        """Whether it is about devices or the ranks' communication, and says what."""
        return self.rule is not None and not self.rule.vague and self.cause.startswith(("device-", "collective-"))

    @property
    def cause(self) -> str:
        if self.rule is not None:
            return self.rule.cause
        return "assertion" if self.saying.type == "AssertionError" else "python-exception"


def candidates(lines: Sequence[Line], blocks: Sequence[Block], machine: Machine) -> list[Candidate]:
    """Every block as a candidate, in the order of the log; those that say nothing to any rule and are no exception
    are left out.
    """
    counts = _Speech(lines)
    found = []
    for block in blocks:
        saying, rule, facts = _resolve(block, machine)
        if rule is None and block.form is not Form.TRACEBACK:
            continue
        before = lines[block.begin - 1].text if block.begin else ""
        behind = next((line.text for line in lines[block.end : block.end + 3] if not is_noise(line.text)), "")
        after = counts.after(block)
        overcome = block.aside or (after > 0 and was_overcome(before, behind))
        found.append(Candidate(block, saying, rule, facts, after, overcome))
    return found


def bare(lines: Sequence[Line], machine: Machine, blocks: Sequence[Block], rank: int | None = None) -> Candidate | None:
    """The last line by itself that a rule knows, among the few last ones that say anything at all; of the lines that
    are marked as the rank's, if any are.
    """
    inside = {place for block in blocks for place in range(block.begin, block.end) if lines[place].rank == block.rank}
    for place, line in reversed(meaningful(lines, _BARE, rank=rank)):
        if place in inside or not speaks_of_an_error(line.text):
            continue
        saying = _as_exception(line.text)
        for rule in RULES:
            facts = rule.matches(saying, Form.LINE, machine)
            if facts is None:
                continue
            at = re.search(rule.says, line.text, re.MULTILINE)
            if at is not None and quoted(line.text, at.start()):
                continue
            block = Block(Form.LINE, (saying,), place, place + 1, line.rank)
            return Candidate(block, saying, rule, facts, 0)
    return None


def choose(
    found: Sequence[Candidate], line: Candidate | None, first: RankFailure | None, death: int | None, machine: Machine
) -> Candidate | None:
    """The cause among the candidates; ``line`` is the bare one. ``death`` is the signal that ended the command."""
    fitting = [one for one in found if _fits(one, death)]
    if line is not None or not all(one.points_above for one in fitting):
        fitting = [one for one in fitting if not one.points_above]
    if any(one.of_devices for one in fitting):
        fitting = [one for one in fitting if one.rule is None or not one.rule.vague]
    if line is not None and not _fits(line, death):
        line = None
    primary = [one for one in fitting if not one.secondary]
    if first is not None:
        told = as_block(first)
        own = [one for one in primary if one.block.rank == first.rank]
        if primary and primary[-1].block.begin >= first.place:  # another attempt, behind the report
            return primary[-1]
        if told is not None and not own and first.error_file:
            own = [one for one in candidates([], [told], machine) if not one.secondary]
        if own:
            return own[-1]
        if line is not None and line.block.rank == first.rank and not line.secondary:
            return line
    near = [one for one in primary if one.after <= _NEAR]
    if near:
        # a shell that reads a carriage return stumbles over all that follows
        dos = [one for one in near if one.cause == "line-endings" and one.block.rank == near[-1].block.rank]
        return dos[-1] if dos and near[-1].block.form is Form.SHELL else near[-1]
    if line is not None and not line.secondary:
        return line
    if primary and primary[-1].after <= _FAR:
        return primary[-1]
    secondary = [
        one for one in fitting if one.secondary and one.rule is not None and one.rule.cause != "command-failed"
    ]
    own = [one for one in secondary if first is not None and one.block.rank == first.rank]
    return (own or secondary)[-1] if secondary else line


def _fits(one: Candidate, death: int | None) -> bool:
    """Whether what was said can have led to this end."""
    if one.overcome:
        return False
    if death is None:
        return True
    if death == signal.SIGINT:
        return one.cause == "interrupted"
    if death in _FROM_OUTSIDE:  # whoever was killed has had no time to say why
        return one.cause in ("rank-killed", "worker-killed", "shared-memory-full") and one.after <= _NEAR
    if one.block.form in (Form.TRACEBACK, Form.LINE, Form.SHELL):
        return one.after <= _NEAR
    return True


def _resolve(block: Block, machine: Machine) -> tuple[Saying, Rule | None, dict[str, str]]:
    """Which saying of a chain tells the cause: the final one if a rule knows it, else the nearest before it that one
    knows, the handling of which did not lead to a plain mistake in the program.
    """
    known = [_rule_of(saying, block.form, machine) for saying in block.sayings]
    final = block.sayings[-1]
    rule, facts = known[-1]
    if rule is not None and not rule.secondary:
        return final, rule, facts
    if rule is None and (final.handling and final.type in _BUGS):
        return final, None, {}
    for place in range(len(known) - 2, -1, -1):
        other, its_facts = known[place]
        if other is not None and not other.secondary:
            return block.sayings[place], other, its_facts
        if block.sayings[place].handling and block.sayings[place].type in _BUGS:
            break
    if rule is not None:  # secondary; an exception of the program's own beside it is what matters
        for place in range(len(known) - 2, -1, -1):
            if known[place][0] is None:
                return block.sayings[place], None, {}
    return final, rule, facts


def _rule_of(saying: Saying, form: Form, machine: Machine) -> tuple[Rule | None, dict[str, str]]:
    for rule in RULES:
        facts = rule.matches(saying, form, machine)
        if facts is not None:
            return rule, facts
    return None, {}


def _as_exception(text: str) -> Saying:
    """A line by itself as a saying; the name of an exception at its front is its type."""
    found = re.match(r"^(?:\S{0,20} )?(?P<type>(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:Error|Exception|Interrupt)): ", text)
    return Saying(text.strip(), found["type"].rpartition(".")[2] if found else "")


class _Speech:
    """How many lines that say something each rank wrote behind a place."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines

    def after(self, block: Block) -> int:
        count = 0
        for line in self._lines[block.end :]:
            if line.rank == block.rank and not is_noise(line.text):
                count += 1
                if count > _FAR:
                    break
        return count
