"""All outputs of a run, from the look at their targets to the last delivery: what the steps hold in hand.

connect begins it, fetch restores, launch starts it, deliver ends it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ..errors import BootstrapError, NothingThere, PathUnusable, PermissionDenied, TargetTaken
from ..ground.log_names import own_directory
from ..ground.safe_files import replace_own
from ..ground.side_by_side import both, side_by_side
from ..job import Ending, Input, Job, Log, Output, StopRequest
from ..settings import Settings
from ..storage.common.file_errors import existing, rights
from ..storage.common.workers import TransferStopped
from ..storage.open import Stores
from ..storage.schemes import parse
from ..values import dataclass, field
from . import final, nested
from .delivery import Delivery, Empty
from .live import Live
from .local.empty import noted
from .publisher import Publisher
from .remote.contents import Contents
from .remote.fence import new_claim, put_claim
from .remote.manifest import HOME, Claim
from .remote.shelf import Options
from .remote.target import Target
from .resume.on_disk import left_unfinished, newest_on_disk
from .resume.restore import restore
from .resume.resumed import Resumed
from .resume.stage import finish_interrupted

RESUME_FROM = "BOOTSTRAP_RESUME_FROM"
"""In the command's environment: the path of the checkpoint to go on from."""

RESUME_FILE = "BOOTSTRAP_RESUME_FILE"
"""The file that tells more of it, as JSON."""

_MOST_VERSIONS = 1000


