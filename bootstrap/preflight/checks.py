"""All checks of one job, in two rounds: what stands by itself, and what needs the listing of the sources."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from ..ground.argv import as_python
from ..job import CredentialsProvider, Endpoint, Job
from ..outputs.remote.target import Target as Published
from ..settings import Resolved
from ..storage.open import Stores
from ..storage.schemes import needs_keys, parse
from ..values import dataclass
from . import clock, command, devices, keys, limits, link, names, places, sources, targets
from .command import Command
from .findings import Finding
from .runner import Check, run
from .sources import Listing

DEADLINE = 20.0  # seconds for each round, of which most jobs need one or two
HIDDEN_ARCHIVE = "the code is an archive"
HIDDEN_PYTHON = "--requirements may install it"


@dataclass(frozen=True, slots=True)
class Subject:
    """A job with everything resolved. ``environ`` is the command's; ``endpoint`` raises what is wrong with it."""

    job: Job
    resolved: Resolved
    environ: Mapping[str, str]
    stores: Stores
    keys: CredentialsProvider
    endpoint: Callable[[], Endpoint]


def check(subject: Subject, *, deadline_s: float = DEADLINE) -> list[Finding]:
    """Everything about ``subject``, in at most twice ``deadline_s`` seconds."""
    listings: list[Listing] = []
    found = run(_first(subject, listings), deadline_s=deadline_s)
    known = tuple(listings)  # a source that is late adds nothing any more
    return found + run(_second(subject, known), deadline_s=deadline_s)


def _first(subject: Subject, listings: list[Listing]) -> list[Check]:
    job, chosen, stores = subject.job, subject.resolved.settings, subject.stores
    several, never = job.cluster.size > 1, threading.Event()
    wanted = sources.of_job(job, chosen)
    goals = targets.of_job(job, allow_undelivered=chosen.allow_undelivered)
    urls = [source.url for source in wanted] + [goal.url for goal in goals]
    remote = {url.bucket for url in urls if url.is_remote and needs_keys(url)}

    made = [Check("keys", partial(keys.check, subject.keys, needed=bool(remote)))]
    if remote:
        made.append(Check("clock", lambda: clock.check(subject.endpoint())))
        made.append(Check("dns-store", lambda: names.check_store(subject.endpoint(), remote, never)))
    for source in wanted:
        meant = subject.resolved.sources["code_direct"] != "default"
        made.append(Check("source", partial(_list, source, stores, job.command, meant, listings)))
    made += [Check("target", partial(targets.check, goal, stores)) for goal in goals]
    made.append(Check("dns-peers", partial(names.check_peers, job.cluster, never)))
    made.append(Check("interface", partial(link.check, subject.resolved, several_nodes=several)))
    made.append(Check("devices", partial(devices.check, job.cluster.slots, subject.environ)))
    made.append(Check("limits", partial(limits.check, subject.environ)))
    made.append(Check("directories", lambda: list(places.check(places.of_job(job)))))
    made.append(Check("tmpdir", partial(places.check_temporary, subject.environ)))
    return made


def _second(subject: Subject, listings: Sequence[Listing]) -> list[Check]:
    job, chosen = subject.job, subject.resolved.settings
    made = []
    if listings:
        made.append(Check("space", partial(sources.check_space, listings)))
    if job.delivered_outputs and chosen.resume != "never":
        made.append(Check("output-space", partial(_outputs_space, job, subject.stores)))
    missing = {source.name for source in sources.of_job(job, chosen)} - {listing.source.name for listing in listings}
    if job.command and not missing:  # what is wrong with a source has been told; nothing can be said of its files
        hidden = HIDDEN_ARCHIVE if any(listing.archive for listing in listings) else ""
        hidden = hidden or (HIDDEN_PYTHON if chosen.requirements else "")
        python = as_python(job.command) if chosen.launcher != "direct" else None  # which runs train.py by itself
        argv = (python.interpreter, *python.program) if python else job.command
        asked = Command(argv, job.work_dir, job.job_dir, subject.environ, listings, hidden)
        made.append(Check("command", partial(command.check, asked, subject.stores)))
    return made


def _list(
    source: sources.SourceToCheck, stores: Stores, argv: Sequence[str], meant: bool, listings: list[Listing]
) -> Sequence[Finding]:
    listing = sources.look(source, stores, command=argv, meant=meant)
    listings.append(listing)
    return [sources.told(listing)]


def _outputs_space(job: Job, stores: Stores) -> Sequence[Finding]:
    """What there is at the outputs' URLs to go on from, against the room for it."""
    sizes = {}
    for output in job.delivered_outputs:
        newest = (
            Published(stores, parse(output.url), stop=threading.Event())
            .contents(surely=True)
            .of_job(job.facts.job_id)
            .newest
        )
        if newest is not None:
            sizes[output.directory] = newest.size
    return sources.check_outputs_space(sizes)
