"""The text of a job file as YAML: what a parser would blame on another line, or on nothing at all, is found before it.

Tabs and full-width signs come from editors and input methods: a parser notices them where the next line stops making
sense. All of them are named at once, each with its own line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import JobFileInvalid, UsageError

_TAB = re.compile(r"(?: *(?:- +)*-?)?\t\s*\S|\s*(?:- +)*[\w\"'-]+ *: *\t\s*[^\s#]")
"""A tab before a field, behind the dash of a list, or between a colon and its value."""
_TAB_BEHIND = re.compile(r"\t+(?=[ \t]*(?:#.*)?$)")
_WIDE = re.compile(
    r"^\s*(?:- +)*(jobname|tasks|amount|name|workingDir|command|args|image|resources|cpu|memory|gpu|ports|number)\s*："
)
_WIDE_SIGNS = {"：": ":", "，": ",", "“": '"', "”": '"', "‘": "'", "’": "'", "［": "[", "］": "]", "【": "[", "】": "]",
               "｛": "{", "｝": "}", "　": "a space", "\u00a0": "a space", "－": "-"}  # fmt: skip
_KIND = re.compile(r"^kind:\s*[\"']?(\w+)", re.MULTILINE)
_API = re.compile(r"^apiVersion:\s*[\"']?([\w./-]+)", re.MULTILINE)


def load(text: str, path: Path) -> Any:
    """The document in ``text``. Raises :class:`JobFileInvalid` with all that is wrong, each with its line."""
    try:
        import yaml
    except ImportError as error:
        raise UsageError(
            "job files need PyYAML",
            where=str(path),
            remedy="pip install 'PyYAML>=6' where bootstrap is installed; the runtime /opt/bootstrap has it",
        ) from error
    _check_kind(text, path)
    wide = [finding for number, line in _lines(text) if (finding := _wide_colon(number, line))]
    if wide:
        raise JobFileInvalid.of(wide, path)
    loader = _loader(path)
    try:
        return yaml.load(text, loader)
    except yaml.composer.ComposerError as error:
        if "single document" not in str(error) or error.problem_mark is None:
            raise JobFileInvalid(
                "the job file is not YAML", where=str(path), why=" ".join(str(error).split())
            ) from error
        line = error.problem_mark.line + 1
        raise JobFileInvalid.of(
            [f"line {line}: --- begins a second document; a job file holds one job: give each a file of its own"], path
        ) from error
    except yaml.YAMLError as error:
        wrong = list(_suspects(text))
        if wrong:
            raise JobFileInvalid.of(wrong, path) from error
        without = "\n".join(_TAB_BEHIND.sub(" ", line) for line in text.split("\n"))
        if without != text:  # tabs behind values, as the guide's own template has them: nobody sees them
            return load(without, path)
        raise JobFileInvalid("the job file is not YAML", where=str(path), why=" ".join(str(error).split())) from error
    except RecursionError:
        raise JobFileInvalid("the job file is nested too deeply", where=str(path)) from None
    except ValueError as error:  # a date that no calendar has, a number that is too long
        raise JobFileInvalid("a value in the job file is none", where=str(path), why=str(error)) from error


def comment_lines(text: str) -> list[int]:
    """The lines that hold comments; a script's own are none."""
    import yaml

    try:
        tokens = list(yaml.scan(text))
    except yaml.YAMLError:  # tabs behind values, which were let through
        return comment_lines("\n".join(_TAB_BEHIND.sub(" ", line) for line in text.split("\n"))) if "\t" in text else []
    marks = [(one.start_mark.index, one.end_mark.index) for one in tokens if isinstance(one, yaml.ScalarToken)]
    signs = [found.start() for found in re.finditer(r"(?<!\S)#", text)]
    comments = [sign for sign in signs if not any(begin <= sign < end for begin, end in marks)]
    return list(dict.fromkeys(text.count("\n", 0, sign) + 1 for sign in comments))


def _check_kind(text: str, path: Path) -> None:
    kind, api = _KIND.search(text), _API.search(text)
    if not kind or not api:
        return
    if kind[1] == "Job" and api[1].startswith("batch.volcano.sh/"):
        raise JobFileInvalid(
            "this is a Volcano Job already, and no job file of the GPU manager",
            where=str(path),
            why=f"it says apiVersion: {api[1]} and kind: Job",
            remedy=f"give it to the cluster as it is: kubectl create -f {path.name}",
        )
    raise JobFileInvalid(
        f"this is a Kubernetes {kind[1]}, and no job file of the GPU manager",
        where=str(path),
        why=f"it says apiVersion: {api[1]}, and a job file begins with jobname: and tasks:",
        remedy=f"give it to the cluster as it is: kubectl create -f {path.name}",
    )


def _lines(text: str) -> Iterator[tuple[int, str]]:
    yield from enumerate(text.splitlines(), 1)


def _wide_colon(number: int, line: str) -> str:
    found = _WIDE.match(line)
    return f"line {number}: a full-width colon (：) behind {found[1]}; write {found[1]}: and a space" if found else ""


def _suspects(text: str) -> Iterator[str]:
    """What keeps a text from being YAML although it looks right."""
    for number, line in _lines(text):
        if line.lstrip().startswith("#"):
            continue
        if _TAB.match(line):
            yield f"line {number}: a tab; YAML has spaces only, before a field and behind its colon"
        code = re.sub(r"\"[^\"]*\"|'[^']*'|#.*", "", line)
        for sign in dict.fromkeys(character for character in code if character in _WIDE_SIGNS):
            meant = _WIDE_SIGNS[sign]
            shown = f"{sign!r}" if meant == "a space" else sign
            yield f"line {number}: the sign {shown} of an input method, where YAML wants {meant}"


def _loader(path: Path) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """PyYAML takes the last of two equal keys without a word."""

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        seen: list[Any] = []
        for entry, _ in node.value:
            if entry.tag.endswith(":merge"):  # << takes the fields of another task, which may be overridden here
                continue
            key = loader.construct_object(entry)
            if key in seen:
                line = entry.start_mark.line + 1
                raise JobFileInvalid(
                    f"{key!r} is given twice", where=f"{path}, line {line}", remedy="remove one of them"
                )
            seen.append(key)
        return dict(loader.construct_mapping(node, deep=True))

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    return Loader
