"""``bootstrap manifest job.yaml``: a GPU manager's job file, checked, as a Volcano Job on stdout.

    bootstrap manifest job.yaml                                       to look at
    bootstrap manifest --nas my-claim job.yaml | kubectl create -f -  to start

The bootstrap is the entry point of each container: the images need the runtime.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from ..errors import UsageError
from ..rehearsal import jobfile, manifest

_CLAIM = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="job.yaml", type=Path, help="what `vcctl job create -f` takes")
    parser.add_argument(
        "--nas", metavar="CLAIM[:PATH]", help="the NAS's volume claim, and where it is mounted (default: /nfs/testdata)"
    )
    parser.add_argument(
        "--plain-jobs", action="store_true", help="Kubernetes' own Jobs, with a podFailurePolicy for our exit codes"
    )
    parser.add_argument("--queue", metavar="NAME", default="", help="Volcano's queue (default: its own default)")
    parser.add_argument(
        "--bootstrap",
        metavar="PATH",
        default=manifest.BOOTSTRAP,
        help="path of the bootstrap in the images (default: %(default)s)",
    )
    parser.add_argument("--format", choices=("yaml", "json"), default="yaml")


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    claim, _, path = (arguments.nas or "").partition(":")
    if arguments.nas is not None and not _CLAIM.fullmatch(claim):
        raise UsageError(f"--nas {arguments.nas}: {claim!r} is no name of a volume claim", remedy="say CLAIM[:PATH]")
    if path and not path.startswith("/"):
        raise UsageError(f"--nas {arguments.nas}: the path must be absolute")
    job = jobfile.read(arguments.job)
    for warning in job.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for task in job.tasks:
        if not task.command:
            print(f"warning: task {task.name} has no command: its image's own runs, without us", file=sys.stderr)
        if task.working_dir and not claim:
            print(
                f"warning: {task.working_dir} of task {task.name} needs --nas where it is on the NAS", file=sys.stderr
            )
    path = path or "/nfs/testdata"
    make = manifest.kubernetes_jobs if arguments.plain_jobs else partial(manifest.volcano_job, queue=arguments.queue)
    made = make(job, nas_claim=claim, nas_path=path, bootstrap=arguments.bootstrap)
    if arguments.format == "json":
        print(json.dumps(made, indent=2, ensure_ascii=False))
        return 0
    import yaml  # the job file has been read with it

    print(yaml.safe_dump(made, sort_keys=False, allow_unicode=True), end="")
    return 0
