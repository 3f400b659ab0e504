"""Every knob, once: its name, type, default, environment variable and help, and where its value came from.

A setting is a field of :class:`Settings`. Its option is the name with dashes (``--job-dir``), its variable the name
in capitals behind ``BOOTSTRAP_`` (``BOOTSTRAP_JOB_DIR``; never ``MA_``, which ModelArts keeps for itself). The first
of these that is there wins: option, variable, what the platform says, the default. An empty variable counts as not
set, since consoles cannot unset one.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from .errors import BootstrapError, UsageError
from .ground import surroundings
from .job import MOST_OBJECTS, Sourced
from .values import dataclass, field, fields

PREFIX = "BOOTSTRAP_"


# --- parsers: text -> value; a ValueError's text becomes the message -----------------------------------------------


def _text(value: str) -> str:
    return value


def flag(value: str) -> bool:
    """``1 true yes on`` and ``0 false no off``, in any case."""
    lowered = value.strip().lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    if lowered in ("0", "false", "no", "off"):
        return False
    raise ValueError("say 1 or 0 (or true/false, yes/no, on/off)")


def switch(value: str) -> str:
    """``auto``, or a flag: ``yes`` or ``no``."""
    if value.strip().lower() == "auto":
        return "auto"
    try:
        return "yes" if flag(value) else "no"
    except ValueError:
        raise ValueError("say auto, yes or no") from None


def _seconds(value: str) -> float:
    """Seconds, or with a unit: ``30``, ``1.5``, ``10m``, ``2h``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)?", value.strip().lower())
    if not found:
        raise ValueError("say a number of seconds, or one with s, m, h or d behind it, such as 90 or 10m")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400, None: 1}[found[2]]


