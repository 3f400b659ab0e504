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
    SHARDS,
    Format,
    format_of_directory,
    is_unfinished,
    matches,
    unfinished_markers,
)

_TORCH_SHARD = re.compile(r"__(?P<rank>\d+)_\d+\.distcp")
_PADDLE_SHARD = re.compile(r"\d+_(?P<save>\d+)\.distcp")
_METADATA = re.compile(r"(?:__\d+)?\.metadata|\d+\.metadata")
_SHARD = re.compile(rb"(?<![\w.-])(?:__\d+_\d+\.distcp|\d+_\d+\.(?:distcp|safetensors))")
_PADDLE = re.compile(r"(?P<stem>.+)\.pd(?P<kind>params|opt|states|ema)")
_TENSORFLOW = re.compile(r"(?P<stem>.+)\.(?:index|data-\d{5}-of-(?P<count>\d{5})|meta)")
_NUMBER = re.compile(r"\d+")
_COUNT = re.compile(
    r"(?<!\d)(?<!rank)(?<!rank[_-])(?<!shard[_-])(?<!part[_-])(?<![tpmdn]p)(?<![tpmd]p[_-])(?<!node[_-])\d+"
)
_WORD = re.compile(r"[^\s\"'\\/:,;()\[\]{}]+")
_MOST_METADATA = 256 << 20
_TIMES_AS_QUIET = 20
"""How much longer a directory has to be quiet where something is usual that would tell, and is missing."""

_TOGETHER = 1.0
"""Seconds after what comes last in which ranks that save side by side may still write."""

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
    groups, pairs = _tensorflow(items), _paddle(items)
    for name, item in items.items():
        root = _root_of(name, roots)
        if root is not None:
            form, label = roots[root]
            unit = units.setdefault(root, Unit("checkpoint", root or ".", format=label, form=form))
        elif name in groups:
            stem = groups[name]
            unit = units.setdefault(stem, Unit("checkpoint", stem, format="tensorflow"))
        elif name in pairs:
            unit = units.setdefault(pairs[name], Unit("checkpoint", pairs[name], format="paddle"))
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


def _paddle(items: Mapping[str, Item]) -> dict[str, str]:
    """The parameters that the state of an optimizer belongs to, by its name and theirs: one is nothing without the
    other, and ``Model.load`` takes both by what their names have in common.
    """
    stems: dict[str, set[str]] = {}
    for name in items:
        if found := _PADDLE.fullmatch(name):
            stems.setdefault(found["stem"], set()).add(name)
    whole = {stem: names for stem, names in stems.items() if len(names) > 1 and f"{stem}.pdparams" in names}
    return {name: f"{stem}.pdparams" for stem, names in whole.items() for name in names}


def _kind(name: str, item: Item, globs: Collection[str]) -> Kind:
    last = name.rpartition("/")[2]
    if item.found is None:
        return "loose"
    if any(fnmatchcase(name, glob) for glob in globs):
        return "checkpoint"
    if matches(last, FILES) and not matches(last, SHARDS):
        return "checkpoint"
    return "pointer" if is_pointer(name, item.size) else "loose"


def is_pointer(path: str, size: int) -> bool:
    """Whether a file of this name and size names checkpoints."""
    return matches(path.rpartition("/")[2], POINTERS) and size <= LONGEST_POINTER


# --- whether a checkpoint is whole on this disk ---


def unfinished(
    unit: Unit, items: Mapping[str, Item], now: float, quiet: float, *, nodes: int = 1, elsewhere: bool = False
) -> str:
    """Why the unit is not to be taken yet, "" if it may be. That nobody has it open is for others to find out.

    ``quiet`` is for how many seconds a directory without other evidence must not have been written to, by the clock of
    ``now``, which is that of the files; 0: it need not be. With several ``nodes``, what is written last may be on
    another one; that it is whole ``elsewhere`` tells as much as a pointer.
    """
    if is_unfinished(unit.path) or any(is_unfinished(item.name) for item in unit.items):
        return "its name says that it is being written"
    marker = next((name for name in sorted(unfinished_markers(unit.path)) if name in items), "")
    if marker:
        return f"{marker} is beside it"
    for item in unit.items:
        cut = cut_short(item.path, item.name) if unit.kind == "checkpoint" and item.path is not None else ""
        if cut:
            return f"{item.name}: {cut}"
    if unit.format == "tensorflow":
        return _unfinished_tensorflow(unit)
    if unit.format == "paddle" and quiet and now - unit.modified < quiet:
        return f"written to {now - unit.modified:.1f} s ago"  # the one is new, and the other may be about to be
    if unit.form is None:
        return ""
    names = {_below(unit, item) for item in unit.items}
    form, still = unit.form, now - unit.modified
    lacking = set(needs(unit, 0)) - {item.name for item in unit.items} if nodes == 1 else set()
    if lacking:
        return f"{sorted(lacking)[0]} belongs to it, and is not there yet"
    told_at = _told_at(unit, items)
    if told_at is not None and _newest(unit) <= told_at + _TOGETHER:
        return ""
    missing = f"there is no {form.last[0] if form.last else form.pointer} yet"
    if told_at is None and form.pointer and _pointed(unit, items) == "before" and not elsewhere:
        return missing  # whoever keeps the pointer has not come so far, and quiet is who hangs as well
    strict = told_at is None and _is_strict(unit, names, nodes, elsewhere)
    if not quiet or still >= (_TIMES_AS_QUIET * quiet if strict else quiet):
        return ""
    return missing if strict else f"written to {still:.1f} s ago"


