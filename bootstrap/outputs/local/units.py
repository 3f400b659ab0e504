"""Files become units: a checkpoint, which goes as a whole or not at all; a pointer; or a file of its own.

Nothing here looks at the disk but for two small texts: what DCP's ``.metadata`` names, and what a pointer says.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from ...ground.json_text import load_json
from ...storage.upload.walk import Item
from ...values import dataclass, field
from .clock import Clock
from .integrity import cut_short
from .patterns import (
    FILES,
    LONGEST_POINTER,
    MARKER,
    POINTERS,
    UNFINISHED_MARKER,
    Format,
    format_of_directory,
    is_unfinished,
    matches,
)

_TORCH_SHARD = re.compile(r"__\d+_\d+\.distcp")
_PADDLE_SHARD = re.compile(r"\d+_(?P<save>\d+)\.distcp")
_SHARD = re.compile(rb"(?<![\w.-])__\d+_\d+\.distcp")
_TENSORFLOW = re.compile(r"(?P<stem>.+)\.(?:index|data-\d{5}-of-(?P<count>\d{5})|meta)")
_NUMBER = re.compile(r"\d+")
_COUNT = re.compile(
    r"(?<!\d)(?<!rank)(?<!rank[_-])(?<!shard[_-])(?<!part[_-])(?<![tpmdn]p)(?<![tpmd]p[_-])(?<!node[_-])\d+"
)
_WORD = re.compile(r"[^\s\"'\\/:,;()\[\]{}]+")
_MOST_METADATA = 256 << 20
_TIMES_AS_QUIET = 20
"""How much longer a directory has to be quiet where something is usual that would tell, and is missing."""

_TRAINERS = frozenset(
    {"config.json", "adapter_config.json", "training_args.bin", "model.safetensors", "pytorch_model.bin"}
)
"""What ``Trainer`` has written when it has not yet written ``trainer_state.json``; others call directories so, too."""

_TRAINERS_OWN = "training_args.bin"
"""What nobody but ``Trainer`` writes."""

Kind = Literal["checkpoint", "pointer", "loose"]


@dataclass(slots=True)
class Unit:
    """``path`` is the file's or the directory's in the output directory, ``.`` that itself."""

    kind: Kind
    path: str
    items: list[Item] = field(default_factory=list)
    format: str = "file"
    form: Format | None = None
    """Set for directories."""

    clock: Clock | None = None
    """Which knows when files were written, as far as their times do not tell."""

    @property
    def modified(self) -> float:
        """When the newest of its files was written."""
        if self.clock is not None:
            return max((self.clock.written(item) for item in self.items), default=0.0)
        return max((item.found.st_mtime for item in self.items if item.found is not None), default=0.0)

    @property
    def size(self) -> int:
        return sum(item.size for item in self.items)

    @property
    def is_directory(self) -> bool:
        return self.form is not None


def units_of(items: Mapping[str, Item], globs: Collection[str] = (), clock: Clock | None = None) -> list[Unit]:
    """Every item in exactly one unit, the newest checkpoint first, then what is no checkpoint, then pointers."""
    directories = _directories(items)
    roots = _roots(directories, globs)
    units: dict[str, Unit] = {}
    groups = _tensorflow(items)
    for name, item in items.items():
        root = _root_of(name, roots)
        if root is not None:
            form, label = roots[root]
            unit = units.setdefault(root, Unit("checkpoint", root or ".", format=label, form=form))
        elif name in groups:
            stem = groups[name]
            unit = units.setdefault(stem, Unit("checkpoint", stem, format="tensorflow"))
        else:
            unit = units.setdefault(name, Unit(_kind(name, item, globs), name))
        unit.items.append(item)
        unit.clock = clock
    rank = {"checkpoint": 0, "loose": 1, "pointer": 2}
    return sorted(units.values(), key=lambda unit: (rank[unit.kind], -unit.modified, unit.path))


def _directories(items: Mapping[str, Item]) -> dict[str, set[str]]:
    """The names right in each directory, by its path."""
    found: dict[str, set[str]] = {"": set()}
    for name in items:
        above, _, last = name.rpartition("/")
        found.setdefault(above, set()).add(last)
        while above:
            above = above.rpartition("/")[0]
            found.setdefault(above, set())
    return found


def _roots(directories: Mapping[str, set[str]], globs: Collection[str]) -> dict[str, tuple[Format, str]]:
    """The directories that are a checkpoint each."""
    roots: dict[str, tuple[Format, str]] = {}
    for path in sorted(directories):
        files = frozenset(directories[path])
        above = _root_of(path, roots)
        if above is not None and (roots[above][1] != "model" or not path):
            continue
        if path and any(fnmatchcase(path, glob.rstrip("/")) for glob in globs):
            roots[path] = Format("yours", last=(MARKER,) if MARKER in files else ()), "yours"
            continue
        form = format_of_directory(path.rpartition("/")[2], files) if path or files else None
        if form is not None and not (not path and form.name in ("huggingface", "directory")):
            roots[path] = form, form.name
    return roots


def _root_of(name: str, roots: Mapping[str, tuple[Format, str]]) -> str | None:
    """The nearest directory above ``name`` that is a checkpoint. Of the output directory itself, only what is right in
    it belongs to one: beside its files there may be anything.
    """
    above = name.rpartition("/")[0]
    if not above and "" in roots and name:
        return ""
    while above:
        if above in roots:
            return above
        above = above.rpartition("/")[0]
    return None


def _tensorflow(items: Mapping[str, Item]) -> dict[str, str]:
    """The stem of the checkpoint that each file is part of, where there is an index or data beside it."""
    found = {name: match for name in items if (match := _TENSORFLOW.fullmatch(name))}
    stems = {match["stem"] for match in found.values() if match["count"]}
    return {name: match["stem"] for name, match in found.items() if match["stem"] in stems}


def _kind(name: str, item: Item, globs: Collection[str]) -> Kind:
    last = name.rpartition("/")[2]
    if item.found is None:
        return "loose"
    if any(fnmatchcase(name, glob) for glob in globs):
        return "checkpoint"
    if matches(last, FILES):
        return "checkpoint"
    return "pointer" if is_pointer(name, item.size) else "loose"


def is_pointer(path: str, size: int) -> bool:
    """Whether a file of this name and size names checkpoints."""
    return matches(path.rpartition("/")[2], POINTERS) and size <= LONGEST_POINTER


# --- whether a checkpoint is whole on this disk ---


def unfinished(unit: Unit, items: Mapping[str, Item], now: float, quiet: float, *, nodes: int = 1) -> str:
    """Why the unit is not to be taken yet, "" if it may be. That nobody has it open is for others to find out.

    ``quiet`` is for how many seconds a directory without other evidence must not have been written to. With several
    ``nodes``, what is written last may be on another one.
    """
    if is_unfinished(unit.path) or any(is_unfinished(item.name) for item in unit.items):
        return "its name says that it is being written"
    for path in (unit.path, *_above(unit.path)):  # NeMo's is beside the directory that DCP's is in
        if f"{path}{UNFINISHED_MARKER}" in items:
            return f"{path}{UNFINISHED_MARKER} is beside it"
    for item in unit.items:
        cut = cut_short(item.path, item.name) if unit.kind == "checkpoint" and item.path is not None else ""
        if cut:
            return f"{item.name}: {cut}"
    if unit.format == "tensorflow":
        return _unfinished_tensorflow(unit)
    if unit.form is None:
        return ""
    names = {_below(unit, item) for item in unit.items}
    form, still = unit.form, now - unit.modified
    lacking = set(needs(unit, 0)) - {item.name for item in unit.items} if nodes == 1 else set()
    if lacking:
        return f"{sorted(lacking)[0]} belongs to it, and is not there yet"
    if form.last and any(matches(name, form.last) for name in names):
        return ""
    if form.pointer and _pointed_past(unit, items):
        return ""
    strict = bool(form.pointer or (form.last and (not form.names or names & _TRAINERS)))
    if strict and nodes > 1 and not form.pointer:
        strict = False  # what comes last comes on another node, and readers wait for it there
    if still >= (_TIMES_AS_QUIET * quiet if strict else quiet):
        return ""
    return (
        f"there is no {form.last[0] if form.last else form.pointer} yet" if strict else f"written to {still:.1f} s ago"
    )


def lacking(unit: Unit, failed: Iterable[tuple[str, str]]) -> str:
    """What of a directory's checkpoint cannot be had at all, with the reason; "" if that is nothing. ``failed`` has
    names as they are told: those that are not UTF-8 in quotes.
    """
    if unit.form is None:
        return ""
    below = f"{unit.path}/" if unit.path != "." else ""
    for name, why in failed:
        plain = name[1:] if name[:1] in "'\"" else name
        if (plain.startswith(below) and (below or "/" not in plain)) or name == unit.path:
            return f"{name}: {why}"
    return ""


def _unfinished_tensorflow(unit: Unit) -> str:
    names = {item.name for item in unit.items}
    if f"{unit.path}.index" not in names:
        return "there is no .index yet"
    count = next(
        (int(match["count"]) for name in names if (match := _TENSORFLOW.fullmatch(name)) and match["count"]), 0
    )
    have = sum(".data-" in name for name in names)
    return "" if have >= count else f"{have} of {count} data files are there"


def _pointed_past(unit: Unit, items: Mapping[str, Item]) -> bool:
    """Whether the pointer beside the unit names it, or one with a higher number."""
    assert unit.form is not None
    above, slash, name = unit.path.rpartition("/")
    pointer = items.get(f"{above}{slash}{unit.form.pointer}")
    if pointer is None or pointer.path is None:
        return False
    text = _text(pointer.path)
    mine, named = _NUMBER.findall(name), _NUMBER.findall(text)
    return name in text or bool(mine and named and int(named[-1]) >= int(mine[-1]))


def needs(unit: Unit, node: int) -> tuple[str, ...]:
    """The files that must be there for the unit to be complete, perhaps other nodes'."""
    here = f"{unit.path}/" if unit.path != "." else ""
    names = {item.name for item in unit.items}
    wanted: set[str] = set()
    for item in unit.items:
        last = item.name.rpartition("/")[2]
        above = item.name[: len(item.name) - len(last)]
        if item.path is None:
            continue
        if last == ".metadata":
            wanted |= {above + name for name in _shards(item.path)}
        elif last.endswith(".index.json"):
            wanted |= {above + name for name in _weights(item.path)}
        elif _TORCH_SHARD.fullmatch(last):
            wanted.add(above + ".metadata")
        elif found := _PADDLE_SHARD.fullmatch(last):
            wanted.add(f"{above}{found['save']}.metadata")
    if unit.form is not None and unit.form.name == "huggingface" and (node or f"{here}{_TRAINERS_OWN}" in names):
        wanted.add(f"{here}trainer_state.json")
    return tuple(sorted(wanted))


