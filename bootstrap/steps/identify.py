"""Step 1, identify: argv, environment and mounted files become one :class:`bootstrap.job.Job`."""

from __future__ import annotations

import fcntl
import os
import pwd
import stat
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from .. import __version__, settings
from ..credentials.registry import register_environment, register_words
from ..errors import BootstrapError, PathUnusable, UsageError
from ..job import Input, Job, Output, PlatformFacts, Sourced
from ..platforms import identify, salvage
from ..process.logfile import LogFile, parts
from ..settings import Resolved, Settings
from ..storage.url import parse, shown
from .run import Run

INSIDE = "BOOTSTRAP_INSIDE"
"""Set for the command to the run dir of the bootstrap that runs it."""


def step(run: Run) -> None:
    """Decide everything, and make the places where this run is told: log file, record, JSON lines.

    Whatever is wrong is raised only then, so that there is a log to say it in, and a place to deliver that to.
    """
    troubles: list[BootstrapError] = []
    _register_secrets(run)
    asked = run.options.get("platform") or run.environ.get(settings.variable("platform")) or None
    try:
        facts = identify(run.environ, name=str(asked) if asked else None)
    except BootstrapError as error:
        facts = salvage(run.environ)
        troubles.append(error)
    if run.environ.get(INSIDE):
        facts = inner(facts, run.environ[INSIDE])
    run.resolved = settings.resolve(run.options, run.environ, facts.defaults, problems=troubles)
    chosen, source = run.resolved.settings, run.resolved.sources
    run.console.quiet = chosen.quiet
    if chosen.banner:
        _banner(chosen, run.command)
    wanted = assemble(facts, run.resolved, run.command)
    job, moved = claim(wanted), ""
    if job is not wanted:
        moved = f"the log goes to {job.log_file}: {wanted.log_file} is the log of another run, which still goes on"
    log_file, refused = writable_log_file(job.log_file)
    if refused:
        moved = f"the log goes to {log_file}: {job.log_file} cannot be written ({refused})"
        troubles += _unwritable(job, source["log_file"], refused)
        job = replace(job, log_file=log_file, run_dir=job.run_dir if chosen.run_dir else _beside(log_file))
    run.job = job
    _open_records(run, job)

    nodes = f"node {facts.cluster.node_rank} of {facts.cluster.size}" if facts.cluster.size > 1 else "a single node"
    run.console.info(f"{facts.platform} ({facts.reason}), {nodes}")
    for note in (*facts.notes, *_left_to_the_platform(job)):
        run.console.info(note)
    for warning in (*facts.warnings, *([moved] if moved else [])):
        run.console.warning(warning)
    if run.record.attempt > 1:
        run.console.info(f"attempt {run.record.attempt}: an earlier run was here, what it left is kept")
    if troubles:
        raise troubles[0]
    if job.code:
        with run.fetching_code():
            check_url(job.code, job.code_source)
    check(job)


def inner(facts: PlatformFacts, outer_run_dir: str) -> PlatformFacts:
    """The facts for a bootstrap inside another one: an image's ENTRYPOINT and an old boot command, say.

    The outer one fetches and delivers for the platform; doing it twice would fetch over what has been fetched, and
    deliver half a log. What an option or a variable of its own asks for is still done.
    """
    defaults = {name: value for name, value in facts.defaults.items() if name in ("job_dir", "interface")}
    defaults["log_file"] = Sourced(os.path.join(outer_run_dir, f"inner-{os.getpid()}.log"), INSIDE)
    note = "another bootstrap runs this one: it fetches and delivers for the platform, and this one does not"
    return replace(facts, defaults=defaults, inputs=(), outputs=(), remove=(), notes=(note,))


def _left_to_the_platform(job: Job) -> list[str]:
    return [
        f"output {item.name or item.directory}: {item.directory} is delivered to {shown(item.url)} by the platform"
        for item in job.outputs
        if item.by_platform
    ]


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


