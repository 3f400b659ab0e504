"""``bootstrap outputs``: what the URL of an output holds, and whether it is complete.

    bootstrap outputs obs://bucket/models/                     checkpoints and attempts
    bootstrap outputs --verify obs://bucket/models/            every byte read and compared with the manifests
    bootstrap outputs --fetch latest ./here obs://bucket/models/   the newest complete checkpoint, all nodes' files

Exit code 0 when there is a complete checkpoint or a complete run, 111 when there is nothing at all, 206 when nothing is
complete, or when what was read is damaged. docs/outputs.md has the rule.
"""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from ..errors import BootstrapError, NothingThere, OutputsUndelivered
from ..masking.registry import Secrets
from ..outputs.remote import reading
from ..outputs.remote.contents import Contents, WholeCheckpoint
from ..outputs.remote.target import Target
from ..outputs.resume.restore import fetch_one
from ..storage.common.units import readable
from ..storage.model.url import shown
from ..storage.schemes import parse
from .support.stderr_log import StderrLog
from .support.stores import add_store_options, open_stores, store_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="an output's URL: obs://, s3://, file:// or a path")
    parser.add_argument("--verify", action="store_true", help="read all that is complete, and compare the digests")
    parser.add_argument(
        "--fetch",
        nargs=2,
        metavar=("WHICH", "DIR"),
        help="bring one into DIR, verified: latest, or the path of a checkpoint",
    )
    parser.add_argument("--format", choices=("table", "json"), default="table")
    add_store_options(parser)


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    arguments.secrets = secrets = Secrets()  # for whoever tells how it ended
    log = StderrLog(secrets, quiet=arguments.format == "json")
    stores = open_stores(environ, secrets, log, **store_options(arguments))
    stop = threading.Event()
    url = parse(arguments.url)
    if not url.is_remote and not url.local.exists():
        raise NothingThere("there are no outputs", where=arguments.url, why="no such directory")
    target = Target(stores, url, stop=stop)
    contents = target.contents(surely=True)
    if not (contents.checkpoints or contents.claims or contents.runs):
        raise NothingThere("there are no manifests of outputs", where=shown(arguments.url), why=_without(target))
    verified = None
    if arguments.verify:
        contents, verified = reading.verify_all(target, contents, stop)
    if arguments.format == "json":
        print(json.dumps(reading.as_json(shown(arguments.url), contents, verified), indent=1))
    else:
        print("\n".join(reading.table(contents, verified)))
    if arguments.fetch:
        _fetch(target, arguments.fetch[0], Path(arguments.fetch[1]), stop, log)
    return _verdict(contents, verified)


def told(url: str, environ: Mapping[str, str], job: str) -> list[str]:
    """The table for ``url``, and in words where a next attempt of ``job`` would begin; for who has rehearsed it."""
    secrets = Secrets()
    try:
        target = Target(
            open_stores(environ, secrets, StderrLog(secrets, quiet=True)), parse(url), stop=threading.Event()
        )
        contents = target.contents(surely=True)
    except BootstrapError as error:
        return [f"cannot be looked at: {error}"]
    newest = contents.of_job(job).newest
    if newest is None:
        others = "" if contents.newest is None else ": what is complete there is another job's"
        return [*reading.table(contents, None), f"a next attempt would start from the beginning{others}"]
    wrong = reading.verify(target, [newest], threading.Event())[newest.identity]
    verdict = (
        f"could not use it, since it is damaged ({wrong})" if wrong else f"would resume from {newest.path}, verified"
    )
    return [*reading.table(contents, None), f"a next attempt {verdict}"]


def _fetch(target: Target, which: str, directory: Path, stop: threading.Event, log: StderrLog) -> None:
    choose = partial(_chosen, which=which, target=target)
    one, files, size = fetch_one(target, choose, directory, stop, log)
    log.info("fetched", files=files, size=readable(size), checkpoint=one.path, to=str(directory))


def _chosen(contents: Contents, which: str, target: Target) -> WholeCheckpoint:
    found = [one for one in contents.checkpoints if which in ("latest", one.path)]
    complete = [one for one in found if one.complete]
    if complete:
        return complete[0]
    why = f"{found[0].path} is there without {', '.join(found[0].missing)}" if found else "there is none of that name"
    raise NothingThere("there is no such complete checkpoint", where=f"{which} in {target.url}", why=why)


def _verdict(contents: Contents, verified: Mapping[tuple[str, int, int], str] | None) -> int:
    damaged = [why for why in (verified or {}).values() if why]
    if damaged:
        return OutputsUndelivered.code
    ended = any(contents.run_complete(claim.attempt) for claim in contents.claims)
    return 0 if contents.newest is not None or ended else OutputsUndelivered.code


def _without(target: Target) -> str:
    names = [name for name in target.store.children(target.base) if name != ".bootstrap/"]
    if not names:
        return "the place is empty"
    return f"it holds {', '.join(names[:3])}, of which nobody has said whether it is complete"
