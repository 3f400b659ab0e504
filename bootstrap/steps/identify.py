"""Step 1, identify: argv, environment and mounted files become one :class:`bootstrap.job.Job`."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import __version__, settings
from ..assemble import INSIDE, assemble, inner
from ..credentials.environment import register_environment, register_words
from ..errors import BootstrapError, PathUnusable, PlatformIncomplete, UsageError
from ..ground import log_names
from ..job import Job
from ..peers.group import need_to_meet
from ..platforms import known
from ..process.output.place import apart_from_our_output, free_log_file, safe_run_dir, writable_log_file
from ..process.stop.plan import StopPlan
from ..reporting.prose import origin
from ..results import Asked, Decided
from ..run import Run, bringing_code
from ..settings import Resolved, Settings
from ..storage.destination import check_filled_in, destination
from ..storage.model.url import shown
from ..storage.schemes import check_ready, parse
from ..values import replace


def step(run: Run, asked: Asked) -> Decided:
    """Decide everything, and make the places where this run is told: log file, record, JSON lines.

    Whatever is wrong is among the troubles of what is returned, so that there is a log to say it in, and a place to
    deliver that to: :func:`check` raises it.
    """
    troubles: list[BootstrapError] = []
    _register_secrets(run, asked)
    environ = asked.variables.environ
    name = asked.options.get("platform") or environ.get(settings.variable("platform")) or None
    facts, trouble = known(environ, name=str(name) if name else None)
    troubles += [trouble] if trouble else []
    if environ.get(INSIDE):
        facts = inner(facts, environ[INSIDE])
    resolved = settings.resolve(asked.options, environ, facts.defaults, problems=troubles)
    chosen = resolved.settings
    run.console.quiet, run.show_tracebacks = chosen.quiet, chosen.traceback
    run.plan = StopPlan(chosen.grace)
    if chosen.banner:
        _banner(chosen, asked.command)
    job, moved = _with_places(assemble(facts, resolved, asked.command), resolved, troubles)
    run.log_file = Path(job.log_file)
    _open_records(run, job, resolved)

    nodes = f"node {facts.cluster.node_rank} of {facts.cluster.size}" if facts.cluster.size > 1 else "a single node"
    run.console.info(f"{facts.platform} ({facts.reason}), {nodes}")
    if not resolved.by_person("log_file"):
        run.console.info(f"log: {job.log_file}, record: {os.path.join(job.run_dir, 'run.json')}")
    for note in (*facts.notes, *_left_to_the_platform(job)):
        run.console.info(note)
    for warning in (*asked.variables.warnings, *resolved.warnings, *facts.warnings, *moved):
        run.console.warning(warning)
    if not job.outputs and (idle := _of_outputs(resolved, _MEANS_OUTPUTS)) and not environ.get(INSIDE):
        run.console.warning(f"no output is ordered (--output DIR=URL), so that nothing comes of {', '.join(idle)}")
    if run.record.attempt > 1:
        run.console.info(f"attempt {run.record.attempt}: an earlier run was here, what it left is kept")
    return Decided(asked, resolved, job, tuple(troubles))


def check(decided: Decided) -> None:
    """Raises the first trouble, :class:`UsageError` without a command, URL errors for a place that cannot be meant."""
    job = decided.job
    if decided.troubles:
        raise decided.troubles[0]
    if job.facts.no_peers and (need := need_to_meet(decided.resolved)):
        raise PlatformIncomplete(
            f"{need} needs the other nodes, and none is known", where=job.facts.platform, why=job.facts.no_peers
        )
    if job.code:
        with bringing_code():
            check_url(job.code, job.code_source)
    for output in job.delivered_outputs:
        check_filled_in(output.directory, output.source)
        destination(output.url, output.source)
    for url, said_by in _urls(job):
        check_url(url, said_by)
    if not job.outputs and (wanted := _of_outputs(decided.resolved, _NEEDS_OUTPUTS)) and not _is_inner(decided):
        raise UsageError(
            f"{wanted[0]} needs an output, and none is ordered",
            remedy="order it with --output DIR=URL (BOOTSTRAP_OUTPUT), or leave this out",
        )
    if not job.command:
        raise UsageError("no command was given", remedy="write it behind --, such as: bootstrap run -- python train.py")


_NEEDS_OUTPUTS = ("resume_from", "require_outputs")
_MEANS_OUTPUTS = ("checkpoint", "keep_checkpoints", "existing_outputs", "shared_outputs", "output_rate")


def _of_outputs(resolved: Resolved, names: Sequence[str]) -> list[str]:
    """Which of the settings ``names`` a person has set, by what said so; and ``--resume require``, which needs one."""
    said = [name for name in names if resolved.by_person(name) and getattr(resolved.settings, name)]
    if names is _NEEDS_OUTPUTS and resolved.settings.resume == "require":
        said.append("resume")
    return [resolved.sources[name] for name in said]


def _is_inner(decided: Decided) -> bool:
    """Whether another bootstrap runs this one, whose outputs are not this one's and whose settings are."""
    return bool(decided.asked.variables.environ.get(INSIDE))


