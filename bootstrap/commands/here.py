"""What several commands ask first: which platform is this, and which interface would a job use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from .. import settings
from ..errors import BootstrapError
from ..job import PlatformFacts, Sourced
from ..network.interfaces import Interface, choose
from ..platforms import identify, salvage
from ..settings import Resolved


class Here(NamedTuple):
    """``trouble`` is what is wrong with the platform's environment; ``facts`` are then only what is certain."""

    facts: PlatformFacts
    resolved: Resolved
    trouble: BootstrapError | None

    def check(self) -> None:
        """Raises the trouble, if there is any."""
        if self.trouble is not None:
            raise self.trouble


def look(environ: Mapping[str, str], **options: str) -> Here:
    """The platform's facts and the settings, as ``bootstrap run`` would find them with ``options``."""
    trouble = None
    try:
        facts = identify(environ, name=options.get("platform") or environ.get(settings.variable("platform")) or None)
    except BootstrapError as error:
        facts, trouble = salvage(environ), error
    return Here(facts, settings.resolve(options, environ, facts.defaults), trouble)


def masker(environ: Mapping[str, str]) -> Callable[[str], str]:
    """What masks the secrets that the environment holds: settings, facts and complaints quote it."""
    from ..credentials.registry import Secrets, register_environment
    from ..process.redact import Redactor

    secrets = Secrets()
    register_environment(environ, secrets)
    return Redactor(secrets).mask


def interface(resolved: Resolved) -> Interface:
    """The interface to use. Raises :class:`InterfaceMissing` when a person asked for one that is not there."""
    name, source = resolved.settings.interface, resolved.sources["interface"]
    by_person = source in (settings.option("interface"), settings.variable("interface"))
    return choose(Sourced(name, source) if name else None, required=by_person)
