"""What several commands ask first: which platform is this, and which interface would a job use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ... import settings, variables
from ...errors import BootstrapError
from ...job import PlatformFacts
from ...platforms import known
from ...settings import Resolved
from ...values import replace


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
    meant = variables.read(environ)
    environ = meant.environ
    name = options.get("platform") or environ.get(settings.variable("platform")) or None
    facts, trouble = known(environ, name=name)
    resolved = settings.resolve(options, environ, facts.defaults)
    warnings = (*meant.warnings, *resolved.warnings, *facts.warnings)
    return Here(replace(facts, warnings=warnings), resolved, trouble)


def masker(environ: Mapping[str, str]) -> Callable[[str], str]:
    """What masks the secrets that the environment holds: settings, facts and complaints quote it."""
    from ...credentials.environment import register_environment
    from ...masking.registry import Secrets
    from ...masking.stream import Redactor

    secrets = Secrets()
    register_environment(environ, secrets)
    return Redactor(secrets).mask