@dataclass
class Session:
    """``resumed`` is what :meth:`restore` has found, by output."""

    publishers: list[Publisher]
    live: Live
    chosen: Settings
    job: str
    log: Log
    stores: Stores
    run_dir: str
    work_dir: str
    resumed: list[Resumed] = field(default_factory=list)

    @classmethod
    def begin(cls, job: Job, chosen: Settings, stores: Stores, stop: StopRequest, log: Log) -> Session:
        """Look at every target, claim it, and so prove that it can be written: a wrong bucket or key, or a directory
        that is closed to us, must fail now and not after the training; an outage is waited for.

        Raises what the store's answer means, :class:`PathUnusable`, :class:`UsageError` for two outputs at one
        place, and :class:`TargetTaken` where --existing-outputs says so.
        """
        outputs = job.delivered_outputs
        nested.check([(output, parse(output.url)) for output in outputs])

        def begin(output: Output) -> Publisher | BootstrapError:
            try:
                return _begin_one(output, job, chosen, stores, stop, log)
            except BootstrapError as error:
                return error

        begun = side_by_side([partial(begin, output) for output in outputs])
        publishers = [one for one in begun if isinstance(one, Publisher)]
        for error in (one for one in begun if isinstance(one, BootstrapError)):
            if not chosen.allow_undelivered:
                _withdraw(publishers, log)
                raise error
            log.warning(f"an output will not be delivered, as --allow-undelivered permits: {error}")
        nested.keep_apart(publishers, log)
        live = Live(publishers, interval=chosen.output_interval, stop=stop, log=log)
        return cls(publishers, live, chosen, job.facts.job_id, log, stores, job.run_dir, job.work_dir)

    # --- fetch ---

    def restore(self, stop: StopRequest) -> None:
        """Bring back what the command can go on from. Raises :class:`NothingThere` with ``--resume require``."""
        for publisher in self.publishers:
            finish_interrupted(publisher.root, self.log)
        if self.chosen.resume == "never":
            return
        for number, publisher in enumerate(self.publishers):
            found = self._restore(publisher, stop)
            if found is None and number == 0 and self.chosen.resume_from:
                found = self._restore_other(publisher, stop)
            if found is not None:
                self.resumed.append(found)
        self.resumed.sort(key=lambda one: one.saved, reverse=True)
        if not self.resumed:
            if self.chosen.resume == "require":
                raise NothingThere(
                    "there is no complete checkpoint to resume from",
                    where=", ".join(str(each.target.url) for each in self.publishers) or "no output was given",
                    why="--resume require was given",
                    remedy="see bootstrap outputs URL; leave --resume out for a first attempt",
                )
            if any(each.contents.checkpoints or each.target.blind for each in self.publishers):
                self.log.warning("the command starts from the beginning")
            return
        self._write(self.resumed[0])

    def _restore(self, publisher: Publisher, stop: StopRequest) -> Resumed | None:
        contents = publisher.contents.of_job(self.job)
        if contents.checkpoints:
            publisher.compare_clocks()
        others = {claim.job for claim in publisher.contents.claims} - {self.job, publisher.claim.job}
        for other in sorted(others):
            remedy = f"--resume-from {publisher.target.url} takes it"
            self.log.warning("not resumed from: these results are another job's", job=other or "(none)", remedy=remedy)
        reread = partial(_of_job, publisher.target, self.job)
        return restore(publisher, contents, reread=reread, same_job=True, stop=stop, log=self.log)

    def _restore_other(self, publisher: Publisher, stop: StopRequest) -> Resumed | None:
        url = parse(self.chosen.resume_from).as_directory()
        target = Target(self.stores, url, stop=stop)
        contents = target.contents(surely=True)
        if contents.newest is None:
            raise NothingThere(
                "there is no complete checkpoint to resume from",
                where=f"--resume-from = {url}",
                why="; ".join(f"{one.path} lacks {', '.join(one.missing)}" for one in contents.checkpoints[:3]),
                remedy=f"see bootstrap outputs {url}",
            )
        other = Publisher(publisher.output, target, publisher.options, publisher.claim, self.log, contents)
        reread = partial(target.contents, surely=True)
        return restore(other, contents, reread=reread, same_job=False, stop=stop, log=self.log)

    def expect_fetch(self, job: Job) -> bool:
        """Whether the code, or an input, comes into an output: then that has to be there first, since it is newer than
        what an earlier attempt has delivered of it, whatever the files' times say.
        """
        places = [os.path.join(job.job_dir, item.directory) for item in job.inputs]
        if job.code:
            places += [job.job_dir, os.path.join(job.job_dir, os.path.basename(parse(job.code).path.rstrip("/")))]
        for publisher in self.publishers:
            root = os.path.join(os.path.realpath(publisher.root), "")
            if any(os.path.join(os.path.realpath(place), "").startswith(root) for place in places):
                publisher.fetched_since = publisher.clock.file_system_now()
        return any(publisher.fetched_since is not None for publisher in self.publishers)

    def has(self, item: Input, job_dir: str) -> bool:
        """Whether the input is one of the outputs, of which an earlier attempt's come back, or nothing is there yet."""
        for publisher in self.publishers:
            output, target = publisher.output, publisher.target
            same = os.path.join(job_dir, item.directory) == output.directory
            same = same and parse(item.url).as_directory() == parse(output.url).as_directory()
            if same and (publisher.contents.claims or not _holds(target)):
                self.log.info("an input is an output, too, which --resume brings back", input=item.name)
                return True
        return False

    def environment(self) -> dict[str, str]:
        """What the command is told of it."""
        if not self.resumed:
            return {}
        return {RESUME_FROM: self.resumed[0].path, RESUME_FILE: self._file}

    def on_disk(self, ending: Ending | None = None) -> dict[str, str]:
        """The same for a command that is started again in this container: what is on the disk by now is newer. Not what
        it may have been at work on when it ended, by ``ending``.
        """
        found = list[Resumed]()
        for publisher in self.publishers:
            doubtful = left_unfinished(publisher, ending) if ending is not None else {}
            for path, why in doubtful.items():
                self.log.warning(f"not resumed from: {path}: {why}")
            one = newest_on_disk(publisher, doubtful)
            if one is not None:
                found.append(one)
        if found:
            newest = max(found, key=lambda one: one.saved)
            self.resumed = [newest]
            self._write(newest)
        return self.environment()

    @property
    def _file(self) -> str:
        return os.path.join(self.run_dir, "resume.json")

    def _write(self, resumed: Resumed) -> None:
        try:
            os.makedirs(self.run_dir, exist_ok=True)
            replace_own(self._file, json.dumps(resumed.told(), indent=1).encode())
        except OSError as error:
            self.log.warning(f"the command is not told more of its checkpoint: {error}")

    def withdraw(self, stop: StopRequest) -> None:
        """The command never ran: nothing of this attempt is there, and nothing stays of the proof that it could be."""
        for publisher in self.publishers:
            publisher.target.stop = stop
        _withdraw(self.publishers, self.log)

    # --- launch, deliver ---

    def start(self) -> None:
        for publisher in self.publishers:
            publisher.target.stop = self.live.halt  # a request to stop is no reason to stop sending
        self.live.start()

    def deliver(
        self, ending: Ending, empty: Empty, stop: StopRequest, seconds_left: Callable[[], float]
    ) -> Iterator[Delivery]:
        """The rest of each output, and its manifest; a delivery each, as it ends. ``seconds_left``: until ``stop``."""
        keep = self._first_to_go() if seconds_left() < float("inf") else None
        if not self.live.finish(stop, keep=keep):
            self.log.warning("the outputs' thread hangs in the store, and is left behind")
        for publisher in self.publishers:
            publisher.target.stop = stop
            delivery = final.deliver(publisher, ending=ending, stop=stop, seconds_left=seconds_left)
            yield noted(delivery, self.work_dir, empty)

    def _first_to_go(self) -> str:
        """The path of the newest checkpoint: if it is on its way already, it is not begun again."""
        for publisher in self.publishers:
            newest = newest_on_disk(publisher)
            if newest is not None:
                return newest.checkpoint
        return ""


def _of_job(target: Target, job: str) -> Contents:
    return target.contents(surely=True).of_job(job)