def _with_places(wanted: Job, resolved: Resolved, troubles: list[BootstrapError]) -> tuple[Job, list[str]]:
    """``wanted`` with a log file and a run dir that this run can have, and what there is to say of that.

    A path that a person chose must work. The platform's own default is only a default: a v1 boot command on v2 used to
    end in "tee: ... Permission denied" (ModelArts FAQ on moving to the new version).
    """
    moved = []
    if wanted.log:
        try:
            destination(wanted.log, wanted.log_source)
        except BootstrapError as error:  # nothing is to be delivered there, this word of it included
            troubles.append(error)
            wanted = replace(wanted, log="")
    for name in ("log_file", "stderr_file", "run_dir"):
        try:
            if resolved.by_person(name):
                _check_file(name, getattr(resolved.settings, name), resolved.sources[name])
        except BootstrapError as error:
            troubles.append(error)
            default = wanted.facts.defaults.get("log_file")
            unnamed = default.value if default is not None else "/tmp/bootstrap.log"
            wanted = replace(wanted, log_file=unnamed, run_dir=log_names.run_dir(unnamed))
    apart, ours = apart_from_our_output(wanted.log_file)
    if ours:
        moved.append(f"the log goes to {apart}, and not to {wanted.log_file}: {ours}")
        run_dir = wanted.run_dir if resolved.settings.run_dir else log_names.run_dir(apart)
        wanted = replace(wanted, log_file=apart, run_dir=run_dir)
    log_file, run_dir = free_log_file(wanted.log_file, wanted.run_dir, named=bool(resolved.settings.run_dir))
    if log_file != wanted.log_file:
        moved.append(f"the log goes to {log_file}: {wanted.log_file} is the log of another run, which still goes on")
    writable, refused = writable_log_file(log_file)
    if refused:
        place = writable if writable != log_file else "the console, and its newest part to the log URL if there is one"
        moved = [f"the log goes to {place}: {log_file} cannot be written ({refused})"]
        if resolved.by_person("log_file"):
            where = f"{log_file}, {origin(resolved.sources['log_file'])}"
            remedy = "choose another place with --log-file PATH"
            troubles.append(PathUnusable("the log file cannot be written", where=where, why=refused, remedy=remedy))
        run_dir = run_dir if resolved.settings.run_dir else log_names.run_dir(writable)
    run_dir, planted = safe_run_dir(run_dir, named=bool(resolved.settings.run_dir))
    if planted:
        moved.append(f"not used: {planted}")
        if resolved.settings.run_dir:
            remedy = "choose another place with --run-dir DIR"
            troubles.append(PathUnusable("the run dir cannot be used", where=planted, remedy=remedy))
    return replace(wanted, log_file=writable, run_dir=run_dir), moved


def _check_file(name: str, path: str, said_by: str) -> None:
    """Raises what is wrong with a path of the run's own that a person has chosen, by its words alone."""
    check_filled_in(path, said_by)
    if path.endswith("/") and name != "run_dir":
        remedy = f"give the file's name as well, such as {path}bootstrap.log"
        raise PathUnusable("a file is wanted, and this is a directory", where=f"{said_by} = {path}", remedy=remedy)