def tells_that_it_is_whole(unit: Unit, items: Mapping[str, Item]) -> bool:
    """Whether more than silence does, of what :func:`unfinished` has nothing to say against."""
    if unit.form is None:
        return unit.format != "paddle"
    told_at = _told_at(unit, items)
    return told_at is not None and _newest(unit) <= told_at + _TOGETHER


def _told_at(unit: Unit, items: Mapping[str, Item]) -> float | None:
    """When that was written which tells that a directory is whole: then what is older in it is. None without it."""
    form = unit.form
    assert form is not None
    told = [item for item in unit.items if matches(_below(unit, item), form.last)]
    if form.pointer and _pointed(unit, items) == "past":
        told.append(items[_pointer_of(unit)])
    if told and form.renamed:
        return _newest(unit)
    return max((item.found.st_mtime for item in told if item.found is not None), default=None)


def _newest(unit: Unit) -> float:
    """When the newest of its files was written, by their own times."""
    return max((item.found.st_mtime for item in unit.items if item.found is not None), default=0.0)


def _is_strict(unit: Unit, names: Collection[str], nodes: int, elsewhere: bool) -> bool:
    """Whether something is usual that would tell that a directory is whole, and is missing. On several nodes what comes
    last comes on one of them, and readers wait for it there.
    """
    form = unit.form
    assert form is not None
    if nodes > 1 and (elsewhere or not form.pointer):
        return False
    early = not form.names or any(matches(name, form.early) for name in names)
    return bool(form.pointer or (form.last and early))


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


def _pointed(unit: Unit, items: Mapping[str, Item]) -> Literal["past", "before", ""]:
    """Whether the pointer beside the unit names it, or one with a higher number; or one with a lower number."""
    name = unit.path.rpartition("/")[2]
    pointer = items.get(_pointer_of(unit))
    if pointer is None or pointer.path is None:
        return ""
    text = _text(pointer.path)
    mine, named = _NUMBER.findall(name), _NUMBER.findall(text)
    if name in text.split() or bool(mine and named and int(named[-1]) >= int(mine[-1])):
        return "past"
    return "before" if mine and named else ""


def _pointer_of(unit: Unit) -> str:
    assert unit.form is not None
    above, slash, _ = unit.path.rpartition("/")
    return f"{above}{slash}{unit.form.pointer}"


def needs(unit: Unit, node: int) -> tuple[str, ...]:
    """The files that must be there for the unit to be complete, perhaps other nodes'."""
    here = f"{unit.path}/" if unit.path != "." else ""
    names = {item.name for item in unit.items}
    wanted: set[str] = set()
    by_rank = any(re.search(r"(?:^|/)__\d+\.metadata$", name) for name in names)
    for item in unit.items:
        last = item.name.rpartition("/")[2]
        above = item.name[: len(item.name) - len(last)]
        if item.path is None:
            continue
        if _METADATA.fullmatch(last):
            wanted |= {above + name for name in _shards(item.path)}
        elif last.endswith(".index.json"):
            wanted |= {above + name for name in _weights(item.path)}
        elif found := _TORCH_SHARD.fullmatch(last):
            wanted.add(above + (f"__{found['rank']}.metadata" if by_rank else ".metadata"))
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


def _below(unit: Unit, item: Item) -> str:
    """The item's name within the unit's directory."""
    return item.name if unit.path == "." else item.name[len(unit.path) + 1 :]


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LONGEST_POINTER).decode("utf-8", "replace")
    except OSError:
        return ""
