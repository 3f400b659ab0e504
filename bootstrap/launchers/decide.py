"""Which launcher a command is started with: the one that was asked for, unless the command is or calls one itself.

A launcher that is started through a launcher runs the whole training once for each slot, and one in a script that
nobody tells of the other nodes trains alone on each of them; both end with 0. So the command is looked at first:

- with an engine asked for, a command that is a launcher, or a script that calls one, runs as it is, once;
- ``auto`` tells the launcher that a script calls what it reads from the environment;
- ``direct`` leaves a script alone and warns, unless its flags name the nodes in a way that the launcher has given up:
  then the nodes are what is meant, and it is told of them as with ``auto``.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..job import Cluster
from ..values import dataclass
from . import calls
from .engines import direct
from .launcher import Call, Launcher
from .plan import Plan, Situation
from .table import AUTO, LAUNCHERS, named

_DIRECT = LAUNCHERS[direct.NAME]
_TOLD = "NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT"


@dataclass(frozen=True, slots=True)
class Decision:
    """The launcher, the call in the command that it is for, if there is one, and what a person should know of it."""

    launcher: Launcher
    call: Call | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def by_address(self) -> bool:
        """Whether node 0's address must be known, and not its name alone."""
        return self.launcher.by_address

    def plan(self, situation: Situation) -> Plan:
        """This node's plan."""
        if self.call is None:
            return self.launcher.plan(situation)
        if self.launcher.plan_for_call is None:
            return direct.plan(situation)
        return self.launcher.plan_for_call(situation, self.call)


def decide(
    asked: str, command: tuple[str, ...], cluster: Cluster, work_dir: str, environ: Mapping[str, str]
) -> Decision:
    """What ``asked`` (a launcher's name, or ``auto``) means for ``command``, which starts in ``work_dir``.

    Raises :class:`UsageError` for an unknown name.
    """
    found = calls.of_command(command, work_dir)
    call = found[0] if found else None
    if asked == AUTO:
        return _auto(command, cluster, work_dir, call)
    if asked == _DIRECT.name:
        return _direct(cluster, call, environ)
    if call is None:
        return Decision(named(asked))
    return _asked(named(asked), call)


def _auto(command: tuple[str, ...], cluster: Cluster, work_dir: str, call: Call | None) -> Decision:
    if call is None or not call.certain:
        from . import auto  # where nobody has named a launcher

        name, reason = auto.choose(command, cluster, work_dir)
        return Decision(LAUNCHERS[name], notes=(f"launcher {name}: {reason}",))
    row = LAUNCHERS.get(call.launcher, _DIRECT)
    if row.plan_for_call is None:
        told = _untold(call, row) if call.launcher else _stranger(call)
        return Decision(_DIRECT, warnings=told if cluster.size > 1 else ())
    return Decision(row, call, (f"launcher {row.name}: {_calls(call)}, which is told of the nodes by its variables",))


def _direct(cluster: Cluster, call: Call | None, environ: Mapping[str, str]) -> Decision:
    if call is None or cluster.size == 1:
        return Decision(_DIRECT)
    if not call.launcher:
        return Decision(_DIRECT, warnings=_stranger(call))
    row = LAUNCHERS[call.launcher]
    if call.says(*row.node_flags) or any(environ.get(name) for name in row.node_variables):
        return Decision(_DIRECT)
    if call.certain and row.plan_for_call and (flag := call.says(*row.old_flags)):
        why = f"with {flag}, which today's releases pass over: it is told of the nodes by its variables instead"
        more = f"BOOTSTRAP_LAUNCHER={row.name} has the nodes exchange the addresses of their fast interface, too"
        return Decision(row, call, warnings=(f"{_calls(call)} {why}; {more}",))
    return Decision(_DIRECT, warnings=_untold(call, row))


def _asked(row: Launcher, call: Call) -> Decision:
    if not call.certain:
        warning = (
            f"{call.where} names {_name(call)}: if it calls it, the whole training runs once for each slot; "
            "then set BOOTSTRAP_LAUNCHER=auto"
        )
        return Decision(row, warnings=(warning,))
    called = LAUNCHERS.get(call.launcher, _DIRECT)
    what = f"the command is {_name(call)} itself" if call.where == "the command" else _calls(call)
    warning = f"{what}: it is run as it is, and not through --launcher {row.name} once more for each slot"
    return Decision(called, call, warnings=(warning,))


def _untold(call: Call, row: Launcher) -> tuple[str, ...]:
    what = _calls(call) if call.certain else f"{call.where} names {_name(call)}"
    alone = f"{what}, and nothing tells it of the other nodes: each may train alone"
    if row.plan_for_call:
        return (f"{alone}; set BOOTSTRAP_LAUNCHER=auto (--launcher auto), or give it {_TOLD}",)
    if row is _DIRECT:
        return (f"{alone}; give it {_TOLD}",)
    own = f"set BOOTSTRAP_LAUNCHER={row.name} with the program itself as the command"
    return (f"{alone}; give it {_TOLD}, or {own}",)


def _stranger(call: Call) -> tuple[str, ...]:
    """A launcher that is not in the table, by its flags; most of them read the variables that we set."""
    flags = calls.OTHERS_FLAGS.get(call.words, ())
    if not flags or call.says(*flags):
        return ()
    what = _calls(call) if call.certain else f"{call.where} names {_name(call)}"
    return (
        f"{what}, and nothing tells it of the other nodes: each may train alone; give it {' and '.join(flags[:2])}"
        " ($NNODES, $NODE_RANK) with $MASTER_ADDR and $MASTER_PORT, or set BOOTSTRAP_LAUNCHER=torchrun with the"
        " program itself as the command",
    )


def _calls(call: Call) -> str:
    return f"{call.where} calls {_name(call)}" if call.where != "the command" else f"the command is {_name(call)}"


def _name(call: Call) -> str:
    return call.words.removeprefix("-m ")
