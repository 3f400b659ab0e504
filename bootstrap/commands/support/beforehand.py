"""A job as `bootstrap run` would have it, with nothing made, fetched or started: for `doctor` and `plan`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from threading import Event

from ... import access, settings, variables
from ...assemble import INSIDE, assemble, inner
from ...credentials.decrypt import decrypt_environment
from ...credentials.environment import register_environment, register_words
from ...credentials.hardening import Hardening, harden
from ...errors import BootstrapError
from ...launchers.python.activate import activate
from ...masking.registry import Secrets
from ...masking.stream import Redactor
from ...platforms import known
from ...process.supervise.oom_score import OomScore
from ...reporting.console import Silence
from ...results import Access, Asked, Decided
from ...run import CodeUnavailable
from ...steps import identify, launch
from ...values import dataclass
from .job_arguments import asked


@dataclass(frozen=True, slots=True)
class Beforehand:
    """``decided`` has no troubles of its own: all there are, in the order of the steps that would raise them, are in
    ``troubles``. ``environ`` is the command's, without what a launcher adds; ``mask`` hides every secret of it.
    """

    decided: Decided
    access: Access
    environ: Mapping[str, str]
    troubles: tuple[BootstrapError, ...]
    warnings: tuple[str, ...]
    mask: Callable[[str], str]


def look(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Beforehand:
    """Everything decided and the keys decrypted; what keeps a step from its work is among the troubles."""
    options, command = asked(arguments)
    meant = variables.read(environ)
    secrets = arguments.secrets = Secrets()
    harden()
    _register(options, command, meant.environ, secrets)
    troubles: list[BootstrapError] = []
    name = options.get("platform") or meant.environ.get(settings.variable("platform")) or None
    facts, trouble = known(meant.environ, name=str(name) if name else None)
    troubles += [trouble] if trouble else []
    if environ.get(INSIDE):
        facts = inner(facts, environ[INSIDE])
    resolved = settings.resolve(options, meant.environ, facts.defaults, problems=troubles)
    decided = Decided(Asked(options, command, environ, meant), resolved, assemble(facts, resolved, command))
    try:
        identify.check(decided)
    except CodeUnavailable as error:
        troubles += [error.error] if isinstance(error.error, BootstrapError) else []
    except BootstrapError as error:
        troubles.append(error)
    decrypted: Mapping[str, str] = {}
    try:
        decrypted = decrypt_environment({**meant.environ, **facts.environ}, secrets, Silence())
    except BootstrapError as error:
        troubles.append(error)
    keyring, stores = access.open_stores(
        meant.environ, resolved.settings, decrypted=decrypted, secrets=secrets, log=Silence()
    )
    unlocked = Access(decrypted, keyring, stores, Hardening.none(), OomScore())
    mask = Redactor(secrets).mask
    made = _environment(decided, unlocked, mask, troubles)
    warnings = (*meant.warnings, *resolved.warnings, *facts.warnings)
    return Beforehand(decided, unlocked, made, tuple(troubles), warnings, mask)


def _environment(
    decided: Decided, unlocked: Access, mask: Callable[[str], str], troubles: list[BootstrapError]
) -> Mapping[str, str]:
    chosen = decided.settings
    try:
        environ = launch.command_environment(decided, unlocked)
        made = activate(
            decided.job,
            environ,
            conda_env=chosen.conda_env,
            venv=chosen.venv,
            with_requirements=False,
            stop=Event(),
            log=Silence(),
            mask=mask,
        )
    except BootstrapError as error:
        troubles.append(error)
        return decided.asked.environ
    return made.environ


def _register(
    options: Mapping[str, str | list[str] | bool], command: list[str], environ: Mapping[str, str], secrets: Secrets
) -> None:
    register_environment(environ, secrets)
    words = list(command)
    for name, knob, _ in settings.knobs():
        value = options.get(name)
        if isinstance(value, str):
            words.append(value)
            if knob.secret:
                secrets.add(settings.option(name), value)
        elif isinstance(value, list):
            words += value
    register_words(words, secrets)