def _open_records(run: Run, job: Job) -> None:
    """run.json and the JSON lines. A place that cannot be written costs the record, not the job."""
    try:
        run.record.place(Path(job.run_dir, "run.json"), job.facts.job_id)
        run.console.open_lines(Path(os.path.splitext(job.log_file)[0] + ".jsonl"))
    except OSError as error:
        run.console.warning(f"no run record on disk: {error}")
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
            name: {"value": "***" if knob.secret else _plain(getattr(run.resolved.settings, name)), "source": source}
            for name, knob, _ in settings.knobs()
            if (source := run.resolved.sources[name]) != "default"
        }
        if run.resolved
        else {},
    )


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [f"{left}={shown(url)}" for left, url in value]
    return shown(value) if isinstance(value, str) else value


def _beside(log_file: str) -> str:
    return os.path.splitext(log_file)[0] + ".run"


def assemble(facts: PlatformFacts, resolved: Resolved, command: Sequence[str]) -> Job:
    """What the platform says and what the user chose, as one job. Nothing is created, asked or checked yet."""
    chosen, source = resolved.settings, resolved.sources
    job_dir = os.path.abspath(chosen.job_dir or ".")
    work_dir = os.path.normpath(os.path.join(job_dir, chosen.work_dir))
    output_dir, outputs = _outputs(facts, chosen, source, work_dir)
    log_file = os.path.abspath(chosen.log_file or f"/tmp/bootstrap-task-{facts.cluster.node_rank}.log")
    return Job(
        facts=facts,
        command=tuple(command),
        job_dir=job_dir,
        work_dir=work_dir,
        run_dir=_of_node(chosen.run_dir, facts.cluster.node_rank) if chosen.run_dir else _beside(log_file),
        log_file=log_file,
        output_dir=output_dir,
        code=chosen.code,
        code_source=source["code"],
        inputs=tuple(_inputs(facts, chosen, source)),
        outputs=outputs,
        log=_log_directory(facts, chosen, source),
        log_source=source["log"],
    )


def _of_node(run_dir: str, rank: int) -> str:
    """A run dir that a person has named, which all nodes may have in common on a NAS: node N > 0 has a part of it."""
    return os.path.abspath(os.path.join(run_dir, f"node-{rank}") if rank else run_dir)


def _log_directory(facts: PlatformFacts, chosen: Settings, source: Mapping[str, str]) -> str:
    """The log URL; for node N > 0 ``URL/node-N/`` where a person has named the log file: all nodes have that one name
    then, and would overwrite each other, whereas the platforms' own names differ.
    """
    rank, own = facts.cluster.node_rank, facts.defaults.get("log_file")
    of_platform = own is not None and os.path.basename(chosen.log_file) == os.path.basename(own.value)
    if not chosen.log or rank == 0 or of_platform or not _by_person(source["log_file"]):
        return chosen.log
    return f"{chosen.log}{'' if chosen.log.endswith('/') else '/'}node-{rank}/"


def _by_person(log_file_source: str) -> bool:
    return log_file_source in (settings.option("log_file"), settings.variable("log_file"))


def claim(job: Job) -> Job:
    """``job``, with another log file and run dir where another run that still goes on has these.

    Two runs on one machine would take each other's log for an earlier attempt's, and deliver the wrong one.
    """
    if os.path.exists(job.log_file) and not os.path.isfile(job.log_file):  # /dev/null, which is everybody's
        return job
    (stem, suffix), number = os.path.splitext(job.log_file), 1
    while not _lock(job.run_dir):
        number += 1
        log_file = f"{stem}-{number}{suffix}"
        job = replace(job, log_file=log_file, run_dir=_beside(log_file))
    return job


def _lock(directory: str) -> bool:
    """Lock ``directory`` until this process ends. False only when another process has; where there can be no lock (a
    place that cannot be written, a NAS without locks) there is nobody to be known.
    """
    try:
        os.makedirs(directory, exist_ok=True)
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        return not isinstance(error, BlockingIOError)
    return True


def check(job: Job) -> None:
    """Raises :class:`UsageError` without a command, and the URL errors for a place that cannot be meant."""
    for url, said_by in _urls(job):
        check_url(url, said_by)
    if not job.command:
        raise UsageError("no command was given", remedy="write it behind --, such as: bootstrap run -- python train.py")


def check_url(url: str, said_by: str) -> None:
    """Raises the URL errors, with the option or variable that says ``url``."""
    try:
        parse(url)
    except BootstrapError as error:
        error.where = f"{said_by} = {error.where}" if error.where else said_by
        raise


