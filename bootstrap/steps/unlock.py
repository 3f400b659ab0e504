"""Step 2, unlock: encrypted variables decrypted, credentials found, what they give registered to be masked."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

from .. import access
from ..credentials.decrypt import decrypt_environment
from ..credentials.find import Keyring
from ..credentials.handover import for_command
from ..credentials.hardening import Hardening, harden
from ..errors import BootstrapError, KeysUnavailable
from ..job import Job
from ..network.over_tcp import ask_over_tcp
from ..process.supervise.oom_score import OomScore
from ..results import Access, Decided
from ..run import Run, bringing_code
from ..storage.schemes import needs_keys, parse


def step(run: Run, decided: Decided) -> Access:
    """Decrypt what is encrypted, and open the way to the stores. No key is read yet."""
    job, asked = decided.job, decided.asked
    ask_over_tcp(job.facts.environ, run.console)
    before, score = Hardening.none(), OomScore()
    try:
        # a tool that asks for keys asks for names
        decrypted = decrypt_environment({**asked.variables.environ, **job.facts.environ}, run.secrets, run.console)
        # A name that is not there is told now, and not after hours of fetching.
        for_command(asked.environ, decided.settings.pass_credentials, decrypted)
    except BaseException:
        close_to_others(run)
        raise
    return open_stores(run, decided, decrypted, before, score)


def check_keys(run: Run, decided: Decided, access: Access) -> None:
    """Read the keys now if this job needs any, and keep what we hold by then from other processes."""
    try:
        with bringing_code() if _remote(decided.job.code) else nullcontext():
            read_keys(decided.job, access.keyring, run, decided.settings.store_timeout)
    finally:  # a failure may hold keys, too: those that deliver its log
        if len(run.secrets):
            close_to_others(run)


def without_unlock(run: Run, decided: Decided) -> Access:
    """The way to the stores for who ended before: the log that says why may still be welcome. Never fails."""
    before, score = Hardening.none(), OomScore()
    close_to_others(run)  # keys are about to be read
    return open_stores(run, decided, {}, before, score)


def open_stores(run: Run, decided: Decided, decrypted: Mapping[str, str], before: Hardening, score: OomScore) -> Access:
    """The way to the stores, as far as it is known. Never fails."""
    keyring, stores = access.open_stores(
        decided.asked.variables.environ, decided.settings, decrypted=decrypted, secrets=run.secrets, log=run.console
    )
    return Access(decrypted, keyring, stores, before, score)


def close_to_others(run: Run) -> None:
    """Keep what we hold, or are about to read, from other processes."""
    for note in harden().notes:
        run.console.debug(note)


def read_keys(job: Job, keyring: Keyring, run: Run, window: float) -> None:
    """Read the keys now if this job needs any, so that their absence is known before hours of training.

    A service that does not answer is asked again for ``window`` seconds: a pod's agent may start later than we. A job
    that only loses its log without them goes on, with a warning.
    """
    log = run.console
    places = [job.code, *(item.url for item in job.inputs), *(item.url for item in job.delivered_outputs)]
    needed = any(_remote(url) for url in places)
    if not needed and not _remote(job.log):
        log.info("no keys needed: everything is local")
        return
    try:
        keyring()
    except KeysUnavailable:
        if not needed:
            log.warning("the log cannot be delivered yet: the service that keys come from does not answer")
            return
        _ask_again(keyring, run, window)
    except BootstrapError as error:
        if needed:
            raise
        log.warning(f"the log will not be delivered: {error}")


def _ask_again(keyring: Keyring, run: Run, window: float) -> None:
    from ..storage.common.progress import Progress  # most jobs have their keys at once
    from ..storage.common.retry import Retry
    from ..storage.model.store import RetryWindow

    say = Progress(run.console, "looking for keys").trouble
    Retry(RetryWindow(window), run.signals.stop, say=say)(keyring)


def _remote(url: str) -> bool:
    return bool(url) and needs_keys(parse(url))