def check_url(url: str, said_by: str) -> None:
    """Raises the URL errors, and :class:`SupportMissing`, with the option or variable that says ``url``."""
    try:
        check_ready(parse(url))
    except BootstrapError as error:
        raise error.replace(where=f"{said_by} = {error.where}" if error.where else said_by) from error


def _urls(job: Job) -> list[tuple[str, str]]:
    urls = [(job.code, job.code_source), (job.log, job.log_source)]
    urls += [(item.url, item.source) for item in job.inputs]
    urls += [(item.url, item.source) for item in job.outputs]
    return [(url, source) for url, source in urls if url]


def _left_to_the_platform(job: Job) -> list[str]:
    return [
        f"output {item.name or item.directory}: {item.directory} is delivered to {shown(item.url)} by the platform"
        for item in job.outputs
        if item.by_platform
    ]


def _register_secrets(run: Run, asked: Asked) -> None:
    """What is given from outside is masked before the first word is said: an option that is refused quotes it."""
    words = list(asked.command)
    warnings = register_environment(asked.variables.environ, run.secrets)
    for name, knob, _ in settings.knobs():
        if knob.secret and name in asked.options:
            warnings.append(run.secrets.add(settings.option(name), str(asked.options[name])))
    for value in asked.options.values():
        words += [value] if isinstance(value, str) else [] if isinstance(value, bool) else value
    for warning in (*warnings, *register_words(words, run.secrets)):
        if warning:
            run.console.warning(warning)


def _banner(chosen: Settings, command: Sequence[str]) -> None:
    """What run_train.sh printed on stdout before the command, for those who search old and new logs alike."""
    uid = os.getuid()
    try:
        name = f"({pwd.getpwuid(uid).pw_name})"
    except KeyError:  # any uid may run a container
        name = ""
    lines = [
        f"user: uid={uid}{name} gid={os.getgid()}",
        f"pwd: {os.getcwd()}",
        f"app_url: {shown(chosen.code)}",
        f"log_url: {chosen.log_file}",
        f"command: {' '.join(command)}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _open_records(run: Run, job: Job, resolved: Resolved) -> None:
    """run.json and the JSON lines. A place that cannot be written costs the record, not the job."""
    try:
        run.record.place(Path(job.run_dir, log_names.RECORD), job.facts.job_id)
    except OSError as error:
        run.console.warning(f"no run record on disk: {error}")
    try:
        run.console.open_lines(Path(log_names.lines(job.log_file)))
    except OSError as error:
        run.console.warning(f"our messages are not kept as JSON lines: {error}")
    run.record.update(
        versions={"bootstrap": __version__, "python": sys.version.split()[0]},
        machine={"host": os.uname().nodename, "kernel": os.uname().release, "architecture": os.uname().machine},
        platform={"name": job.facts.platform, "reason": job.facts.reason, "job_id": job.facts.job_id},
        node={"rank": job.cluster.node_rank, "size": job.cluster.size, "hosts": [n.host for n in job.cluster.nodes]},
        command=list(job.command),
        user_id=os.getuid(),
        job_dir=job.job_dir,
        work_dir=job.work_dir,
        log_file=job.log_file,
        code=shown(job.code),
        log=shown(job.log),
        inputs={item.name: shown(item.url) for item in job.inputs},
        outputs=[{"directory": item.directory, "url": shown(item.url)} for item in job.outputs],
        settings={
            name: {"value": "***" if knob.secret else _plain(getattr(resolved.settings, name)), "source": source}
            for name, knob, _ in settings.knobs()
            if (source := resolved.sources[name]) != "default"
        },
    )


def _plain(value: object) -> object:
    if isinstance(value, tuple):  # pairs, or words
        return [f"{one[0]}={shown(one[1])}" if isinstance(one, tuple) else shown(one) for one in value]
    return shown(value) if isinstance(value, str) else value
