"""The checks that look at an image as a whole: a function each, from what was asked to findings."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Collection, Iterator, Sequence

from . import audit, command, contracts
from .findings import ImageFinding, Question, Severity, listed
from .tree import Config, Image, may_write

CERTIFICATES = (  # where the libraries of the distributions look for them
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "etc/ssl/cert.pem",
)
PYTHON = re.compile(r"^(.*/)?bin/python([23]\.[0-9]+)$")
RUNTIME = "opt/bootstrap/bin/bootstrap"
SHELLS = ("sh", "bash", "dash", "ash", "zsh")
EXEC = re.compile(r"(^|[;&\n])\s*exec\s")


def check(asked: Question) -> list[ImageFinding]:
    """All findings, the worst first."""
    order = list(Severity)
    found = [finding for rule in RULES for finding in rule(asked)]
    return sorted(found, key=lambda finding: order.index(finding.level))


def question(image: Image, *, contract: str = "", base: Image | None = None, argv: tuple[str, ...] = ()) -> Question:
    """``contract`` is a name of :data:`~bootstrap.images.contracts.CONTRACTS`, or empty: then the image tells."""
    if contract:
        return Question(image, contracts.CONTRACTS[contract], "asked for", base, argv)
    chosen, why = contracts.recognise(image)
    return Question(image, chosen, why, base, argv)


# --- users and places


def user(asked: Question) -> Iterator[ImageFinding]:
    contract, config, accounts = asked.contract, asked.image.config, asked.image.accounts()
    by_id = {account.uid: account for account in reversed(accounts)}
    old = next((account for account in accounts if account.name == contract.user and account.uid == 1102), None)
    if contract.uid is not None:
        account = by_id.get(contract.uid)
        if account is None and old is None:
            yield ImageFinding(
                Severity.WARNING, "user-missing", f"no user has uid {contract.uid}", "/etc/passwd",
                f"{contract.title} runs as {contract.uid}:{contract.gid}; programs that ask for their user's name fail",
                f"{_make_user(asked)}; or build on a base image of Dockerfile.base",
            )  # fmt: skip
        elif account is not None and (account.gid != contract.gid or account.home != contract.home):
            yield ImageFinding(
                Severity.WARNING, "user-other",
                f"uid {contract.uid} is {account.name}, group {account.gid}, home {account.home}", "/etc/passwd",
                f"{contract.title} expects {contract.user}, group {contract.gid}, home {contract.home}",
                _make_user(asked),
            )  # fmt: skip
        if contract.gid not in asked.image.groups():
            yield ImageFinding(
                Severity.NOTE, "group-nameless", f"no group has gid {contract.gid}", "/etc/group",
                "the bootstrap needs none, but programs that ask for their group's name complain",
                f"RUN groupadd --gid {contract.gid} {contract.group}",
            )  # fmt: skip
    if old:
        yield ImageFinding(
            Severity.ERROR, "user-1102", f"{old.name} has uid 1102, as in old images", "/etc/passwd",
            f"the platform runs as {contract.uid}, to whom that home is closed: {old.home}/.pip/pip.conf: Permission "
            "denied",
            f"{_make_user(asked)}; chown -R {contract.uid}:{contract.gid} {contract.home}",
        )  # fmt: skip
    if config is not None:
        yield from _default_user(asked, config, by_id.keys())


def _make_user(asked: Question) -> str:
    """Commands that work in this image: a uid and a name can be given once only, and a group must be there first."""
    contract = asked.contract
    words = [
        f"userdel {account.name}"
        for account in asked.image.accounts()
        if account.uid == contract.uid or account.name == contract.user
    ]
    if contract.gid not in asked.image.groups():
        words.append(f"groupadd --gid {contract.gid} {contract.group}")
    words.append(
        f"useradd --uid {contract.uid} --gid {contract.gid} --home-dir {contract.home} --create-home {contract.user}"
    )
    return f"RUN {'; '.join(words)}"


def _default_user(asked: Question, config: Config, known: Collection[int]) -> Iterator[ImageFinding]:
    contract = asked.contract
    name, _, group = config.user.partition(":")
    names = {account.name: account.uid for account in asked.image.accounts()}
    uid = int(name) if name.isdigit() else names.get(name, 0 if name in ("", "root") else -1)
    if uid == -1:
        yield ImageFinding(
            Severity.ERROR, "user-unknown", f"USER {name} is not in the image", "the image's configuration",
            "no engine can start it", f"RUN useradd {name}, or USER with a number",
        )  # fmt: skip
    elif group and not group.isdigit() and group not in asked.image.groups().values():
        yield ImageFinding(
            Severity.ERROR, "group-unknown", f"the group of USER {config.user} is not in the image",
            "the image's configuration", "no engine can start it", f"RUN groupadd {group}, or USER with numbers",
        )  # fmt: skip
    elif uid == 0:
        wants = f"USER {contract.uid}:{contract.gid}" if contract.uid is not None else "USER 1000:1000"
        yield ImageFinding(
            Severity.ERROR if contract.audited else Severity.WARNING, "user-root", "the image runs as root",
            "the image's configuration",
            f"{contract.title} asks for uid {contract.uid} by default"
            if contract.uid is not None else "clusters that demand runAsNonRoot refuse it",
            f"end the Dockerfile with {wants}",
        )  # fmt: skip
    elif contract.audited and uid != contract.uid:
        yield ImageFinding(
            Severity.ERROR, "user-default", f"the image runs as uid {uid}", "the image's configuration",
            f"{contract.title} asks for uid {contract.uid} by default",
            f"end the Dockerfile with USER {contract.uid}:{contract.gid}",
        )  # fmt: skip
    elif contract.uids and uid not in contract.uids:
        yield ImageFinding(
            Severity.WARNING, "user-range", f"the image runs as uid {uid}", "the image's configuration",
            f"public pools of {contract.title} admit uids {contract.uids[0]} to {contract.uids[-1]} only",
            f"end the Dockerfile with USER {contract.uid}:{contract.gid}",
        )  # fmt: skip
    elif uid not in known:
        yield ImageFinding(
            Severity.NOTE, "user-nameless", f"uid {uid} has no line in /etc/passwd", "/etc/passwd",
            "the bootstrap needs none, but programs that ask for their user's name fail",
            f"RUN useradd --uid {uid} NAME",
        )  # fmt: skip


def writable(asked: Question) -> Iterator[ImageFinding]:
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
            level = Severity.NOTE if directory == "/cache" else Severity.WARNING
            yield ImageFinding(
                level, "directory-missing", f"{directory} is missing", directory, _needed(directory), make
            )
        elif not may_write(entry, uid, gid):
            yield ImageFinding(
                Severity.ERROR, "directory-read-only", f"uid {uid} cannot write to {directory}",
                f"{directory} belongs to {entry.uid}:{entry.gid}, mode {stat.S_IMODE(entry.mode):o}",
                _needed(directory), make,
            )  # fmt: skip


def _needed(directory: str) -> str:
    if directory == "/tmp":
        return "logs are there by default, and nearly every program needs it"
    return "the local disk of the job" if directory == "/cache" else "the code and the user's own files go there"


# --- what is inside


def shell(asked: Question) -> Iterator[ImageFinding]:
    image = asked.image
    have = [name for name in ("sh", "bash") if image.program(name, command.PATH)]
    if asked.contract.shell and asked.contract.shell not in have:
        yield ImageFinding(
            Severity.ERROR, "shell", f"there is no {asked.contract.shell}", "",
            f"the boot command of {asked.contract.title} is: {asked.contract.shell} /home/work/run_train.sh ...",
            f"apt-get install {asked.contract.shell}",
        )  # fmt: skip
    elif not have:
        yield ImageFinding(
            Severity.NOTE, "shell", "there is no shell", "",
            "the bootstrap needs none; run_train.sh and commands such as sh -c do", "COPY one, if you use them",
        )  # fmt: skip
    if not image.program("stdbuf", command.PATH):
        yield ImageFinding(
            Severity.NOTE, "stdbuf", "there is no stdbuf", "",
            "programs that are not Python print in blocks of 4 kB when they do not print to a terminal",
            "install coreutils, or run with --pty",
        )  # fmt: skip


def pythons(asked: Question) -> Iterator[ImageFinding]:
    image = asked.image
    found = {}
    for path, entry in sorted(image.entries.items()):
        match = PYTHON.match(path)
        if match and entry.is_file and entry.mode & 0o111 and not path.startswith("opt/bootstrap/"):
            found[f"/{path}"] = match[2]
    told = ", ".join(f"{path} ({version})" for path, version in found.items())
    what = f"Python: {told}" if told else "there is no Python"
    yield ImageFinding(Severity.NOTE, "python", what, "", "" if told else "the bootstrap's own is not for the command")
    trees = [path.removesuffix("/conda-meta/history") for path in image.entries if path.endswith("/conda-meta/history")]
    search = image.environ.get("PATH", "").split(":")
    for tree in sorted(trees):
        on_path = f"/{tree}/bin" in search
        yield ImageFinding(
            Severity.NOTE if on_path or not image.environ else Severity.WARNING,
            "conda",
            f"a conda tree: /{tree}" + ("" if on_path or not image.environ else ", whose bin is not on PATH"),
            f"/{tree}",
            "the boot command is not run by a login shell: conda activate does not work there",
            f"ENV PATH=/{tree}/bin:$PATH, or name /{tree}/bin/python in the command",
        )


def certificates(asked: Question) -> Iterator[ImageFinding]:
    if not any((entry := asked.image.find(path)) and entry.size for path in CERTIFICATES):
        yield ImageFinding(
            Severity.NOTE, "certificates", "there is no bundle of certificate authorities", "",
            "the bootstrap brings its own; the command's own HTTPS requests (pip, MoXing, obsutil) would fail",
            "apt-get install ca-certificates",
        )  # fmt: skip


def unbuffered(asked: Question) -> Iterator[ImageFinding]:
    config = asked.image.config
    if config is not None and not config.env.get("PYTHONUNBUFFERED") and not _ours(config):
        yield ImageFinding(
            Severity.WARNING, "unbuffered", "PYTHONUNBUFFERED is not set", "the image's configuration",
            "Python keeps its last lines in memory, and a killed job loses them", "ENV PYTHONUNBUFFERED=1",
        )  # fmt: skip


def runtime(asked: Question) -> Iterator[ImageFinding]:
    image = asked.image
    entry = image.find(RUNTIME)
    if entry is None and not image.program("bootstrap", image.environ.get("PATH", command.PATH)):
        yield ImageFinding(
            Severity.NOTE, "bootstrap", "the bootstrap is not in the image", f"/{RUNTIME}",
            "it fetches the code and delivers logs and outputs, unless something else does",
            "COPY --from=modelarts-bootstrap:runtime /opt/bootstrap /opt/bootstrap",
        )  # fmt: skip
    elif entry is not None:
        yield from command.foreign(image, RUNTIME, entry)


def entry_point(asked: Question) -> Iterator[ImageFinding]:
    config = asked.image.config
    if config is None:
        return
    where = "ENTRYPOINT " + " ".join(config.entrypoint)
    use = 'ENTRYPOINT ["/opt/bootstrap/bin/bootstrap", "run", "--"]'
    why = (
        "the shell is the first process: it keeps TERM to itself, so a stopped job is killed without its last log and "
        "checkpoint"
    )
    if _shell_form(config.entrypoint):
        yield ImageFinding(
            Severity.ERROR, "entrypoint-shell", "the entry point has the shell form", where,
            f"{why}; and the container's arguments are lost", use,
        )  # fmt: skip
    elif config.entrypoint and not _ours(config):
        yield ImageFinding(
            Severity.NOTE, "entrypoint-other", "the entry point is not the bootstrap", where,
            "right where the boot command calls it (run_train.sh, bootstrap run)", use,
        )  # fmt: skip
    elif not config.entrypoint and _shell_form(config.command):
        yield ImageFinding(
            Severity.WARNING, "command-shell", "there is no entry point, and CMD has the shell form",
            "CMD " + " ".join(config.command), f"{why}, unless the platform has a boot command of its own",
            f'{use} and CMD ["python", "train.py"]',
        )  # fmt: skip


def _shell_form(argv: Sequence[str]) -> bool:
    """``sh -c SCRIPT``, whatever options the Dockerfile's SHELL has, unless the script hands its place on by exec."""
    if not argv or argv[0].rpartition("/")[2] not in SHELLS:
        return False
    for before, word, script in zip(argv, argv[1:], argv[2:], strict=False):
        if re.fullmatch("-[A-Za-z]*c", word):
            return not EXEC.search(script)
        if not word.startswith("-") and not re.fullmatch("[-+][A-Za-z]*[oO]", before):
            return False
    return False


