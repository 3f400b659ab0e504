"""Every message that a person can get to read, in one place: ``python -m tests.reporting.messages`` prints them all.

They are read out of the source: what the log is told (as the console shows it), every error with its place, cause and
remedy, and every text that has two languages. Values get a sample by their names.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from importlib import import_module
from typing import NamedTuple

from bootstrap import errors
from bootstrap.cli import make_parser
from bootstrap.commands.table import COMMANDS
from bootstrap.diagnosis.catalogue import entries
from bootstrap.diagnosis.own import CHINESE
from bootstrap.errors import BootstrapError
from bootstrap.reporting.prose import sentence
from bootstrap.settings import knobs, option
from docs import chinese
from tests.lab.sharing import ROOT

LEVELS = ("info", "warning", "error")
LOGS = re.compile(r"(^|\.|_)(log|console|out|terminal)$")
SAMPLES = {
    r"url|target|source|destination|where$|base|prefix|root": "obs://bucket/models/",
    r"path|file|directory|dir$|place|home": "/home/work/models/step-100.pt",
    r"error|why|reason|cause|problem|text|detail": "connection refused",
    r"seconds|_s$|after|delay|interval|timeout|grace|left|^in_|for_": "12.5",
    r"signal": "TERM",
    r"node|rank|index|number|port|count|size|code|status|len\(|files|bytes|slots|amount|total": "3",
    r"host|address|name_of_host": "worker-1",
    r"variable|name|option|key": "BOOTSTRAP_LOG",
    r"command|argv|word|program": "python train.py",
    r"platform": "dls",
    r"launcher": "torchrun",
}
ERRORS = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, BootstrapError)
}


class Message(NamedTuple):
    place: str
    kind: str  # of a log: its level; of an error: its id; else "words"
    en: str
    zh: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.kind}: {self.en}" + (f"\n    {self.zh}" if self.zh else "")


def everything() -> list[Message]:
    """All of them, by file and line."""
    found: list[Message] = []
    for path in sorted((ROOT / "bootstrap").rglob("*.py")):
        reader = _Reader(ast.parse(path.read_text()))
        found += (message._replace(place=f"{path.relative_to(ROOT)}:{message.place}") for message in reader.messages())
    found += [Message(f"rule {one.id}", "words", one.text.en, one.text.zh) for one in entries()]
    found += [Message(f"rule {one.id}", "words", one.remedy.en, one.remedy.zh) for one in entries() if one.remedy]
    found += [Message(option(name), "setting", knob.help, chinese.SETTINGS[name]) for name, knob, _ in knobs()]
    for kind in errors.catalogue():
        what, remedy = CHINESE[kind.id]
        found += [Message(kind.id, "words", kind.meaning, what), Message(kind.id, "words", kind.remedy_hint, remedy)]
    for name, description in COMMANDS.items():
        found.append(Message(f"bootstrap {name}", "help", description))
        found += [Message(f"bootstrap {name}", "help", text) for text in _helps(name)]
    return found


def _helps(command: str) -> Iterator[str]:
    """What --help says of each option of a command; those of a job are the settings."""
    module = import_module(f"bootstrap.commands.{command.replace('-', '_')}")
    for action in make_parser(command, module)._actions:
        if action.help and action.help != argparse.SUPPRESS:
            yield f"{', '.join(action.option_strings) or action.metavar or action.dest}: {action.help}"


class _Reader:
    """The messages of one module."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._constants = {
            node.targets[0].id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }

    def messages(self) -> Iterator[Message]:
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call):
                yield from self._of(node)

    def _of(self, call: ast.Call) -> Iterator[Message]:
        name = ast.unparse(call.func)
        owner, _, method = name.rpartition(".")
        given = {word.arg: self._text(word.value, word.arg) for word in call.keywords if word.arg}
        if method in LEVELS and LOGS.search(owner) and call.args:
            facts = {key: value for key, value in given.items() if key != "mark"}
            yield Message(str(call.lineno), method, sentence(self._text(call.args[0]), facts))
        elif kind := ERRORS.get(name.rpartition(".")[2]):
            if call.args and name != "InternalError.of":
                known = {key: given[key] for key in ("where", "why", "remedy") if key in given}
                yield Message(str(call.lineno), kind.id, str(kind(self._text(call.args[0]), **known)))
        elif name == "Words" and len(call.args) == 2:
            en, zh = (self._text(one) for one in call.args)
            yield Message(str(call.lineno), "words", en, zh)

    def _text(self, node: ast.expr, called: str = "") -> str:
        """A text with samples for its values."""
        if isinstance(node, ast.Constant):
            return str(node.value)
        if isinstance(node, ast.JoinedStr):
            return "".join(self._text(part) for part in node.values)
        if isinstance(node, ast.FormattedValue):
            text = self._text(node.value)
            return repr(text) if node.conversion == ord("r") else text
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self._text(node.left) + self._text(node.right)
        if isinstance(node, ast.IfExp):
            return self._text(node.body)
        if isinstance(node, ast.Name) and node.id in self._constants:
            return self._text(self._constants[node.id])
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "counted":
            words = [self._text(one) for one in node.args[1:]]
            return f"3 {words[1] if len(words) > 1 else words[0] + 's'}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "join":
            return "a, b"
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("readable", "duration"):
            return "1.2 MB" if ast.unparse(node.func) == "readable" else "12 s"
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) and isinstance(node.left, ast.Constant):
            return str(node.left.value)  # 's' * (count != 1)
        return sample(called or ast.unparse(node))


def sample(name: str) -> str:
    """What a value of that name may be."""
    last = re.sub(r"\W*$", "", name).rpartition(".")[2].lower()
    for pattern, value in SAMPLES.items():
        if re.search(pattern, last):
            return value
    return f"<{name}>"


if __name__ == "__main__":
    print(*everything(), sep="\n")
