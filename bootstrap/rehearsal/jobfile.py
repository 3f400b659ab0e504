"""The job files of the GPU manager for clusters with a NAS (``vcctl job create -f job.yaml``), checked and read.

Its guide gives the shape::

    jobname: sxh-mnist-1
    tasks:
      - amount: 1                 # 1 if left out
        name: task-0              # task-<number> if left out
        workingDir: /nfs/testdata/code/sxh/mnist
        command: ["python", "train.py"]      # or a shell script as one text
        args: ["--epochs", "10"]
        image: registry.example/sxh-dev:1.0
        resources: {cpu: "500m", memory: "1024Mi", gpu: "1"}
        ports: {number: 6666, name: master}

What its users stumble over is found here and in :mod:`.jobtext`: tabs, full-width colons, names that Kubernetes
refuses, names given twice, misspelt fields. An underscore in a name, as in the guide's own ``test_job1``, is mended as
the manager does it.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import JobFileInvalid
from ..values import dataclass, field, replace
from .jobtext import comment_lines, load

_JOB_FIELDS = ("jobname", "tasks")
_TASK_FIELDS = ("amount", "name", "workingDir", "command", "args", "image", "resources", "ports")
_RESOURCES = ("cpu", "memory", "gpu")
_PORT_FIELDS = ("number", "name")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_QUANTITY = re.compile(r"\d+(\.\d+)?(m|[kMGTPE]|[KMGTPE]i)?")
_PORT_NAME = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
_SHELL = re.compile(r"[|&;<>()$`\\*?\[#~\n]|^\w+=")
_LONGEST_LABEL = 63  # characters of a Kubernetes label, which a pod's host name is


@dataclass(frozen=True, slots=True)
class Task:
    """One kind of containers of a job: ``amount`` of them. ``command`` is a whole argv, empty for the image's own."""

    name: str
    image: str
    amount: int = 1
    command: tuple[str, ...] = ()
    working_dir: str = ""
    resources: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class JobFile:
    name: str
    tasks: tuple[Task, ...]
    warnings: tuple[str, ...] = ()