def _ours(config: Config) -> bool:
    return any(word.rpartition("/")[2] == "bootstrap" for word in config.entrypoint)


def commands(asked: Question) -> Iterator[ImageFinding]:
    if asked.argv:
        yield from command.check(asked.image, asked.argv)


def loader(asked: Question) -> Iterator[ImageFinding]:
    """Variables of the image that reach every program in it."""
    where = "the image's configuration" if asked.image.config else "the environment"
    preload = asked.image.environ.get("LD_PRELOAD", "")
    for path in re.split("[: ]+", preload):
        if "/" in path and asked.image.find(path) is None:
            yield ImageFinding(
                Severity.WARNING, "preload", f"LD_PRELOAD names {path}, which is not in the image", where,
                "every program of the image complains about it on stderr", "remove it from ENV, or install the library",
            )  # fmt: skip
    home = asked.image.environ.get("PYTHONHOME", "")
    if home:
        yield ImageFinding(
            Severity.WARNING, "pythonhome", f"PYTHONHOME is {home}", where,
            "every other Python in the image, of the system or of conda, fails to start with it", "remove it from ENV",
        )  # fmt: skip


# --- what could not be looked at


def unseen(asked: Question) -> Iterator[ImageFinding]:
    image = asked.image
    if image.config is None:
        parts = "USER and ENTRYPOINT" if image.environ else "USER, ENV and ENTRYPOINT"
        yield ImageFinding(
            Severity.NOTE, "configuration", f"{parts} were not checked", "",
            f"the image's configuration is not in a {image.kind.removeprefix('exported ')}",
            "give the file of docker save or podman save",
        )  # fmt: skip
    if image.unread:
        yield ImageFinding(
            Severity.NOTE, "unread", f"{len(image.unread)} directories were closed to us", listed(image.unread),
            "what is in them was not checked, and is not counted", "check as root, or give the file of docker save",
        )  # fmt: skip


RULES: tuple[Callable[[Question], Iterator[ImageFinding]], ...] = (
    audit.setuid, audit.system_files, audit.size, audit.driver, user, writable, entry_point, commands, shell,
    unbuffered, loader, runtime, pythons, certificates, unseen,
)  # fmt: skip
