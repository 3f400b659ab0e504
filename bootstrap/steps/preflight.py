"""Before the fetch: what would fail later, as far as --preflight has it looked for. A part of connect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .. import access as way
from ..errors import PreflightFailed
from ..reporting.prose import counted
from ..results import Access, Decided
from ..run import Run

if TYPE_CHECKING:
    from ..preflight.checks import Subject


def step(run: Run, decided: Decided, access: Access) -> None:
    """Quick: warnings. Full: a failure ends the run with the cause that its step would have ended it with, an hour
    later. Raises that, or :class:`PreflightFailed`.
    """
    wish = decided.settings.preflight
    if wish == "quick":
        from ..preflight import quick

        for id, what, remedy in quick.troubles(decided.asked.environ):
            run.console.warning(what.then(remedy).to(decided.language), id=id)
    elif wish == "full":
        _full(run, decided, access)


def subject(decided: Decided, access: Access, environ: Mapping[str, str]) -> Subject:
    """What the checks are asked about; ``environ`` is the command's."""
    from ..preflight.checks import Subject

    return Subject(
        decided.job,
        decided.resolved,
        environ,
        access.stores,
        access.keyring,
        lambda: way.endpoint(decided.asked.variables.environ, decided.settings, access.decrypted),
    )


def _full(run: Run, decided: Decided, access: Access) -> None:
    from ..preflight.checks import check
    from ..preflight.findings import Level
    from .launch import command_environment

    lang = decided.language
    found = check(subject(decided, access, command_environment(decided, access)))
    run.record.update(preflight=[dict(one.recorded(lang)) for one in found])
    for one in found:
        if one.level is Level.WARNING:
            run.console.warning(one.what.then(one.remedy).to(lang), id=one.id)
        elif one.level is Level.FAILURE:
            run.console.error(one.what.to(lang), id=one.id)
    failures = [one for one in found if one.level is Level.FAILURE]
    if not failures:
        run.console.info(f"checked before the start: {counted(len(found), 'finding')}, no failure")
        return
    first = next((one.error for one in failures if one.error is not None), None)
    if first is not None:
        raise first
    one = failures[0]
    raise PreflightFailed(one.what.en, where=one.id, remedy=one.remedy.en)