def byte_count(value: str) -> int:
    """Bytes, or with a binary unit: ``65536``, ``512M``, ``1GiB``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?", value.strip().lower())
    if not found:
        raise ValueError("say a number of bytes, or one with K, M, G or T behind it, such as 512M")
    return int(float(found[1]) * 1024 ** " kmgt".index(found[2] or " "))


def _count(value: str) -> int:
    if not re.fullmatch(r"\d+", value.strip()):
        raise ValueError("say a whole number, 0 or more")
    return int(value)


def _auto_or_few(value: str) -> str:
    if value != "auto" and not (value.isascii() and value.isdecimal() and int(value) <= 16):
        raise ValueError("say auto, or a whole number between 0 and 16")
    return value


def _exit_code(value: str) -> int:
    number = _count(value)
    if number > 255:
        raise ValueError("an exit code is between 0 and 255")
    return number


def _signal(value: str) -> str:
    """A signal that can be sent and caught, by its name: ``TERM``, ``SIGUSR1``."""
    name = value.strip().upper().removeprefix("SIG")
    if name in ("KILL", "STOP") or f"SIG{name}" not in signal.Signals.__members__:
        raise ValueError("say a signal's name, such as TERM, INT or USR1")
    return name


def _port(value: str) -> int:
    number = _count(value)
    if not 0 < number < 65536:
        raise ValueError("a port is between 1 and 65535")
    return number


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError(f"say one of {', '.join(choices)}")
        return value

    return parse


def _pair(value: str) -> tuple[str, str]:
    """``LEFT=URL``; the first ``=`` divides, so that a URL may hold others."""
    left, divider, url = value.partition("=")
    if not (left and divider and url):
        raise ValueError("say it as NAME=URL (an output: DIR=URL), such as data=obs://bucket/data/")
    if re.search(r"[,\s]\s*[^=,\s/:]+\s*=\s*(?:\w+://|/)", url):
        raise ValueError(
            "these are several: give each an option of its own; in a variable, ; or a new line divides them"
        )
    return left, url


# Whoever copies a file never pays for the tables of platforms and launchers: what needs them is found when it is asked.


def _launcher(value: str) -> str:
    from .launchers import AUTO, LAUNCHERS

    return _one_of(AUTO, *LAUNCHERS)(value)


def _launchers() -> str:
    from .launchers import choices

    return choices()


def _platforms() -> str:
    from .platforms import choices

    return f"{choices()}; detected if not given"


# --- the table --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Knob:
    """What :class:`Settings` keeps of a field beside its value."""

    group: str
    told: str | Callable[[], str]
    parse: Callable[[str], Any]
    metavar: str
    example: str = ""
    """A value as somebody would write it; none for a flag."""
    many: bool = False
    secret: bool = False
    """Its value is never shown anywhere, only where it came from."""

    @property
    def help(self) -> str:
        return self.told if isinstance(self.told, str) else self.told()


def _knob(
    group: str,
    default: Any,
    parse: Callable[[str], Any],
    metavar: str,
    help: str | Callable[[], str],
    example: str = "",
    many: bool = False,
    secret: bool = False,
) -> Any:
    return field(default=default, metadata={"knob": Knob(group, help, parse, metavar, example, many, secret)})


_RUN, _PLACES, _LOG, _OUTPUTS = "What to run", "Where it runs", "The log", "Outputs"
_NODES, STORE, _STOP = "Several nodes", "The object store", "Stopping"


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one run, resolved. Durations in seconds, sizes in bytes; ``None`` and ``""`` mean not given."""

    # fmt: off
    code: str = _knob(
        _RUN, "", _text, "URL",
        "Fetch the code from URL: a directory (ends with /), one file, or a .tar, .tar.gz, .tgz or .zip",
        example="obs://bucket/mnist/")
    code_direct: bool = _knob(
        _RUN, False, flag, "",
        "Put the code directly into the job directory, not into JOB_DIR/<last directory of the URL>/")
    unpack: bool = _knob(
        _RUN, True, flag, "",
        "Unpack a code URL that is a single archive")
    input: tuple[tuple[str, str], ...] = _knob(
        _RUN, (), _pair, "NAME=URL",
        "Fetch data into JOB_DIR/NAME (or NAME, if absolute); repeatable",
        example="data=obs://bucket/mnist-data/", many=True)
    code_failure_exit: int = _knob(
        _RUN, 0, _exit_code, "CODE",
        "Exit with CODE when the code cannot be fetched (run_train.sh: 127; 0: the cause's own code)", example="127")
    conda_env: str = _knob(
        _RUN, "", _text, "NAME",
        "Run the command in this conda environment (a name or a directory); no shell is involved", example="pytorch")
    venv: str = _knob(
        _RUN, "", _text, "DIR",
        "Run the command in this virtual environment; no shell is involved", example="/opt/venv")
    requirements: bool = _knob(
        _RUN, False, flag, "",
        "Install the code's pip-requirements.txt or requirements.txt before the command starts")
    pty: str = _knob(
        _RUN, "auto", switch, "WHEN",
        "Give the command a terminal of its own: auto (if we have one), yes (its output always has one) or no",
        example="no")
    line_buffered: bool = _knob(
        _RUN, True, flag, "",
        "Make a program that is not Python write line by line (stdbuf, where the image has it); given explicitly, also"
        " all that a shell script starts, which slows its pipelines")
    pass_credentials: str = _knob(
        _RUN, "yes", _text, "WHICH",
        "Keys the command receives: yes (all), no, or variable names separated by commas",
        example="S3_ACCESS_KEY_ID,S3_SECRET_ACCESS_KEY")
    preflight: Literal["quick", "full", "off"] = _knob(
        _RUN, "quick", _one_of("quick", "full", "off"), "WHAT",
        "Check before the fetch what would fail: quick (memory, limits), full (all of bootstrap doctor) or off",
        example="full")
    max_restarts: int = _knob(
        _RUN, 0, _count, "N",
        "Restart a command that can resume up to N times, with back-off, when its failure is worth a retry",
        example="3")

    platform: str = _knob(
        _PLACES, "", _text, "NAME", _platforms,
        example="volcano")
    job_dir: str = _knob(
        _PLACES, "", _text, "DIR",
        "Put the code here (default: the platform's directory, else the current one)", example="/cache/job")
    work_dir: str = _knob(
        _PLACES, "", _text, "DIR",
        "Start the command here (default: the job directory)", example="/cache/job/mnist")
    run_dir: str = _knob(
        _PLACES, "", _text, "DIR",
        "Keep our own files here, such as run.json (default: NAME.run beside the log file)", example="/tmp/mnist.run")

    log: str = _knob(
        _LOG, "", _text, "URL",
        "Upload the log and the run record to this directory", example="obs://bucket/logs/")
    log_file: str = _knob(
        _LOG, "", _text, "PATH",
        "Keep the log in this file (default: the platform's, else one in /tmp)", example="/cache/mnist.log")
    log_interval: float = _knob(
        _LOG, 10.0, _seconds, "SECONDS",
        "Upload new log output every SECONDS (0: once, at the end)", example="30s")
    log_limit: int = _knob(
        _LOG, 1 << 30, byte_count, "BYTES",
        "Keep at most BYTES of log: its head and its tail, with the gap stated (0: no limit)", example="1G")
    compact_log: bool = _knob(
        _LOG, False, flag, "",
        "Thin out progress bars in the log; the console still shows them all")
    stderr_file: str = _knob(
        _LOG, "", _text, "PATH",
        "Write stderr to this file as well; console and log still have it", example="/cache/mnist.err")
    lang: Literal["auto", "en", "zh"] = _knob(
        _LOG, "auto", _one_of("auto", "en", "zh"), "LANGUAGE",
        "Language of reasons and hints: en, zh, or auto (zh where LC_ALL or LANG says so)", example="zh")
    termination_log: str = _knob(
        _LOG, "/dev/termination-log", _text, "PATH",
        "Write the reason of a failure there, if the file exists (Kubernetes shows it as the pod's message)",
        example="/dev/termination-log")
    sample_interval: float = _knob(
        _LOG, 10.0, _seconds, "SECONDS",
        "Note CPU, memory, disks, network and accelerators every SECONDS while the command runs (0: never)",
        example="30s")
    bundle: Literal["on-failure", "always", "off"] = _knob(
        _LOG, "on-failure", _one_of("on-failure", "always", "off"), "WHEN",
        "Put all that explains the end into one archive beside the log: on-failure, always or off", example="always")
    report: bool = _knob(
        _LOG, False, flag, "",
        "Deliver a page that shows the whole run (bootstrap report) beside the log at the end")
    quiet: bool = _knob(
        _LOG, False, flag, "",
        "Print only warnings and errors of our own")
    banner: bool = _knob(
        _LOG, False, flag, "",
        "Print the lines that run_train.sh printed before the command")
    traceback: bool = _knob(
        _LOG, False, flag, "",
        "Print tracebacks of our own failures")

    output: tuple[tuple[str, str], ...] = _knob(
        _OUTPUTS, (), _pair, "DIR=URL",
        "Keep URL up to date with DIR (relative to the working directory), and complete at the end; repeatable",
        example="out=obs://bucket/models/", many=True)
    output_interval: float = _knob(
        _OUTPUTS, 60.0, _seconds, "SECONDS",
        "Upload what is new in the outputs every SECONDS (0: only at the end)", example="5m")
    output_rate: int = _knob(
        _OUTPUTS, 0, byte_count, "BYTES",
        "Upload at most BYTES of outputs a second while the command runs (0: no limit)", example="50M")
    checkpoint: tuple[str, ...] = _knob(
        _OUTPUTS, (), _text, "GLOB",
        "Publish files or directories like this, relative to the output, as a whole; repeatable",
        example="run-*/state", many=True)
    keep_checkpoints: int = _knob(
        _OUTPUTS, 0, _count, "N",
        "Keep the N newest complete checkpoints of each kind at the URL and remove older ones (0: keep all)",
        example="3")
    resume: str = _knob(
        _OUTPUTS, "auto", _one_of("auto", "never", "require"), "WHEN",
        "Bring the newest complete checkpoint of an earlier attempt back: auto (if there is one), never or require",
        example="require")
    resume_from: str = _knob(
        _OUTPUTS, "", _text, "URL",
        "Begin with another job's newest complete checkpoint, where this job has none itself",
        example="obs://bucket/other-job/models/")
    existing_outputs: str = _knob(
        _OUTPUTS, "warn", _one_of("warn", "refuse", "version"), "WHAT",
        "If a URL holds results that are not this job's: warn, refuse, or use URL/run-N/ (version)",
        example="refuse")
    links: Literal["follow", "all", "record", "skip"] = _knob(
        _OUTPUTS, "follow", _one_of("follow", "all", "record", "skip"), "WHAT",
        "Symbolic links in outputs: follow (within the directory), all (follow them anywhere), record (as"
        " NAME.rclonelink, which a fetch makes a link again) or skip",
        example="record")
    shared_outputs: bool = _knob(
        _OUTPUTS, False, flag, "",
        "Let all nodes deliver to the same URL (default: node N > 0 delivers to URL/node-N/)")
    platform_outputs: bool = _knob(
        _OUTPUTS, False, flag, "",
        "Also deliver the outputs that the platform syncs itself (MA_OUTPUTS)")
    allow_undelivered: bool = _knob(
        _OUTPUTS, False, flag, "",
        "Treat outputs that could not be delivered as a warning, not as a failure")
    require_outputs: bool = _knob(
        _OUTPUTS, False, flag, "",
        "Fail (exit 206) when the command succeeds and has left nothing in an output's directory")

    launcher: str = _knob(
        _NODES, "direct", _launcher, "NAME", _launchers,
        example="torchrun")
    interface: str = _knob(
        _NODES, "", _text, "NAME",
        "Network interface between the nodes, or an address on it (default: ib0, bond0, the default route's)",
        example="eth0")
    barrier: bool = _knob(
        _NODES, False, flag, "",
        "Start the command only when every node has fetched its code and data")
    on_peer_failure: str = _knob(
        _NODES, "stop", _one_of("stop", "ignore"), "WHAT",
        "stop or ignore, when the command fails on another node (in a job whose nodes meet)", example="ignore")
    share_fetch: str = _knob(
        _NODES, "auto", _one_of("auto", "yes", "no"), "WHEN",
        "Fetch what all nodes need from the store once, and from node to node otherwise: yes, no, or auto (256 MiB "
        "and more, in a job whose nodes meet by port)", example="yes")
    meet: str = _knob(
        _NODES, "auto", _one_of("auto", "port", "store", "no"), "HOW",
        "How nodes exchange addresses: port, store (through the log URL), no, or auto (by port, when needed)",
        example="store")
    meet_port: int = _knob(
        _NODES, 29499, _port, "PORT",
        "Port on which node 0 waits until all nodes have met", example="29400")
    peer_timeout: float = _knob(
        _NODES, 1800.0, _seconds, "SECONDS",
        "Wait this long for the other nodes, and at the barrier", example="10m")
    peer_silence: float = _knob(
        _NODES, 60.0, _seconds, "SECONDS",
        "Count a node as lost after SECONDS without a sign of life (0: never)", example="2m")
    peer_secret: str = _knob(
        _NODES, "", _text, "TEXT",
        "Shared secret by which the nodes authenticate each other, the same on all (default: the job's id)",
        example="from-your-secret-store", secret=True)

    endpoint: str = _knob(
        STORE, "", _text, "URL",
        "Endpoint of the object store (default: S3_ENDPOINT and its kin)",
        example="https://obs.cn-north-4.myhuaweicloud.com")
    region: str = _knob(
        STORE, "", _text, "NAME",
        "Region of the object store (default: taken from the endpoint)", example="cn-north-4")
    addressing: str = _knob(
        STORE, "auto", _one_of("auto", "virtual", "path"), "STYLE",
        "auto, virtual (bucket in the host name) or path", example="path")
    store_timeout: float = _knob(
        STORE, 300.0, _seconds, "SECONDS",
        "Keep retrying a failing store for SECONDS, with back-off", example="1h")
    max_objects: int = _knob(
        STORE, MOST_OBJECTS, _count, "N",
        "Give up a listing that has more than N objects, as of a store that makes up keys (0: no limit)",
        example="50000000")
    verify: Literal["auto", "always", "size"] = _knob(
        STORE, "auto", _one_of("auto", "always", "size"), "HOW",
        "Verify what is fetched by digests that cost little (auto), by all that the store lets us compute (always), or "
        "by its size", example="always")
    tls_processes: str = _knob(
        STORE, "0", _auto_or_few, "N",
        "Have N processes decrypt large objects that come over TLS (auto: half as many as cores, 4 at most, from four "
        "cores on, when one is not enough)", example="auto")
    credentials_file: str = _knob(
        STORE, "", _text, "PATH",
        "Read the keys from this profile file, which may be renewed during the run",
        example="/var/run/keys/credentials")
    credentials_profile: str = _knob(
        STORE, "", _text, "NAME",
        "Profile to use from a profile file (default: AWS_PROFILE, else default)", example="training")
    secrets_dir: str = _knob(
        STORE, "/run/secrets", _text, "DIR",
        "Directory of mounted secret files, named like the keys' variables", example="/var/run/keys")
    metadata_url: str = _knob(
        STORE, "", _text, "URL",
        "Ask this metadata service for keys (default: none)", example="http://169.254.169.254")

    grace: float = _knob(
        _STOP, 30.0, _seconds, "SECONDS",
        "Time from a stop request to our own exit, deliveries included; the platform's value, if known", example="2m")
    stop_signal: str = _knob(
        _STOP, "TERM", _signal, "NAME",
        "Signal that asks the command to stop, such as TERM, INT or USR1", example="USR1")
    stop_to: Literal["auto", "ranks", "command", "group"] = _knob(
        _STOP, "auto", _one_of("auto", "ranks", "command", "group"), "WHO",
        "Who gets the signal first: auto (processes with a handler), ranks, command (the process itself) or group",
        example="group")
    wait_for_output: bool = _knob(
        _STOP, False, flag, "",
        "Wait, once the command has ended, for all processes that still hold its output (run_train.sh: yes)")
    timeout: float = _knob(
        _STOP, 0.0, _seconds, "SECONDS",
        "Stop the command after SECONDS (0: never)", example="12h")
    stall_timeout: float = _knob(
        _STOP, 0.0, _seconds, "SECONDS",
        "Stop the command after SECONDS of silence (--stall-when), once its stacks are saved (0: never)", example="30m")
    stall_when: Literal["no-output", "idle"] = _knob(
        _STOP, "no-output", _one_of("no-output", "idle"), "WHAT",
        "What a stall is: no-output (even if threads spin), or idle (nothing is written, nothing computed)",
        example="idle")
    # fmt: on


