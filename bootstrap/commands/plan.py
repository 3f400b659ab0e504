"""``bootstrap plan [OPTIONS] -- COMMAND``: what `bootstrap run` would do here, with nothing fetched or started.

    bootstrap plan --code obs://bucket/mnist/ --log obs://bucket/logs/ -- python mnist/train.py
    bootstrap plan --launcher torchrun --format json -- train.py

The same as `bootstrap run --plan`, and with the arguments of `bootstrap run`. Stores are listed, for the sizes; secrets
are masked. Answers with the exit code of what would keep the job from its start, 0 if nothing would.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from threading import Event
from typing import Any

from .. import settings
from ..errors import BootstrapError
from ..ground.plain_text import plain, plain_document
from ..launchers import around
from ..peers.interface import needed_interface
from ..preflight import sources
from ..preflight.findings import Finding
from ..preflight.runner import Check
from ..preflight.runner import run as run_checks
from ..process.command.resolve import shown as shown_command
from ..process.command.resolve import without_redirections
from ..reporting.console import Silence
from ..reporting.prose import counted, origin
from ..steps.launch import situation_of
from ..storage.common.units import readable
from ..storage.model.url import shown
from .support import beforehand
from .support.beforehand import Beforehand
from .support.job_arguments import ALONE, add_settings

__all__ = ["ALONE", "add_arguments", "main"]

SCHEMA = 1
_DEADLINE = 20.0  # seconds for the listings
_NAMES = 5.0  # seconds for addresses that a launcher wants


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("text", "json"), default="text")
    add_settings(parser)


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    found = beforehand.look(arguments, environ)
    troubles = list(found.troubles)
    told = _masked(plain_document(_tell(found, troubles)), found.mask)
    if getattr(arguments, "format", "text") == "json":
        print(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        sys.stdout.write("".join(f"{plain(line)}\n" for line in _words(told)))
    return troubles[0].code if troubles else 0


def _masked(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {name: _masked(item, mask) for name, item in value.items()}
    return [_masked(item, mask) for item in value] if isinstance(value, list | tuple) else value


# --- everything, as values ----------------------------------------------------------------------------------------


def _tell(found: Beforehand, troubles: list[BootstrapError]) -> dict[str, Any]:
    job, cluster = found.decided.job, found.decided.job.cluster
    launch = _launch(found, troubles) if job.command else {}
    return {
        "schema": SCHEMA,
        "platform": {"name": job.facts.platform, "reason": job.facts.reason, "job_id": job.facts.job_id},
        "node": {"rank": cluster.node_rank, "size": cluster.size, "hosts": [node.host for node in cluster.nodes]},
        "places": {"job_dir": job.job_dir, "work_dir": job.work_dir, "run_dir": job.run_dir, "log_file": job.log_file},
        "fetch": _fetches(found, troubles),
        "deliver": [
            {
                "what": output.name or output.directory,
                "from": output.directory,
                "to": shown(output.url),
                "source": output.source,
                "by": "platform" if output.by_platform else "bootstrap",
            }
            for output in job.outputs
        ]
        + ([{"what": "log", "from": job.log_file, "to": shown(job.log), "source": job.log_source, "by": "bootstrap"}]
           if job.log else []),
        **launch,
        "settings": {
            name: {
                "value": "***" if knob.secret and getattr(found.decided.settings, name)
                else _value(getattr(found.decided.settings, name)),
                "source": found.decided.resolved.sources[name],
            }
            for name, knob, _ in settings.knobs()
        },
        "warnings": list(found.warnings),
        "troubles": [{"id": one.id, "code": one.code, "text": str(one)} for one in troubles],
    }  # fmt: skip


def _fetches(found: Beforehand, troubles: list[BootstrapError]) -> list[dict[str, Any]]:
    """What is fetched, listed now: where from, where to, files and bytes (None: the store did not say)."""
    job, resolved = found.decided.job, found.decided.resolved
    if found.troubles:
        return []  # a URL or a setting that cannot be meant
    wanted = sources.of_job(job, resolved.settings)
    listings: dict[str, sources.Listing] = {}
    meant = resolved.sources["code_direct"] != "default"

    def look(source: sources.SourceToCheck) -> list[Finding]:
        listings[source.name] = sources.look(source, found.access.stores, command=job.command, meant=meant)
        return []

    checks = [Check(source.name, lambda source=source: look(source)) for source in wanted]  # type: ignore[misc]  # mypy knows no defaults of lambdas
    said = run_checks(checks, deadline_s=_DEADLINE)
    troubles += [one.error for one in said if one.error is not None]
    by = {"code": job.code_source, **{f"input {item.name}": item.source for item in job.inputs}}
    made = []
    for source in wanted:
        listing = listings.get(source.name)
        made.append(
            {
                "what": source.name,
                "from": shown(str(source.url)),
                "to": listing.root if listing else source.directory,
                "source": by[source.name],
                "files": len(listing.plan.files) if listing else None,
                "bytes": listing.plan.bytes if listing else None,
                "unpacked": bool(listing and listing.archive),
            }
        )
    return made


def _launch(found: Beforehand, troubles: list[BootstrapError]) -> dict[str, Any]:
    """The launcher, the exact command line of this node, and what changes in the command's environment."""
    decided, job, before = found.decided, found.decided.job, found.decided.asked.environ
    several = job.cluster.size > 1
    try:
        interface = needed_interface(decided.resolved, several_nodes=several)
        launcher, plan = around.make_plan(
            decided.settings.launcher,
            situation_of(job, interface, found.environ),
            job.work_dir,
            deadline_s=_NAMES,
            stop=Event(),
            log=Silence(),
        )
    except BootstrapError as error:
        troubles.append(error)
        return {"launcher": decided.settings.launcher, "command": list(job.command), "environment": {}}
    after = around.environment(plan, found.environ, several_nodes=several, log=Silence())
    why = {variable.name: variable.why for variable in plan.variables}
    why.update({gone.name: gone.why for gone in plan.remove})
    changed = {name: value for name, value in sorted(after.items()) if before.get(name) != value}
    return {
        "launcher": launcher,
        "interface": {"name": interface.name, "address": interface.address, "reason": interface.reason}
        if interface
        else None,
        "command": list(without_redirections(plan.command)[0]) if plan.command else [],
        "command_line": shown_command(plan.command, found.mask) if plan.command else "",
        "beside": list(plan.beside),
        "files": [file.path for file in plan.files],
        "environment": {
            "set": {name: {"value": value, "why": why.get(name, "")} for name, value in changed.items()},
            "removed": {name: why.get(name, "") for name in sorted(before) if name not in after},
        },
    }


