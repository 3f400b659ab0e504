"""The log of a command outside a job."""

from __future__ import annotations

import sys

from ...masking.registry import Secrets
from ...masking.stream import Redactor
from ...reporting.prose import sentence


class StderrLog:
    """What a person sees: plain lines on stderr, masked. structlog takes longer to load than a small copy does."""

    def __init__(self, secrets: Secrets, *, quiet: bool) -> None:
        self._redactor = Redactor(secrets)
        self._quiet = quiet
        self.terminal = sys.stderr if sys.stderr.isatty() and not quiet else None
        """Where a progress bar can be drawn."""

    def debug(self, event: str, **facts: object) -> None:
        """Nobody asked."""

    def info(self, event: str, **facts: object) -> None:
        if not self._quiet:
            self._say(event, facts)

    def warning(self, event: str, **facts: object) -> None:
        self._say(f"warning: {event}", facts)

    def error(self, event: str, **facts: object) -> None:
        self._say(f"error: {event}", facts)

    def _say(self, event: str, facts: dict[str, object]) -> None:
        print(self._redactor.mask(f"bootstrap: {sentence(event, facts)}"), file=sys.stderr)
