"""What one row of the launchers' table says: :class:`Launcher`, and of a command that calls the engine's own."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from ..values import dataclass
from .plan import Plan, Situation


class Starts(Enum):
    """Where the command, or the engine's own launcher with it, is started."""

    EVERY_NODE = "every node"
    NODE_0 = "node 0"
    """The other nodes stay until node 0 ends, so that the nodes must be able to talk to each other."""


class Ranks(Enum):
    """What fills the ranks of the processes, which tells to which node a rank belongs."""

    SLOTS = "slots"
    """The slots of node 0, then those of node 1, and so on: with one slot a node, the node is the rank."""
    RANK_TABLE = "rank table"
    """The platform's own table of accelerators."""
    NOTHING = "nothing"
    """There are no ranks: the engine hands out work wherever there is room."""


@dataclass(frozen=True, slots=True)
class Call:
    """A launcher that the command calls by itself.

    ``launcher`` is the engine's name in the table, empty for one that is not there; ``words`` how it is called, such
    as ``torchrun`` or ``-m torch.distributed.run``; ``where`` says in what, for messages. ``text`` is all that may
    hold its flags: the command, or the script around the call, since scripts put them together beforehand.
    ``certain`` is false for a name that is only mentioned.
    """

    launcher: str
    words: str
    where: str
    text: str
    certain: bool = True

    def says(self, *flags: str) -> str:
        """The first of ``flags`` that the text has, in either spelling (``--node_rank``, ``--node-rank``)."""
        text = self.text.replace("_", "-")
        for flag in flags:
            place = text.find(flag.replace("_", "-"))
            while place >= 0:
                before, after = text[place - 1 : place], text[place + len(flag) : place + len(flag) + 1]
                if (not before or before in " \t\n\"'(=") and (not after or after in " \t\n\"'=)\\"):
                    return flag
                place = text.find(flag.replace("_", "-"), place + 1)
        return ""


@dataclass(frozen=True, slots=True)
class Launcher:
    """One engine.

    ``help`` is what the setting says of it behind its name, if the name alone does not do; ``plan`` answers what this
    node has to do. ``imports`` are the packages whose import in a program tells ``auto`` that this engine is meant.
    ``by_address``: the engine wants node 0's address and cannot do with a name.

    ``calls`` are the ways in which people start the engine's processes themselves: the words that a command begins
    with (``torchrun``, ``ray start``), or ``-m MODULE``. Such a command is never started through a launcher once more;
    ``plan_for_call`` tells what is called what it reads from the environment, where it reads anything. ``node_flags``
    and ``node_variables`` are those by which a call knows of the nodes already; ``old_flags`` did so in an earlier
    release, and today's passes over them without a word.
    """

    name: str
    plan: Callable[[Situation], Plan]
    help: str = ""
    starts: Starts = Starts.EVERY_NODE
    ranks: Ranks = Ranks.SLOTS
    imports: tuple[str, ...] = ()
    by_address: bool = False
    calls: tuple[str, ...] = ()
    plan_for_call: Callable[[Situation, Call], Plan] | None = None
    node_flags: tuple[str, ...] = ()
    node_variables: tuple[str, ...] = ()
    old_flags: tuple[str, ...] = ()
