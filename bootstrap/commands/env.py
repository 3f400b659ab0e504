"""``bootstrap env``: what the platform's environment says of this job, for people, programs and shells.

    bootstrap env                                     in words
    bootstrap env --format json
    eval "$(bootstrap env --format sh)"               what `bootstrap run` would give the command, in this shell
    eval "$(bootstrap env --format sh --only removed)"

Secrets are shown by ``--only decrypted`` alone, which is for `eval` and never for a terminal's scrollback.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from ..job import Output
from ..launchers.engines import direct
from ..launchers.engines.direct import Variable
from ..network.interfaces import names
from ..peers.interface import chosen_interface
from ..reporting.console import Console
from ..reporting.prose import counted, origin
from ..storage.model.url import shown
from .support import here
from .support.here import Here

_SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("text", "json", "sh"), default="text")
    parser.add_argument(
        "--platform", metavar="NAME", help="read the environment as this platform's (default: the one that is detected)"
    )
    parser.add_argument(
        "--only",
        choices=("set", "removed", "decrypted"),
        help="with --format sh, only one kind: set (for the command), removed (it must not see them), decrypted"
        " (DLS_AES__NAME as NAME)",
    )


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if arguments.format == "sh" and arguments.only == "decrypted":
        _write(_exports(_decrypted(environ)))
        return 0
    found = here.look(environ, **({"platform": arguments.platform} if arguments.platform else {}))
    if arguments.format != "sh":
        told = _tell(found, environ)
        lines = [json.dumps(told, indent=2, ensure_ascii=False)] if arguments.format == "json" else _words(told)
        _write(map(here.masker(environ), lines))
        found.check()
        return 0
    if arguments.only != "removed":
        found.check()
        _write(_exports({variable.name: variable.value for variable in _variables(found, environ)}))
    elif found.trouble is not None:
        # The old function never failed, and scripts that call it under `set -e` rely on that.
        print(f"bootstrap env: nothing is removed: {found.trouble}", file=sys.stderr)
    if arguments.only != "set":
        _write(f"unset {name}" for name in found.facts.remove if _is_shell_name(name))
    return 0


def _variables(found: Here, environ: Mapping[str, str]) -> list[Variable]:
    facts, resolved = found.facts, found.resolved
    name = address = ""
    if facts.cluster.size > 1 or resolved.settings.interface:
        chosen = chosen_interface(resolved)
        if not chosen.loopback:
            name, address = chosen.name, chosen.address
    why = f"what {facts.platform} asks for"
    of_platform = [Variable(key, value, why) for key, value in facts.environ.items()]
    return of_platform + direct.environment(facts.cluster, environ, interface=name, address=address, interfaces=names())


def _decrypted(environ: Mapping[str, str]) -> dict[str, str]:
    from ..credentials.decrypt import decrypt_environment
    from ..credentials.hardening import harden
    from ..masking.registry import Secrets

    harden()
    return decrypt_environment(environ, Secrets(), Console(sys.stderr))


# --- for shells --------------------------------------------------------------------------------------------------


def _exports(variables: Mapping[str, str]) -> Iterator[str]:
    for name, value in variables.items():
        if _is_shell_name(name):
            yield f"export {name}={shlex.quote(value)}"


def _is_shell_name(name: str) -> bool:
    if _SHELL_NAME.fullmatch(name):
        return True
    print(f"bootstrap env: {name} is left alone: no shell can name it", file=sys.stderr)
    return False


def _write(lines: Iterator[str] | list[str]) -> None:
    """Lines on stdout as bytes: a variable may hold what is no text."""
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode("".join(f"{line}\n" for line in lines)))
    sys.stdout.buffer.flush()


# --- for people and programs -------------------------------------------------------------------------------------


def _tell(found: Here, environ: Mapping[str, str]) -> dict[str, Any]:
    facts = found.facts
    chosen, source = found.resolved.settings, found.resolved.sources
    cluster = facts.cluster
    names = ("code", "log", "job_dir", "log_file", "interface")
    inputs = [{"name": name, "url": shown(url), "source": source["input"]} for name, url in chosen.input]
    inputs += [{"name": item.name, "url": shown(item.url), "source": item.source} for item in facts.inputs]
    outputs = [Output(directory, url, source["output"]) for directory, url in chosen.output] + list(facts.outputs)
    return {
        "platform": facts.platform,
        "reason": facts.reason,
        "job_id": facts.job_id,
        "task_name": facts.task_name,
        "node_rank": None if found.trouble else cluster.node_rank,
        "role": None if found.trouble else cluster.me.role,
        "nodes": [
            {"rank": node.rank, "host": node.host, "port": node.port, "role": node.role}
            for node in ([] if found.trouble else cluster.nodes)
        ],
        "nodes_source": "" if found.trouble else cluster.source,
        "slots": cluster.slots,
        **{name: {"value": shown(getattr(chosen, name)), "source": source[name]} for name in names},
        "inputs": inputs,
        "outputs": [
            {
                "directory": item.directory,
                "url": shown(item.url),
                "source": item.source,
                "by_platform": item.by_platform,
            }
            for item in outputs
        ],
        "removed": list(facts.remove),
        "variables": [] if found.trouble else [variable._asdict() for variable in _variables(found, environ)],
        "notes": list(facts.notes),
        "warnings": list(facts.warnings),
        "trouble": str(found.trouble or ""),
    }


def _words(told: Mapping[str, Any]) -> Iterator[str]:
    def line(label: str, text: str) -> str:
        return f"{label:<11}{text}"

    yield line("platform", f"{told['platform']}, because {told['reason']}")
    if told["job_id"]:
        yield line("job", told["job_id"] + (f", task {told['task_name']}" if told["task_name"] else ""))
    if told["trouble"]:
        yield line("node", "not known, for the reason below")
    else:
        yield line("node", f"{told['node_rank']} of {len(told['nodes'])}, {told['role']} ({told['nodes_source']})")
    for node in told["nodes"] if len(told["nodes"]) > 1 else []:
        port = f":{node['port']}" if node["port"] else ""
        mine = "  <- this one" if node["rank"] == told["node_rank"] else ""
        yield line("", f"{node['rank']:>3}  {node['host']}{port}  {node['role']}{mine}")
    if told["slots"]:
        yield line("slots", f"{counted(told['slots'], 'process', 'processes')} a node")
    for name in ("code", "log", "job_dir", "log_file", "interface"):
        if told[name]["value"]:
            yield line(name.replace("_", " "), f"{told[name]['value']} ({origin(told[name]['source'])})")
    for item in told["inputs"]:
        yield line("input", f"{item['name']} <- {item['url']} ({origin(item['source'])})")
    for item in told["outputs"]:
        who = ", delivered by the platform" if item["by_platform"] else ""
        yield line(
            "output", f"{item['directory'] or 'a directory of ours'} -> {item['url']} ({origin(item['source'])}{who})"
        )
    for variable in told["variables"]:
        yield line("set", f"{variable['name']}={variable['value']} ({variable['why']})")
    for name in told["removed"]:
        yield line("removed", name)
    for kind in ("notes", "warnings"):
        for text in told[kind]:
            yield line(kind[:-1], text)