def _begin_one(output: Output, job: Job, chosen: Settings, stores: Stores, stop: StopRequest, log: Log) -> Publisher:
    where = f"{output.source} = {output.url}"
    url = parse(output.url).as_directory()
    if job.cluster.size == 1 and own_directory(job.facts):  # it may be one of several: then its place is its own
        url = url.child(own_directory(job.facts))
    try:
        target = Target(stores, url, stop=stop)
        target.may_be_blind = log
        contents, holds = both(partial(_look, target, job.cluster.node_rank, log), partial(_holds, target))
        if target.blind is not None and (needed := _why_it_must_see(job, chosen)):
            raise target.blind.replace(why=f"{needed}, for which the target has to be listed; {target.blind.why}")
        target, contents = _existing(target, contents, holds, job, chosen, where, log)
        options = Options(
            node=job.cluster.node_rank,
            nodes=job.cluster.size,
            shared=chosen.shared_outputs,
            job=job.facts.job_id,
            links=chosen.links,
            globs=chosen.checkpoint,
            keep=chosen.keep_checkpoints,
            rate=chosen.output_rate,
        )
        claim = new_claim(
            contents.claims, node=options.node, nodes=options.nodes, job=options.job, blind=target.blind is not None
        )
        claim = _claim(target, claim)
    except BootstrapError as error:
        raise error.replace(where=f"{where}: {error.where}" if where not in error.where else error.where) from error
    return Publisher(output, target, options, claim, log, contents)


def _why_it_must_see(job: Job, chosen: Settings) -> str:
    """Why it is not enough that the key may write."""
    if job.cluster.size > 1:
        return "several nodes find each other's parts of a checkpoint"
    if chosen.existing_outputs != "warn":
        return f"--existing-outputs {chosen.existing_outputs} was given"
    return "--resume require was given" if chosen.resume == "require" and not chosen.resume_from else ""


def _look(target: Target, node: int, log: Log) -> Contents:
    """What is there; only which attempts there were where the key may write and list, and not read."""
    if not target.url.is_remote:
        there = existing(target.url.path)
        if os.path.isdir(there) and not os.access(there, os.W_OK | os.X_OK):
            why = f"no right to write; {rights(there)}"
            raise PathUnusable("an output cannot be delivered", where=str(target.url), why=why)
    try:
        return target.contents(surely=True)
    except NothingThere:
        return Contents()
    except PermissionDenied as error:
        log.warning(
            f"cannot look at the target of an output, and go on: {error.why}; what an earlier attempt left is not seen",
            target=str(target.url),
        )
        return Contents(claims=target.claims(node), unreadable=((HOME, error.why),))


def _existing(
    target: Target, contents: Contents, holds: list[str], job: Job, chosen: Settings, where: str, log: Log
) -> tuple[Target, Contents]:
    """What --existing-outputs says about a target that ``holds`` something that is not this job's."""
    mine = [claim for claim in contents.claims if claim.job == job.facts.job_id]
    if contents.claims and len(mine) == len(contents.claims):
        log.info("an earlier attempt of this job has outputs there", target=str(target.url), attempt=contents.attempt)
        return target, contents
    if target.blind is not None:  # that is said
        return target, contents
    if not holds and not contents.claims:
        log.info("the target of an output answers and is empty", target=str(target.url))
        return target, contents
    whose = _newest_of_others(contents, job.facts.job_id)
    what = f"holds results of another job ({whose})" if whose else "is not empty"
    if chosen.existing_outputs == "refuse":
        raise TargetTaken(
            f"the target of an output {what}",
            where=where,
            why=_listed(holds),
            remedy="choose another URL, or --existing-outputs",
        )
    if chosen.existing_outputs == "version":
        return _version(target, job.facts.job_id, log)
    log.warning(
        f"the target of an output {what}: files of the same names will be replaced",
        target=str(target.url),
        holds=_listed(holds),
    )
    return target, contents


def _version(target: Target, job: str, log: Log) -> tuple[Target, Contents]:
    """The directory below that is this job's already, or the first that is nobody's."""
    for number in range(2, _MOST_VERSIONS):
        below = target.below(f"run-{number}/")
        contents = below.contents(surely=True)
        if all(claim.job == job for claim in contents.claims) and (contents.claims or not _holds(below)):
            log.info("the outputs go to a directory of their own", target=str(below.url))
            return below, contents
    raise TargetTaken("no directory is free", where=str(target.url))


def _holds(target: Target) -> list[str]:
    try:
        found = target.asking(lambda: target.store.children(target.base))
    except (NothingThere, PermissionDenied):
        return []
    return [name for name in found if name != ".bootstrap/"]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _newest_of_others(contents: Contents, job: str) -> str:
    others = [claim.job or "without an id" for claim in contents.claims if claim.job != job]
    return others[-1] if others else ""


def _withdraw(publishers: Sequence[Publisher], log: Log) -> None:
    """Not of one of several nodes: the others' commands may have begun, and know the attempt by it."""
    for publisher in publishers:
        if publisher.options.nodes == 1:
            try:
                publisher.target.delete([publisher.claim.key])
            except (BootstrapError, TransferStopped) as error:
                log.debug(f"the claim of an attempt that never ran stays: {error}")


def _claim(target: Target, claim: Claim) -> Claim:
    """The first word that is written there: where that is refused, so would be the results."""
    claim = put_claim(target, claim)
    target.hold(claim.key)
    return claim
