"""The checks that look at an image as a whole: a function each, from what was asked to findings."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from . import command, contracts
from .contracts import GB, Contract
from .findings import Finding, Level, listed
from .tree import Config, Entry, Image, may_write

SYSTEM = ("bin", "sbin", "usr", "lib", "lib64")
CERTIFICATES = (  # where the libraries of the distributions look for them
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "etc/ssl/cert.pem",
)
DRIVER = re.compile(
    r"(^|/)(lib(cuda|nvidia-ml|nvidia-ptxjitcompiler|nvcuvid)\.so[.0-9]*|nvidia-smi|libascend_hal\.so)$"
)
NOT_A_DRIVER = re.compile(r"/(compat|stubs|cuda-compat[^/]*|devlib)/")  # for older drivers, and for linking
PYTHON = re.compile(r"^(.*/)?bin/python([23]\.[0-9]+)$")
RUNTIME = "opt/bootstrap/bin/bootstrap"


@dataclass(frozen=True, slots=True)
class Question:
    """``base``: the image that this one was made from, where known. ``argv``: a command that is to run in it."""

    image: Image
    contract: Contract
    why_contract: str
    base: Image | None = None
    argv: tuple[str, ...] = ()


def check(asked: Question) -> list[Finding]:
    """All findings, the worst first."""
    order = list(Level)
    found = [finding for rule in RULES for finding in rule(asked)]
    return sorted(found, key=lambda finding: order.index(finding.level))


def question(image: Image, *, contract: str = "", base: Image | None = None, argv: tuple[str, ...] = ()) -> Question:
    """``contract`` is a name of :data:`~bootstrap.images.contracts.CONTRACTS`, or empty: then the image tells."""
    if contract:
        return Question(image, contracts.CONTRACTS[contract], "asked for", base, argv)
    chosen, why = contracts.recognise(image)
    return Question(image, chosen, why, base, argv)


# --- the platform's audit


def setuid(asked: Question) -> Iterator[Finding]:
    known = asked.base.entries if asked.base else {}
    found = [
        path
        for path, entry in sorted(asked.image.entries.items())
        if entry.is_file
        and entry.mode & (stat.S_ISUID | stat.S_ISGID)
        and not (path in known and known[path].mode & (stat.S_ISUID | stat.S_ISGID))
    ]
    if not found:
        return
    what = f"{len(found)} setuid or setgid files"
    remedy = "RUN find / -xdev -perm /6000 -type f -exec chmod a-s {} +"
    if asked.contract.audited and asked.base:
        what += " that the base image does not have"
        yield Finding(Level.ERROR, "setuid", what, listed(found), "the platform's audit refuses the image", remedy)
    elif asked.contract.audited:
        why = "the platform's audit refuses new ones; without --base, new and old cannot be told apart"
        yield Finding(Level.WARNING, "setuid", what, listed(found), why, f"{remedy}, or give --base")
    else:
        why = "hardened clusters refuse them, and they do nothing under no-new-privileges"
        yield Finding(Level.NOTE, "setuid", what, listed(found), why, remedy)


def system_files(asked: Question) -> Iterator[Finding]:
    if asked.base is None:
        return
    changed, removed = [], []
    for path, old in asked.base.below(*SYSTEM):
        new = asked.image.entries.get(path)
        if new is None:
            removed.append(path)
        elif new.is_directory and old.is_directory:
            continue  # a package that adds a file changes its directory
        elif _identity(new) != _identity(old):
            changed.append(path)
    for id, word, paths in (("system-changed", "changed", changed), ("system-removed", "removed", removed)):
        if paths:
            yield Finding(
                Level.ERROR if asked.contract.audited else Level.NOTE,
                id,
                f"{len(paths)} system files were {word}, compared with {asked.base.source}",
                listed(paths),
                "the audit of ModelArts v1 compares /bin, /sbin, /usr and /lib with its base image"
                if asked.contract.audited
                else "",
                "put what you add below /opt or the user's home, and leave packages of the system as they are",
            )


def _identity(entry: Entry) -> tuple[object, ...]:
    return entry.mode, entry.uid, entry.gid, entry.target, entry.digest


def size(asked: Question) -> Iterator[Finding]:
    image, contract = asked.image, asked.contract
    told = f"{image.size / GB:.2f} GB unpacked"
    big = listed(_largest(image))
    remedy = "use a runtime image instead of a devel one, clean caches in the same RUN, copy from a build stage"
    if contract.largest and image.size > contract.largest:
        why = f"{contract.title} admits {contract.largest / GB:g} GB"
        yield Finding(Level.ERROR, "size", f"the image is too large: {told}", f"the largest: {big}", why, remedy)
    elif contract.advised and image.size > contract.advised:
        why = f"{contract.title} advises at most {contract.advised / GB:g} GB: starting takes long otherwise"
        yield Finding(Level.WARNING, "size", f"the image is large: {told}", f"the largest: {big}", why, remedy)
    else:
        yield Finding(Level.NOTE, "size", told)


def _largest(image: Image) -> list[str]:
    files = [(entry.size, path) for path, entry in image.entries.items() if entry.is_file]
    return [path for _, path in sorted(files, reverse=True)[:4]]


def driver(asked: Question) -> Iterator[Finding]:
    found = [
        path
        for path, entry in sorted(asked.image.entries.items())
        # Container engines leave empty files behind, onto which they mount the machine's driver.
        if entry.is_file and entry.size and DRIVER.search(path) and not NOT_A_DRIVER.search(f"/{path}")
    ]
    if found:
        yield Finding(
            Level.ERROR,
            "driver",
            "files of an accelerator's driver are in the image",
            listed(found),
            "the platform brings the driver of its own machines, and a second one of another version breaks it",
            "remove the driver packages (nvidia-driver-*, libnvidia-*, /usr/local/Ascend/driver); CUDA itself may stay",
        )


# --- users and places


def user(asked: Question) -> Iterator[Finding]:
    contract, config, accounts = asked.contract, asked.image.config, asked.image.accounts()
    by_id = {account.uid: account for account in reversed(accounts)}
    if contract.uid is not None:
        account = by_id.get(contract.uid)
        make = f"RUN useradd --uid {contract.uid} --gid {contract.gid} --create-home {contract.user}"
        if account is None:
            yield Finding(
                Level.WARNING, "user-missing", f"no user has uid {contract.uid}", "/etc/passwd",
                f"{contract.title} runs as {contract.uid}:{contract.gid}; programs that ask for their user's name fail",
                f"{make}; or build on a base image of Dockerfile.base",
            )  # fmt: skip
        elif account.gid != contract.gid or account.home != contract.home:
            yield Finding(
                Level.WARNING, "user-other",
                f"uid {contract.uid} is {account.name}, group {account.gid}, home {account.home}", "/etc/passwd",
                f"{contract.title} expects {contract.user}, group {contract.gid}, home {contract.home}", make,
            )  # fmt: skip
    for account in accounts:
        if account.name == "ma-user" and account.uid == 1102:
            yield Finding(
                Level.ERROR, "user-1102", "ma-user has uid 1102", "/etc/passwd",
                "the platform runs as 1000, to whom it is closed: /home/ma-user/.pip/pip.conf: Permission denied",
                "usermod --uid 1000 ma-user, and chown its home",
            )  # fmt: skip
    if config is not None:
        yield from _default_user(asked, config, by_id.keys())


def _default_user(asked: Question, config: Config, known: Collection[int]) -> Iterator[Finding]:
    contract, name = asked.contract, config.user.split(":")[0]
    names = {account.name: account.uid for account in asked.image.accounts()}
    uid = int(name) if name.isdigit() else names.get(name, 0 if name in ("", "root") else -1)
    if uid == -1:
        yield Finding(
            Level.ERROR, "user-unknown", f"USER {name} is not in the image", "the image's configuration",
            "no engine can start it", f"RUN useradd {name}, or USER with a number",
        )  # fmt: skip
    elif uid == 0:
        wants = f"USER {contract.uid}:{contract.gid}" if contract.uid is not None else "USER 1000:1000"
        yield Finding(
            Level.ERROR if contract.audited else Level.WARNING, "user-root", "the image runs as root",
            "the image's configuration",
            f"{contract.title} asks for uid {contract.uid} by default"
            if contract.uid is not None else "clusters that demand runAsNonRoot refuse it",
            f"end the Dockerfile with {wants}",
        )  # fmt: skip
    elif contract.audited and uid != contract.uid:
        yield Finding(
            Level.ERROR, "user-default", f"the image runs as uid {uid}", "the image's configuration",
            f"{contract.title} asks for uid {contract.uid} by default",
            f"end the Dockerfile with USER {contract.uid}:{contract.gid}",
        )  # fmt: skip
    elif uid not in known:
        yield Finding(
            Level.NOTE, "user-nameless", f"uid {uid} has no line in /etc/passwd", "/etc/passwd",
            "the bootstrap needs none, but programs that ask for their user's name fail",
            f"RUN useradd --uid {uid} NAME",
        )  # fmt: skip


def writable(asked: Question) -> Iterator[Finding]:
    contract, image = asked.contract, asked.image
    uid = contract.uid if contract.uid is not None else 1000
    gid = contract.gid if contract.gid is not None else 1000
    for directory in contract.writable:
        entry = image.find(directory)
        make = f"RUN mkdir -p {directory}; chown {uid}:{gid} {directory}"
        if directory == "/tmp":
            make = "RUN mkdir -p /tmp; chmod 1777 /tmp"
        if entry is None or not entry.is_directory:
            # A cache disk is mounted there by the platform; everything else must be in the image.
            level = Level.NOTE if directory == "/cache" else Level.WARNING
            yield Finding(level, "directory-missing", f"{directory} is missing", directory, _needed(directory), make)
        elif not may_write(entry, uid, gid):
            yield Finding(
                Level.ERROR, "directory-read-only", f"uid {uid} cannot write to {directory}",
                f"{directory} belongs to {entry.uid}:{entry.gid}, mode {stat.S_IMODE(entry.mode):o}",
                _needed(directory), make,
            )  # fmt: skip


def _needed(directory: str) -> str:
    if directory == "/tmp":
        return "logs are there by default, and nearly every program needs it"
    return "the local disk of the job" if directory == "/cache" else "the code and the user's own files go there"


# --- what is inside


def shell(asked: Question) -> Iterator[Finding]:
    image = asked.image
    have = [name for name in ("sh", "bash") if image.program(name, command.PATH)]
    if asked.contract.shell and asked.contract.shell not in have:
        yield Finding(
            Level.ERROR, "shell", f"there is no {asked.contract.shell}", "",
            f"the boot command of {asked.contract.title} is: {asked.contract.shell} /home/work/run_train.sh ...",
            f"apt-get install {asked.contract.shell}",
        )  # fmt: skip
    elif not have:
        yield Finding(
            Level.NOTE, "shell", "there is no shell", "",
            "the bootstrap needs none; run_train.sh and commands such as sh -c do", "COPY one, if you use them",
        )  # fmt: skip
    if not image.program("stdbuf", command.PATH):
        yield Finding(
            Level.NOTE, "stdbuf", "there is no stdbuf", "",
            "programs that are not Python print in blocks of 4 kB when they do not print to a terminal",
            "install coreutils, or run with --pty",
        )  # fmt: skip


def pythons(asked: Question) -> Iterator[Finding]:
    image = asked.image
    found = {}
    for path, entry in sorted(image.entries.items()):
        match = PYTHON.match(path)
        if match and entry.is_file and entry.mode & 0o111 and not path.startswith("opt/bootstrap/"):
            found[f"/{path}"] = match[2]
    told = ", ".join(f"{path} ({version})" for path, version in found.items())
    what = f"Python: {told}" if told else "there is no Python"
    yield Finding(Level.NOTE, "python", what, "", "" if told else "the bootstrap's own is not for the command")
    trees = [path.removesuffix("/conda-meta/history") for path in image.entries if path.endswith("/conda-meta/history")]
    search = image.environ.get("PATH", "").split(":")
    for tree in sorted(trees):
        on_path = f"/{tree}/bin" in search
        yield Finding(
            Level.NOTE if on_path or not image.config else Level.WARNING,
            "conda",
            f"a conda tree: /{tree}" + ("" if on_path or not image.config else ", whose bin is not on PATH"),
            f"/{tree}",
            "the boot command is not run by a login shell: conda activate does not work there",
            f"ENV PATH=/{tree}/bin:$PATH, or name /{tree}/bin/python in the command",
        )


def certificates(asked: Question) -> Iterator[Finding]:
    if not any((entry := asked.image.find(path)) and entry.size for path in CERTIFICATES):
        yield Finding(
            Level.NOTE, "certificates", "there is no bundle of certificate authorities", "",
            "the bootstrap brings its own; the command's own HTTPS requests (pip, MoXing, obsutil) would fail",
            "apt-get install ca-certificates",
        )  # fmt: skip


def unbuffered(asked: Question) -> Iterator[Finding]:
    config = asked.image.config
    if config is not None and not config.env.get("PYTHONUNBUFFERED") and not _ours(config):
        yield Finding(
            Level.WARNING, "unbuffered", "PYTHONUNBUFFERED is not set", "the image's configuration",
            "Python keeps its last lines in memory, and a killed job loses them", "ENV PYTHONUNBUFFERED=1",
        )  # fmt: skip


def runtime(asked: Question) -> Iterator[Finding]:
    image = asked.image
    entry = image.find(RUNTIME)
    if entry is None and not image.program("bootstrap", image.environ.get("PATH", command.PATH)):
        yield Finding(
            Level.NOTE, "bootstrap", "the bootstrap is not in the image", f"/{RUNTIME}", "",
            "COPY --from=modelarts-bootstrap:runtime /opt/bootstrap /opt/bootstrap",
        )  # fmt: skip
    elif entry is not None:
        yield from command.foreign(image, RUNTIME, entry)


def entry_point(asked: Question) -> Iterator[Finding]:
    config = asked.image.config
    if config is None:
        return
    where = "ENTRYPOINT " + " ".join(config.entrypoint) if config.entrypoint else "ENTRYPOINT"
    use = 'ENTRYPOINT ["/opt/bootstrap/bin/bootstrap", "run", "--"]'
    if config.entrypoint[:1] and config.entrypoint[0].rpartition("/")[2] in ("sh", "bash", "dash", "ash"):
        if "-c" in config.entrypoint[1:2] and not "".join(config.entrypoint[2:3]).lstrip().startswith("exec "):
            yield Finding(
                Level.ERROR, "entrypoint-shell", "the entry point has the shell form", where,
                "the shell is the first process: it keeps TERM to itself, so a stopped job is killed without its last "
                "log and checkpoint; and the container's arguments are lost", use,
            )  # fmt: skip
    elif config.entrypoint and not _ours(config):
        yield Finding(
            Level.NOTE, "entrypoint-other", "the entry point is not the bootstrap", where,
            "right where the boot command calls it (run_train.sh, bootstrap run)", use,
        )  # fmt: skip


def _ours(config: Config) -> bool:
    return any(word.rpartition("/")[2] == "bootstrap" for word in config.entrypoint)


def commands(asked: Question) -> Iterator[Finding]:
    if asked.argv:
        yield from command.check(asked.image, asked.argv)


def loader(asked: Question) -> Iterator[Finding]:
    """Variables of the image that reach every program in it."""
    preload = asked.image.environ.get("LD_PRELOAD", "")
    for path in re.split("[: ]+", preload):
        if "/" in path and asked.image.find(path) is None:
            yield Finding(
                Level.WARNING, "preload", f"LD_PRELOAD names {path}, which is not in the image",
                "the image's configuration",
                "every program of the image complains about it on stderr", "remove it from ENV, or install the library",
            )  # fmt: skip
    home = asked.image.environ.get("PYTHONHOME", "")
    if home:
        yield Finding(
            Level.WARNING, "pythonhome", f"PYTHONHOME is {home}", "the image's configuration",
            "every other Python in the image, of the system or of conda, fails to start with it", "remove it from ENV",
        )  # fmt: skip


RULES: tuple[Callable[[Question], Iterator[Finding]], ...] = (
    setuid, system_files, size, driver, user, writable, entry_point, commands, shell, unbuffered, loader, runtime,
    pythons, certificates,
)  # fmt: skip
