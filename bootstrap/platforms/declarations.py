"""``MA_INPUTS`` and ``MA_OUTPUTS``: the JSON in which ModelArts declares a job's data, in its v1 and v2 shapes.

Only the fields seen in Huawei's own published readers are used; every other key is left alone. Shapes::

    v1  {"inputs": [{"name": .., "parameter": {"label": .., "value": SUBDIR},
                     "data_source": {"obs" | "dataset": {"obs_url": URL}}}]}
    v2  {"inputs" | "outputs": [{"name": .., "local_dir": DIR,
                     "remote": {"obs" | "dataset" | "datasets": {"obs_url": URL}}}]}
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from ..errors import DeclarationUnreadable
from ..ground.json_text import load_json
from ..job import Input, Output
from .reading import store_url

_DATASETS = ("dataset", "datasets")  # the REST interface and the environment do not agree on the plural


def v1_inputs(environ: Mapping[str, str], home: str) -> tuple[tuple[Input, ...], list[str]]:
    """What v1 asks to be fetched, each into ``<home>/modelarts/inputs/<parameter.value>``, and warnings.

    Raises :class:`DeclarationUnreadable`.
    """
    inputs, warnings = [], []
    for where, entry in _entries(environ, "MA_INPUTS", "inputs"):
        subdirectory = _text(_mapping(entry, "parameter", where), "value", f"{where}.parameter")
        if PurePosixPath(subdirectory).is_absolute() or ".." in PurePosixPath(subdirectory).parts:
            raise _unreadable(f"{where}.parameter.value", "a directory below the inputs", subdirectory)
        kind, url = _url(_mapping(entry, "data_source", where), f"{where}.data_source")
        name = str(entry.get("name") or subdirectory)
        if kind in _DATASETS:
            warnings.append(f"input {name} is a dataset: its manifest is fetched, not the files that it lists")
        inputs.append(Input(name, url, f"{home.rstrip('/')}/modelarts/inputs/{subdirectory}", where))
    return tuple(inputs), warnings


def v2_inputs(environ: Mapping[str, str]) -> tuple[str, ...]:
    """What the v2 platform has fetched itself, in words: only reported. Raises :class:`DeclarationUnreadable`."""
    told = []
    for where, entry in _entries(environ, "MA_INPUTS", "inputs"):
        _, url = _url(_mapping(entry, "remote", where), f"{where}.remote")
        directory = _text(entry, "local_dir", where)
        told.append(f"input {entry.get('name') or where}: {url} is at {directory}, put there by the platform")
    return tuple(told)


def v2_outputs(environ: Mapping[str, str]) -> tuple[Output, ...]:
    """The directories that v2 itself keeps in step with object storage. Raises :class:`DeclarationUnreadable`."""
    outputs = []
    for where, entry in _entries(environ, "MA_OUTPUTS", "outputs"):
        _, url = _url(_mapping(entry, "remote", where), f"{where}.remote")
        directory = _text(entry, "local_dir", where)
        outputs.append(Output(directory, url, where, name=str(entry.get("name") or ""), by_platform=True))
    return tuple(outputs)


def _entries(environ: Mapping[str, str], variable: str, key: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Each entry with its place (``MA_INPUTS inputs[0]``). An unset or empty variable is normal and has none."""
    text = environ.get(variable, "")
    if not text.strip():
        return
    try:
        document = load_json(text)
    except json.JSONDecodeError as error:
        excerpt = text[max(0, error.pos - 30) : error.pos + 30]
        raise DeclarationUnreadable(
            f"{variable} is not JSON",
            where=f"{variable}, line {error.lineno}, column {error.colno}",
            why=f"{error.msg} at {excerpt!r}",
        ) from error
    except ValueError as error:
        raise DeclarationUnreadable(f"{variable} is nested too deeply", where=variable) from error
    if not isinstance(document, dict):
        raise _unreadable(variable, "an object", document)
    entries = document.get(key) or []
    if not isinstance(entries, list):
        raise _unreadable(f"{variable} {key}", "a list", entries)
    for position, entry in enumerate(entries):
        where = f"{variable} {key}[{position}]"
        if not isinstance(entry, dict):
            raise _unreadable(where, "an object", entry)
        yield where, entry


def _url(source: Mapping[str, object], where: str) -> tuple[str, str]:
    for kind in ("obs", *_DATASETS):
        if kind in source:
            return kind, store_url(_text(_mapping(source, kind, where), "obs_url", f"{where}.{kind}"))
    raise _unreadable(where, "one of obs, dataset, datasets", dict(source))


def _mapping(entry: Mapping[str, object], key: str, where: str) -> Mapping[str, object]:
    value = entry.get(key)
    if not isinstance(value, dict):
        raise _unreadable(f"{where}.{key}", "an object", value)
    return value


def _text(entry: Mapping[str, object], key: str, where: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise _unreadable(f"{where}.{key}", "a text that is not empty", value)
    return value


def _unreadable(where: str, wanted: str, found: object) -> DeclarationUnreadable:
    excerpt = json.dumps(found, ensure_ascii=False, default=str)
    shown = excerpt if len(excerpt) <= 80 else excerpt[:77] + "..."
    return DeclarationUnreadable(
        "a declaration of data has another shape than expected", where=where, why=f"wanted {wanted}, found {shown}"
    )
