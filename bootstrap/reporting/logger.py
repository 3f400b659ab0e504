"""A logger of structlog's, without what ``import structlog`` loads for everybody else.

The only place that knows structlog. Its package brings tracebacks in colour, the standard library's logging, helpers
for tests, rich and asyncio along, with ``dataclasses`` and ``inspect`` below them: 40 ms, more than all that a job does
before its command. The logger itself is five small modules.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

Event = MutableMapping[str, Any]
Processor = Callable[[object, str, Event], Event]


def make_logger(*processors: Processor) -> Any:
    """What has a method for each level, which hands the event to each of the processors in turn: the last one drops it
    (:func:`dropped`), since all is written by then.
    """
    with _standing_in({"rich": None, "asyncio": _late("asyncio")}):
        try:
            with _standing_in(_package()):
                core = import_module("structlog._native")
        except ImportError:  # another structlog, which has it elsewhere
            core = import_module("structlog")
    return core.make_filtering_bound_logger(0)(None, processors, {})


def dropped() -> BaseException:
    """What a processor raises when nothing is left to be done."""
    from structlog.exceptions import DropEvent

    return DropEvent()


def _package() -> dict[str, ModuleType]:
    """The package as a place where its modules are found, whose own code runs when somebody else needs it."""
    spec = None if "structlog" in sys.modules else PathFinder.find_spec("structlog")
    if spec is None or spec.submodule_search_locations is None:
        return {}
    package = _late("structlog")
    package.__path__ = list(spec.submodule_search_locations)
    return {"structlog": package}


@contextmanager
def _standing_in(modules: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """Have an import find these instead; ``None``: there is none."""
    there = {name: sys.modules.get(name) for name in modules}
    sys.modules.update({name: there[name] or modules[name] for name in modules})  # type: ignore[misc]  # it may be None
    try:
        yield
    finally:
        for name, module in there.items():
            if module is None:
                del sys.modules[name]


def _late(name: str) -> ModuleType:
    """A module that is imported when somebody asks it for something."""
    module = ModuleType(name)
    module.__dict__["__getattr__"] = lambda attribute: getattr(import_module(name), attribute)
    return module
