"""Step 2, unlock: encrypted variables decrypted, credentials found, what they give registered to be masked."""

from __future__ import annotations

from contextlib import nullcontext

from .. import access
from ..credentials.decrypt import decrypt_environment
from ..credentials.find import Keyring
from ..credentials.handover import for_command
from ..credentials.hardening import harden
from ..errors import BootstrapError
from ..job import Job, Log
from ..storage.url import parse
from . import names
from .run import Run


def step(run: Run) -> None:
    assert run.job is not None and run.resolved is not None
    names.over_tcp(run)
    try:
        environ = {**run.environ, **run.job.facts.environ}  # a tool that asks for keys asks for names
        run.decrypted = decrypt_environment(environ, run.secrets, run.console)
        # A name that is not there is told now, and not after hours of fetching.
        for_command(run.environ, run.resolved.settings.pass_credentials, run.decrypted)
        open_stores(run)
        assert run.keyring is not None
        with run.fetching_code() if _remote(run.job.code) else nullcontext():
            check_keys(run.job, run.keyring, run.console)
    finally:  # a failure may hold keys, too: those that deliver its log
        if len(run.secrets):
            close_to_others(run)


def close_to_others(run: Run) -> None:
    """Keep what we hold, or are about to read, from other processes."""
    run.hardening = harden()
    for note in run.hardening.notes:
        run.console.debug(note)


def open_stores(run: Run) -> None:
    """The way to the stores, as far as it is known. Never fails."""
    assert run.resolved is not None
    run.keyring, run.stores = access.open_stores(
        run.environ, run.resolved.settings, decrypted=run.decrypted, secrets=run.secrets, log=run.console
    )


def check_keys(job: Job, keyring: Keyring, log: Log) -> None:
    """Read the keys now if this job needs any, so that their absence is known before hours of training.

    A job that only loses its log without them goes on, with a warning.
    """
    places = [job.code, *(item.url for item in job.inputs), *(item.url for item in job.delivered_outputs)]
    needed = any(_remote(url) for url in places)
    if not needed and not _remote(job.log):
        log.info("no keys needed: everything is local")
        return
    try:
        keyring()
    except BootstrapError as error:
        if needed:
            raise
        log.warning(f"the log will not be delivered: {error}")


def _remote(url: str) -> bool:
    return bool(url) and parse(url).is_remote