@dataclass(frozen=True, slots=True)
class Resolved:
    """The settings and, for each by name, the words that say where its value came from."""

    settings: Settings
    sources: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    """What was taken off around values."""

    def by_person(self, name: str) -> bool:
        """Whether a person has given the setting ``name``: neither the platform nor the default."""
        return self.sources[name] in (option(name), variable(name))


def knobs() -> list[tuple[str, Knob, Any]]:
    """``(name, knob, default)`` of every setting, in the table's order."""
    return [(f.name, f.metadata["knob"], f.default) for f in fields(Settings)]


def option(name: str) -> str:
    return "--" + name.replace("_", "-")


def variable(name: str) -> str:
    return PREFIX + name.upper()


def resolve(
    options: Mapping[str, str | Sequence[str] | bool],
    environ: Mapping[str, str],
    defaults: Mapping[str, Sourced],
    problems: list[BootstrapError] | None = None,
) -> Resolved:
    """Settings from options (texts by name, lists where repeatable), the environment and the platform's defaults.

    In a variable, the items of a repeatable setting are divided by ``;`` or new lines. Raises :class:`UsageError`
    that names the option or variable and what it may hold; with ``problems`` it is put there instead, and the default
    stands in, so that somebody can still be told where the log goes.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    warnings: list[str] = []
    for name, knob, _ in knobs():
        if name in options:
            given, source = options[name], option(name)
        elif environ.get(variable(name)):
            given, source = environ[variable(name)], variable(name)
            if knob.many:
                given = [item.strip() for item in re.split(r"[;\n]", given) if item.strip()]
        elif name in defaults:
            given, source = defaults[name].value, defaults[name].source
        else:
            sources[name] = "default"
            continue
        try:
            values[name] = _parse(knob, given, source, warnings)
        except UsageError as error:
            if problems is None:
                raise
            problems.append(error)
        sources[name] = source
    return Resolved(Settings(**values), sources, tuple(dict.fromkeys(warnings)))


def _parse(knob: Knob, given: str | Sequence[str] | bool, source: str, warnings: list[str]) -> Any:
    if isinstance(given, bool):
        return given
    parsed = []
    for text in [given] if isinstance(given, str) else given:
        item = _bare(text, knob, source, warnings)
        try:
            parsed.append(knob.parse(item))
        except ValueError as wrong:
            raise UsageError(f"{source} cannot be {item!r}", why=str(wrong)) from None
    return tuple(parsed) if knob.many else parsed[0]


def _bare(text: str, knob: Knob, source: str, warnings: list[str]) -> str:
    """``text``, and each side of a pair, without quotes and the like around it."""
    bare, gone = surroundings.bare(text)
    if knob.parse is _pair:
        sides = [surroundings.bare(side) for side in bare.partition("=")]
        bare, gone = "".join(side for side, _ in sides), gone or sides[0][1] or sides[2][1]
    if gone:
        warnings.append(f"{source}: {gone} around its value taken off")
    return bare