def _register_secrets(run: Run) -> None:
    """What is given from outside is masked before the first word is said: an option that is refused quotes it."""
    words = list(run.command)
    warnings = register_environment(run.environ, run.secrets)
    for name, knob, _ in settings.knobs():
        if knob.secret and name in run.options:
            warnings.append(run.secrets.add(settings.option(name), str(run.options[name])))
    for value in run.options.values():
        words += [value] if isinstance(value, str) else [] if isinstance(value, bool) else value
    for warning in (*warnings, *register_words(words, run.secrets)):
        if warning:
            run.console.warning(warning)


def _urls(job: Job) -> list[tuple[str, str]]:
    urls = [(job.code, job.code_source), (job.log, job.log_source)]
    urls += [(item.url, item.source) for item in job.inputs]
    urls += [(item.url, item.source) for item in job.outputs]
    return [(url, source) for url, source in urls if url]


def _inputs(facts: PlatformFacts, chosen: Settings, source: Mapping[str, str]) -> list[Input]:
    given = [Input(name, url, name, source["input"]) for name, url in chosen.input]
    names = {item.name for item in given}
    return given + [item for item in facts.inputs if item.name not in names]


def _outputs(
    facts: PlatformFacts, chosen: Settings, source: Mapping[str, str], work_dir: str
) -> tuple[str, tuple[Output, ...]]:
    """The directory to tell the command of, and all outputs with absolute directories.

    ModelArts v1 names only a URL (DLS_TRAIN_URL): such an output gets a directory here, on the local cache disk when
    the platform names one (DLS_LOCAL_CACHE_PATH, since ``/`` holds only 10 to 50 GB there), else beside the job dir.
    """
    outputs = [Output(os.path.join(work_dir, directory), url, source["output"]) for directory, url in chosen.output]
    base = facts.scratch if facts.scratch and os.access(facts.scratch, os.W_OK) else os.path.dirname(work_dir)
    for output in facts.outputs:
        directory = os.path.join(work_dir, output.directory) if output.directory else os.path.join(base, "outputs")
        by_platform = output.by_platform and not chosen.platform_outputs
        outputs.append(Output(directory, output.url, output.source, output.name, by_platform))
    return (outputs[0].directory if outputs else ""), tuple(outputs)


def writable_log_file(wanted: str) -> tuple[str, str]:
    """``wanted``, or where it cannot be written a file of the same name in a directory of our own, and why."""
    try:
        prepare_log_file(Path(wanted))
    except OSError as error:
        refused = f"{error.strerror} as uid {os.getuid()}{_owner(os.path.dirname(wanted))}"
    else:
        return wanted, ""
    instead = os.path.join(tempfile.gettempdir(), f"bootstrap-{os.getuid()}", os.path.basename(wanted))
    try:
        prepare_log_file(Path(instead))
    except OSError:  # then nothing can be written here, and the console is all there is
        return os.devnull, refused
    return instead, refused


def _unwritable(job: Job, chosen_by: str, refused: str) -> list[BootstrapError]:
    """A path that a person chose must work. The platform's own default is only a default: a v1 boot command on v2
    used to end in "tee: ... Permission denied" (ModelArts FAQ on moving to the new version).
    """
    if not _by_person(chosen_by):
        return []
    where = f"{job.log_file}, from {chosen_by}"
    remedy = "choose another place with --log-file PATH"
    return [PathUnusable("the log file cannot be written", where=where, why=refused, remedy=remedy)]


def prepare_log_file(path: Path) -> None:
    """Make the file's directory, and set an earlier attempt's log aside: it may never have been delivered."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if len(parts(str(path))) > 1:  # killed with its log beyond the limit: its end is in files of their own
        LogFile(str(path)).close()
    if path.exists() and stat.S_ISREG(path.stat().st_mode) and path.stat().st_size:
        number = 1
        while (aside := path.with_name(f"{path.stem}.earlier-{number}{path.suffix}")).exists():
            number += 1
        path.rename(aside)
    path.open("ab").close()


def _owner(directory: str) -> str:
    try:
        found = os.stat(directory)
    except OSError:
        return f", {directory} is not there"
    return f", {directory} belongs to uid {found.st_uid}, mode {stat.S_IMODE(found.st_mode):o}"