def _shards(metadata: Path) -> set[str]:
    """The names in DCP's pickle, which is not loaded: its strings stand in it as they are."""
    try:
        if metadata.stat().st_size > _MOST_METADATA:
            return set()
        return {name.decode() for name in _SHARD.findall(metadata.read_bytes())}
    except OSError:
        return set()


def _weights(index: Path) -> set[str]:
    """The files that an index of Hugging Face's names."""
    try:
        found = load_json(index.read_bytes()).get("weight_map", {})
        return {name for name in found.values() if isinstance(name, str) and "/" not in name}
    except (OSError, ValueError, AttributeError):
        return set()


def series(path: str) -> str:
    """What the checkpoints of one kind have in common, of which only the newest is needed: the name without its counts.
    Numbers that tell one part of a model from another stay.
    """
    return _COUNT.sub("#", path)


def named_by(pointer: Item, units: Iterable[Unit]) -> list[Unit]:
    """The checkpoints that a pointer names, by name or, where it says only a number, by that."""
    if pointer.path is None:
        return []
    text = _text(pointer.path)
    words = {word for piece in text.split() for word in (piece, *_WORD.findall(piece))}
    words |= {word.rpartition("/")[2] for word in words}
    only = text.strip()
    found = []
    for unit in units:
        name = unit.path.rpartition("/")[2]
        stem = name.removesuffix(".ckpt").removesuffix(".pt").removesuffix(".pth")
        numbers = _NUMBER.findall(name)
        same_number = only.isdecimal() and numbers and int(numbers[-1]) == int(only)
        if unit.kind == "checkpoint" and (words & {name, stem} or same_number):
            found.append(unit)
    return found


def _above(path: str) -> list[str]:
    """The directories that it is in."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _below(unit: Unit, item: Item) -> str:
    """The item's name within the unit's directory."""
    return item.name if unit.path == "." else item.name[len(unit.path) + 1 :]


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LONGEST_POINTER).decode("utf-8", "replace")
    except OSError:
        return ""
