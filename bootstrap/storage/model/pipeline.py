"""Many plain requests at once: the fast way that a store may offer beside its methods, in words that know no store.

Who moves many objects makes an :class:`Exchange` of each and has a store's :class:`Pipeline` do them. Only the plain
case goes that way: what is out of the ordinary raises :class:`NeedsFallback` and is done again by the store's own
methods, which alone decide what an error means. So nothing is lost on the way, and no exchange knows of retries,
redirects or error codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar

from ...job import StopRequest


class NeedsFallback(Exception):
    """Not the plain case: to be done by the store's own methods, which find out what it means.

    ``busy``: the store has said that it is asked too much.
    """

    def __init__(self, what: str, *, busy: bool = False) -> None:
        super().__init__(what)
        self.busy = busy


class Answer(Protocol):
    """The head of an answer; the body comes next on the connection."""

    @property
    def size(self) -> int:
        """Bytes of the body."""

    @property
    def etag(self) -> str:
        """The object's, unlike any MD5 if it is not one; empty if the answer has none."""

    @property
    def is_last(self) -> bool:
        """Whether the connection ends behind it."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    def header(self, name: str) -> str:
        """The value of the header, whose ``name`` is in small letters; empty if there is none."""

    def expect(self, status: int, size: int = -1) -> None:
        """Raise :class:`NeedsFallback` unless it has this HTTP status and, if given, a body of this size."""


class Hashing(Protocol):
    """One of ``hashlib``'s."""

    def update(self, data: bytes | memoryview, /) -> None: ...


class Destination(Protocol):
    """Where bytes of an answer go in their order: into a file, be it we who write there or another process of ours.
    All raise what ends the transfer.
    """

    at: int
    """Where the next ones belong."""

    @property
    def file(self) -> int:
        """The descriptor to write at."""

    @property
    def sums(self) -> bool:
        """Whether their CRC-32 is wanted."""

    def take(self, data: memoryview) -> None:
        """The next of them, to be written."""

    def took(self, size: int, crc: int) -> None:
        """So many more are written; ``crc`` is the CRC-32 of all, or 0."""

    def refused(self, number: int) -> None:
        """The file takes no more: an ``errno``."""


class Connection(Protocol):
    """Requests go out, answers come back in their order. Belongs to one thread.

    Raises ``OSError`` for what the network does, :class:`NeedsFallback` for what is not the plain case.
    """

    @property
    def is_sealed(self) -> bool:
        """Whether nobody on the way can change a body unseen, so that no digest need be signed beforehand: TLS."""

    def get(self, key: str, start: int = 0, end: int = 0) -> None:
        """Ask for an object, or for its bytes ``start`` to ``end`` (not included) if ``end`` is given."""

    def put(self, key: str, size: int, sha256: str, *, upload: str = "", part: int = 0) -> None:
        """The head of a request that writes ``size`` bytes with this digest: an object, or one part of an upload. The
        digest may be empty where the connection :attr:`is_sealed`.
        """

    def send(self, data: bytes) -> None:
        """Bytes of a body. They go out with the next :meth:`answer`, or before."""

    def send_file(self, file: int, start: int, size: int, digest: Hashing) -> None:
        """Bytes of a body out of an open file; the ``digest`` gets to see them as they go."""

    def send_zeros(self, size: int, digest: Hashing) -> None:
        """Bytes of a body that are a hole in a file; the ``digest`` gets to see them, too."""

    def answer(self) -> Answer:
        """The head of the next answer."""

    def body(self, size: int) -> bytes:
        """The next ``size`` bytes of an answer."""

    def pour(self, size: int, take: Callable[[memoryview], None]) -> None:
        """Give the next ``size`` bytes to ``take`` as they come; what it is given is valid only until it returns."""

    def save(self, size: int, place: Destination) -> None:
        """Put the next ``size`` bytes of an answer where they belong."""

    def flush(self) -> None:
        """Send what has been gathered."""

    def close(self) -> None: ...


class RequestBudget(Protocol):
    """How many requests a second there may be, for all threads of a transfer."""

    def spend(self, requests: int, stop: StopRequest) -> None:
        """Wait until so many more are in the budget."""

    def complaint(self) -> None:
        """The store said that it is asked too much."""


class Exchange:
    """One request and its answer. Both methods may raise :class:`NeedsFallback`, and ``OSError`` for what the
    connection does; trouble that is not the connection's has to come as another class, and ends the transfer.
    """

    __slots__ = ("tries",)

    weight: int = 1
    """What it counts for among what may be on its way on one connection: 1 is a request for a small object."""

    reads: bool = False
    """Whether it only reads, so that another process of ours may do it for us."""

    def __init__(self) -> None:
        self.tries = 0

    def send(self, connection: Connection) -> None:
        """Write the request. When it raises :class:`NeedsFallback`, nothing must have been written."""
        raise AssertionError("every kind of exchange has its own")

    def take(self, connection: Connection, answer: Answer) -> None:
        """Read the answer to its end, and finish the work."""
        raise AssertionError("every kind of exchange has its own")


E = TypeVar("E", bound=Exchange)

S = TypeVar("S", covariant=True)
T = TypeVar("T")


class Several(Protocol[S]):
    """So many, each of which may be made when its turn comes."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[S]: ...


class Made(Generic[S]):
    """Some, and behind them what is made of each of ``rest`` when its turn comes: there may be a million."""

    def __init__(self, first: Sequence[S], rest: Several[T], make: Callable[[T], S]) -> None:
        self.first = first
        self._count = len(rest)
        self._made: Callable[[], Iterator[S]] = partial(map, make, rest)

    def __len__(self) -> int:
        return len(self.first) + self._count

    def __iter__(self) -> Iterator[S]:
        yield from self.first
        yield from self._made()


class Pipeline(Protocol):
    """A store's fast way. Its methods may be called from several threads."""

    def connect(self) -> Connection:
        """A connection of one's own, for who reads one large object in order."""

    def accepted(self) -> None:
        """The store took the keys; it matters for what a later refusal means."""

    def run(
        self,
        exchanges: Several[E],
        *,
        heavy: int,
        budget: RequestBudget,
        stop: StopRequest,
        beat: Callable[[], None],
    ) -> Several[E]:
        """Do them, on as many connections as make it faster; returns those that are left for the store's own methods.
        They are gone through once, while the first are done.

        ``heavy`` of them are worth a connection each. ``beat`` is called ten times a second in the caller's thread
        and may raise. Raises what an exchange raises that is not the connection's, and what ``budget`` does.
        """