def read(path: Path) -> JobFile:
    """The job in a file. Raises :class:`JobFileInvalid` with all that is wrong, each with its place."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise JobFileInvalid("the job file cannot be read", where=str(path), why=str(error)) from error
    check = _Check(path)
    document = load(text, path)
    if not isinstance(document, dict):
        raise JobFileInvalid("the job file holds no job", where=str(path), why="it begins with jobname: and tasks:")
    job = check.job(document)
    check.done()
    return replace(job, warnings=(*check.mended, *_warnings(job, text)))


def _warnings(job: JobFile, text: str) -> Iterator[str]:
    # The manager's own parser does not take comments everywhere, its guide says; ours does not mind.
    if numbers := comment_lines(text):
        lines = ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
        yield f"comments in line {lines}: vcctl may refuse them; remove them there"
    if job.name[:1].isdigit():
        why = "Kubernetes wants a letter first in the name of a service, and hosts are found by one"
        yield f"jobname {job.name} begins with a digit: {why}"


class _Check:
    """Collects what is wrong, so that a person mends all of it at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: list[str] = []
        self.mended: list[str] = []

    def wrong(self, where: str, what: str) -> None:
        self._found.append(f"{where}: {what}")

    def done(self) -> None:
        if self._found:
            raise JobFileInvalid.of(self._found, self._path)

    def job(self, document: Mapping[str, Any]) -> JobFile:
        self._fields(document, _JOB_FIELDS, "the job")
        name = self._label(document.get("jobname"), "jobname")
        entries = document.get("tasks")
        if not isinstance(entries, list) or not entries:
            self.wrong("tasks", "a list with at least one task is needed, each beginning with '- '")
            return JobFile(name, ())
        tasks = tuple(self._task(entry, number) for number, entry in enumerate(entries))
        names = [task.name for task in tasks]
        for twice in sorted({one for one in names if names.count(one) > 1}):
            self.wrong("tasks", f"two tasks are named {twice}")
        for task in tasks:
            pod = f"{name}-{task.name}-{task.amount - 1}"
            if len(pod) > _LONGEST_LABEL:
                self.wrong(f"task {task.name}", f"its pod would be named {pod}, {len(pod)} characters of at most 63")
        return JobFile(name, tasks)

    def _task(self, entry: Any, number: int) -> Task:
        where = f"task {number}"
        if not isinstance(entry, dict):
            self.wrong(where, "not a task; each is a list item with fields")
            return Task(f"task-{number}", "")
        self._fields(entry, _TASK_FIELDS, where)
        name = self._label(entry.get("name"), f"{where}, name") if entry.get("name") is not None else f"task-{number}"
        amount = entry.get("amount", 1)
        if not isinstance(amount, int) or isinstance(amount, bool) or amount < 1:
            self.wrong(f"{where}, amount", f"{amount!r} is no number of containers")
            amount = 1
        image = entry.get("image")
        if not isinstance(image, str) or not image.strip() or " " in image:
            self.wrong(f"{where}, image", "the name of an image is needed")
            image = ""
        directory = entry.get("workingDir") or ""
        if directory and not str(directory).startswith("/"):
            self.wrong(f"{where}, workingDir", f"{directory!r} is no absolute path")
        return Task(
            name=name,
            image=image,
            amount=amount,
            command=tuple(self._command(entry, where)),
            working_dir=str(directory),
            resources=self._resources(entry.get("resources") or {}, where),
            ports=tuple(self._ports(entry.get("ports") or [], where)),
        )

    def _command(self, entry: Mapping[str, Any], where: str) -> Iterator[str]:
        """A list is an argv; a text is words, or a script where it has anything that only a shell understands."""
        command, arguments = entry.get("command"), entry.get("args")
        if arguments and not command:
            self.wrong(f"{where}, args", "there is no command to give them to")
        if isinstance(command, str) and _SHELL.search(command.strip()):
            yield from ("bash", "-c", command.strip())
            if arguments:
                yield "bash"  # the script's own name, before its arguments
        else:
            yield from self._words(command, f"{where}, command")
        yield from self._words(arguments, f"{where}, args")

    def _words(self, value: Any, where: str) -> Sequence[str]:
        if value is None:
            return ()
        if isinstance(value, str):
            try:
                return shlex.split(value)
            except ValueError as error:  # a quotation without its end
                self.wrong(where, f"{value!r} are no words of a command: {str(error).lower()}")
                return ()
        if isinstance(value, list) and not any(isinstance(word, dict | list) or word is None for word in value):
            return [str(word) for word in value]
        self.wrong(where, 'a list of words is needed, such as ["python", "train.py"]')
        return ()

    def _resources(self, value: Any, where: str) -> Mapping[str, str]:
        if not isinstance(value, dict):
            self.wrong(f"{where}, resources", "cpu, memory and gpu are fields of it")
            return {}
        self._fields(value, _RESOURCES, f"{where}, resources")
        found = {name: str(amount) for name, amount in value.items() if amount is not None}
        for name, amount in found.items():
            if not _QUANTITY.fullmatch(amount) or (name == "gpu" and not amount.isdecimal()):
                example = {"cpu": "500m", "memory": "1024Mi"}.get(name, "1")
                self.wrong(f"{where}, resources, {name}", f"{amount!r} is no amount; say it as {example!r}")
        return found

    def _ports(self, value: Any, where: str) -> Iterator[tuple[str, int]]:
        seen = set()
        for entry in [value] if isinstance(value, dict) else value if isinstance(value, list) else []:
            if not isinstance(entry, dict):
                self.wrong(f"{where}, ports", "each has a number and a name")
                continue
            self._fields(entry, _PORT_FIELDS, f"{where}, ports")
            number, name = entry.get("number"), entry.get("name")
            if number is None and name is None:
                continue  # the template's own empty fields
            if not isinstance(number, int) or not 0 < number < 65536:
                self.wrong(f"{where}, ports, number", f"{number!r} is no port")
                continue
            if name is not None and not _PORT_NAME.fullmatch(str(name)):
                self.wrong(
                    f"{where}, ports, name",
                    f"{name!r}: at most 15 small letters, digits and single - between them, one letter at least",
                )
            name = str(name or f"port{number}")
            if name in seen:
                self.wrong(f"{where}, ports, name", f"two ports are named {name}")
            seen.add(name)
            yield name, number

    def _label(self, value: Any, where: str) -> str:
        text = "" if value is None else str(value)
        if "_" in text and _LABEL.fullmatch(mended := text.replace("_", "-")) and len(mended) <= _LONGEST_LABEL:
            self.mended.append(
                f"{where}: {text} is no name for Kubernetes, which has no _ in names: it becomes {mended}"
            )
            return mended
        if not _LABEL.fullmatch(text) or len(text) > _LONGEST_LABEL:
            near = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_LONGEST_LABEL]
            hint = f"; {near} would do" if near else ""
            self.wrong(where, f"{text!r} is no name for Kubernetes: small letters, digits and - between them{hint}")
        return text

    def _fields(self, mapping: Mapping[Any, Any], known: Sequence[str], where: str) -> None:
        for name in mapping:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                hint = f"; is {near[0]} meant?" if near else f"; there are {', '.join(known)}"
                self.wrong(where, f"no field is named {name!r}{hint}")
