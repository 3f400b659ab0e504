"""The stores for commands outside a job: with the keys and the settings that ``bootstrap run`` would use here."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping

from ... import access, settings, variables
from ...credentials.decrypt import decrypt_environment
from ...credentials.environment import register_environment
from ...credentials.hardening import harden
from ...job import Log
from ...masking.registry import Secrets
from ...storage.open import Stores


def add_store_options(parser: argparse.ArgumentParser, *, without: Collection[str] = ("verify",)) -> None:
    """The options of ``bootstrap run`` that are about the object store, except the settings ``without``."""
    group = parser.add_argument_group("the object store", "as of bootstrap run; BOOTSTRAP_* variables count, too")
    for name, knob, _ in settings.knobs():
        if knob.group == settings.STORE and name not in without:
            group.add_argument(settings.option(name), metavar=knob.metavar, help=knob.help.replace("%", "%%"))


def store_options(arguments: argparse.Namespace) -> dict[str, str]:
    """Those that were given, as texts by the settings' names: for :func:`open_stores`, which checks them."""
    given = vars(arguments)
    names = [name for name, knob, _ in settings.knobs() if knob.group == settings.STORE]
    # A flag is another's: `bootstrap outputs` has a --verify of its own.
    return {name: given[name] for name in names if isinstance(given.get(name), str)}


def open_stores(environ: Mapping[str, str], secrets: Secrets, log: Log, **options: str) -> Stores:
    """Nothing is opened and no key is read before a store is used. What is read is registered in ``secrets``; from here
    on this process is closed to others of its user, as far as the kernel allows it.

    Raises :class:`SecretUnreadable` for an encrypted variable that cannot be decrypted, :class:`UsageError` for a
    setting that cannot be used.
    """
    meant = variables.read(environ)
    environ = meant.environ
    resolved = settings.resolve(options, environ, {})
    for warning in (*meant.warnings, *resolved.warnings):
        log.warning(warning)
    chosen = resolved.settings
    harden()
    register_environment(environ, secrets)
    decrypted = decrypt_environment(environ, secrets, log)
    return access.open_stores(environ, chosen, decrypted=decrypted, secrets=secrets, log=log)[1]
