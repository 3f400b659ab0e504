"""What the platform says and what the user chose, as one :class:`~bootstrap.job.Job`. Nothing is asked or made."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from .ground import log_names
from .job import Input, Job, Output, PlatformFacts, Sourced
from .settings import Resolved, Settings
from .values import replace

INSIDE = "BOOTSTRAP_INSIDE"
"""Set for the command to the run dir of the bootstrap that runs it."""


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
        run_dir=_of_node(chosen.run_dir, facts) if chosen.run_dir else log_names.run_dir(log_file),
        log_file=log_file,
        output_dir=output_dir,
        code=chosen.code,
        code_source=source["code"],
        inputs=tuple(_inputs(facts, chosen, source)),
        outputs=outputs,
        log=_log_directory(facts, resolved),
        log_source=source["log"],
    )


def inner(facts: PlatformFacts, outer_run_dir: str) -> PlatformFacts:
    """The facts for a bootstrap inside another one: an image's ENTRYPOINT and an old boot command, say.

    The outer one fetches and delivers for the platform; doing it twice would fetch over what has been fetched, and
    deliver half a log. What an option or a variable of its own asks for is still done.
    """
    defaults = {name: value for name, value in facts.defaults.items() if name in ("job_dir", "interface")}
    defaults["log_file"] = Sourced(os.path.join(outer_run_dir, f"inner-{os.getpid()}.log"), INSIDE)
    note = "another bootstrap runs this one: it fetches and delivers for the platform, and this one does not"
    return replace(facts, defaults=defaults, inputs=(), outputs=(), remove=(), notes=(note,))


def _of_node(run_dir: str, facts: PlatformFacts) -> str:
    """A run dir that a person has named, which all nodes may have in common on a NAS: node N > 0 has a part of it."""
    return os.path.abspath(os.path.join(run_dir, log_names.own_directory(facts)))


def _log_directory(facts: PlatformFacts, resolved: Resolved) -> str:
    """The log URL; for node N > 0 ``URL/node-N/`` where a person has named the log file: all nodes have that one name
    then, and would overwrite each other, whereas the platforms' own names differ. They do not where the platform knows
    of one node only.
    """
    chosen, own = resolved.settings, log_names.own_directory(facts)
    default = facts.defaults.get("log_file")
    of_platform = default is not None and os.path.basename(chosen.log_file) == os.path.basename(default.value)
    if not chosen.log or not own or (not facts.apart and (of_platform or not resolved.by_person("log_file"))):
        return chosen.log
    return os.path.join(chosen.log, own)


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