def _value(value: object) -> object:
    if isinstance(value, tuple):
        return [f"{item[0]}={shown(item[1])}" if isinstance(item, tuple) else item for item in value]
    return shown(value) if isinstance(value, str) else value


# --- in words -----------------------------------------------------------------------------------------------------


def _words(told: Mapping[str, Any]) -> Iterator[str]:
    def line(label: str, text: str) -> str:
        return f"{label:<11}{text}"

    platform, node = told["platform"], told["node"]
    yield line("platform", f"{platform['name']}, because {platform['reason']}")
    yield line("node", f"{node['rank']} of {node['size']}" if node["size"] > 1 else "a single node")
    for name, path in told["places"].items():
        yield line(name.replace("_", " "), path)
    for one in told["fetch"]:
        size = (
            "size not known" if one["files"] is None else f"{counted(one['files'], 'file')}, {readable(one['bytes'])}"
        )
        unpacked = ", unpacked" if one["unpacked"] else ""
        yield line("fetch", f"{one['what']}: {one['from']} -> {one['to']} ({size}{unpacked}; {origin(one['source'])})")
    for one in told["deliver"]:
        by = ", by the platform" if one["by"] == "platform" else ""
        yield line("deliver", f"{one['what']}: {one['from']} -> {one['to']} ({origin(one['source'])}{by})")
    if "launcher" in told:
        yield line("launcher", told["launcher"])
        if told.get("interface"):
            yield line("interface", "{name} {address} ({reason})".format(**told["interface"]))
        yield line("command", told.get("command_line") or " ".join(told["command"]) or "none: node 0 runs it for all")
        if told.get("beside"):
            yield line("beside", " ".join(told["beside"]))
        for name, one in told["environment"].get("set", {}).items():
            yield line("set", f"{name}={one['value']}{f' ({why})' if (why := one['why']) else ''}")
        for name, reason in told["environment"].get("removed", {}).items():
            yield line("removed", f"{name}{f' ({reason})' if reason else ''}")
    for name, one in told["settings"].items():
        if one["source"] != "default":
            value = "; ".join(map(str, one["value"])) if isinstance(one["value"], list) else one["value"]
            yield line("setting", f"{name} = {value} ({origin(one['source'])})")
    defaults = sum(one["source"] == "default" for one in told["settings"].values())
    yield line("setting", f"{defaults} more by default (--format json lists them)")
    for text in told["warnings"]:
        yield line("warning", text)
    for one in told["troubles"]:
        yield line("trouble", f"{one['text']} [{one['id']}, exit {one['code']}]")
