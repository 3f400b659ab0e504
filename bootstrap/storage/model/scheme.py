"""What a kind of place has to say of itself, to be one line of the table in :mod:`bootstrap.storage.schemes`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ...job import CredentialsProvider, Endpoint, Log
from ...values import dataclass, field
from .url import Location

if TYPE_CHECKING:
    from .store import RetryWindow, Store


def _not_masked(name: str, value: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stores other than the job's object store go by: ``environ`` with what was decrypted in it, the seconds for
    which a request that is not served is made again, whether certificates are checked and against which file of them.
    ``mask`` is told of a secret (its name, its value) before anything is done with it.
    """

    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    retry_window: float = 300.0
    verify: bool = True
    ca_bundle: str = ""
    mask: Callable[[str, str], object] = _not_masked


class StoreContext:
    """What opening a store may ask for. Each is found when it is asked for, and not before: a job whose places are all
    local has neither an endpoint nor keys.
    """

    def __init__(
        self,
        endpoint: Callable[[], Endpoint] | Endpoint,
        keys: CredentialsProvider,
        log: Log,
        surroundings: Surroundings | None = None,
    ) -> None:
        self.keys = keys
        self.log = log
        self.surroundings = surroundings or Surroundings()
        self._endpoint = endpoint
        self._retry_window: RetryWindow | None = None

    def endpoint(self) -> Endpoint:
        """Where the object store is. Raises :class:`EndpointWrong` for an address that cannot be one."""
        return self._endpoint() if callable(self._endpoint) else self._endpoint

    def retry_window(self, endpoint: Endpoint) -> RetryWindow:
        """One for all buckets: they have the same endpoint, and go down together."""
        from .store import RetryWindow  # a job whose places are all local has none

        self._retry_window = self._retry_window or RetryWindow(endpoint.retry_window)
        return self._retry_window


def _ready() -> None:
    """Most need nothing but Python."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """``name`` is what stands before the colon, in small letters; ``example`` a URL of it, for messages and tests.

    ``parse`` makes a location of a whole URL and what stands behind its colon, and raises :class:`UrlInvalid`. ``open``
    makes the store that a location is in, and imports what only that needs. ``needs_keys``: the job's key pair for the
    object store is read before the command starts, so that its absence is known in time. ``single``: a
    location is one file, and what is opened for it knows no other. ``shared``: nodes may give each other what they
    bring, since its ETags tell one state of an object from the next. ``secrets`` are the variables that hold its own
    keys or lead to them, beside the object store's: the command gets none of them with ``--pass-credentials no``.
    ``ready`` raises :class:`SupportMissing` where this machine lacks a package or a program that the scheme needs; it
    loads neither.
    """

    name: str
    example: str
    parse: Callable[[str, str], Location]
    open: Callable[[Location, StoreContext], Store]
    needs_keys: bool
    writable: bool = True
    single: bool = False
    shared: bool = False
    secrets: tuple[str, ...] = ()
    ready: Callable[[], None] = _ready
