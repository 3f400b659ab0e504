"""Blocks on their way from the nodes that own them: a connection and a thread an owner, and who is given up.

What an owner does not give comes from the store: at once when it is gone or says so, and when it is slower than the
store would be. So a node that hangs costs seconds, and none can fail the fetch.
"""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress

from ..peers.client import PeerClient, Refused
from ..storage.model.share import Wanted

SILENCE = 10.0
"""Seconds without a byte or a word of an owner, after which it is given up."""

LATE = 20.0
"""Seconds that an owner's fetch may begin behind ours."""

MOST_IN_MEMORY = 1 << 30
"""Bytes of a block that is not written to a file."""

_BEAT = 0.1
_AT_LEAST = 2.0  # seconds for a block that the store would bring sooner: nobody changes horses for less
_SLOWEST = 10e6  # bytes a second that the store is thought to give where it is not known
_BATCH = 4  # blocks of an owner that is too slow, taken over at once


class _Owner:
    """One node: what is still to come from it, the last of it to be taken over first."""

    def __init__(self, place: int, address: str, port: int) -> None:
        self.place, self.address, self.port = place, address, port
        self.waiting: deque[Wanted] = deque()
        self.current: Wanted | None = None
        self.bytes = 0  # that have come
        self.receiving = 0.0  # seconds for them
        self.block_since = 0.0  # when the one that is coming now began to; 0 while it is waited for
        self.begun_at = 0.0  # when its fetch was known to have begun
        self.client: PeerClient | None = None
        self.heard = time.monotonic()

    def left(self) -> int:
        """Bytes that are still to come."""
        return sum(wanted.size for wanted in self.waiting) + (self.current.size if self.current is not None else 0)


class Pulling:
    """See :class:`bootstrap.storage.model.share.Pull`. ``addresses``: of the nodes that share, by their place."""

    def __init__(
        self,
        fetch: str,
        wanted: Sequence[Wanted],
        addresses: Mapping[int, tuple[str, int]],
        *,
        secret: bytes,
        own: int,
        came: Callable[[int], None],
    ) -> None:
        """``came`` is told of each block's size."""
        self._fetch, self._secret, self._own, self._came = fetch, secret, own, came
        self._changed = threading.Condition()
        self._back: list[Wanted] = []
        self._error: BaseException | None = None
        self._closed = False
        self._owners = {place: _Owner(place, *address) for place, address in addresses.items()}
        for one in wanted:
            self._owners[one.owner].waiting.append(one)
        self._began, self._took = time.monotonic(), 0.0  # the seconds that our own share took
        order = sorted(self._owners.values(), key=lambda owner: (owner.place - own) % (len(self._owners) + 1))
        for owner in order:  # so that not all begin with the same
            thread = threading.Thread(target=self._serve, args=(owner,), name=f"pull-{owner.place}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads to be had: the store has it all
                self._over(owner)

    def given_back(self, rate: float, beat: Callable[[], None]) -> list[Wanted]:
        """Raises what a block's methods raised, and what ``beat`` does."""
        self._took = self._took or time.monotonic() - self._began
        while True:
            beat()
            with self._changed:
                if self._error is not None:
                    raise self._error
                if not self._back:
                    self._take_over(rate or _SLOWEST)
                if self._back:
                    back, self._back = self._back, []
                    return back
                if not any(owner.left() for owner in self._owners.values()):
                    return []
                self._changed.wait(_BEAT)

    def close(self) -> None:
        """Nothing more is brought. The owners whose blocks are not under way are told that we need no more."""
        with self._changed:
            self._closed = True
            clients = [owner.client for owner in self._owners.values() if owner.client is not None and owner.current]
            self._changed.notify_all()
        for client in clients:
            _cut(client)

    def _take_over(self, rate: float) -> None:
        """The store has nothing to do for us: give it what it would bring sooner than its owner does."""
        now = time.monotonic()
        for owner in self._owners.values():
            left = owner.left()
            if not left:
                continue
            if now - owner.heard > (SILENCE if owner.begun_at or owner.client is None else LATE):
                self._give_up(owner)
                continue
            current = owner.current
            if current is None or not owner.begun_at:
                continue
            if owner.block_since:  # as fast as the nodes' own network is
                seconds = owner.receiving + now - owner.block_since
                speed = max(1, owner.bytes) / max(0.001, seconds)
                slow = seconds > _AT_LEAST and left / speed > max(_AT_LEAST, 2 * current.size / rate)
            else:  # the store serves it later, or more slowly, than us
                speed, slow = 0.0, now - owner.begun_at > 2 * self._took + _AT_LEAST
            if slow and owner.waiting:
                self._back += [owner.waiting.pop() for _ in range(min(_BATCH, len(owner.waiting)))]
            elif slow and speed < rate / 10:
                self._give_up(owner)

    def _give_up(self, owner: _Owner) -> None:
        self._back += owner.waiting
        owner.waiting.clear()
        if owner.client is not None:
            _cut(owner.client)  # its thread gives back what is under way

    # --- in an owner's thread from here on ---

    def _serve(self, owner: _Owner) -> None:
        try:
            with closing(PeerClient(owner.address, owner.port, self._secret, SILENCE)) as client:
                client.say({"place": self._own})
                client.stay()
                client.socket.settimeout(LATE)
                with self._changed:
                    owner.client, owner.heard = client, time.monotonic()
                while (wanted := self._next(owner)) is not None:
                    if not self._bring(owner, client, wanted):
                        self._give_back(owner, wanted)
                self._end(owner, client)
        except (OSError, ValueError, Refused):
            pass  # it is gone, or none of us
        except BaseException as error:  # noqa: BLE001 (carried to the waiting thread, which raises it)
            with self._changed:
                self._error = self._error or error
        finally:
            self._over(owner)

    def _next(self, owner: _Owner) -> Wanted | None:
        with self._changed:
            if self._closed or not owner.waiting:
                return None
            owner.current = owner.waiting.popleft()
            return owner.current

    def _bring(self, owner: _Owner, client: PeerClient, wanted: Wanted) -> bool:
        """Whether it has come, whole and right."""
        client.say({"fetch": self._fetch, "want": wanted.name})
        while (answer := client.hear()).get("wait") is True:
            if answer.get("begun") is True:  # else its silence lasts
                owner.heard = time.monotonic()
                owner.begun_at = owner.begun_at or owner.heard
        owner.heard = time.monotonic()
        owner.begun_at = owner.begun_at or owner.heard
        if answer.get("no") is True:
            return False
        size = wanted.size  # which is smaller when some of it has come
        if answer.get("size") != size:
            raise ValueError("another block")
        owner.block_since = owner.heard

        def pour(size: int, take: Callable[[memoryview], None]) -> None:
            def counted(data: memoryview) -> None:
                take(data)
                owner.bytes += len(data)
                owner.heard = time.monotonic()

            client.pour(size, counted)

        wanted.receive(answer, pour)
        with self._changed:
            owner.receiving += time.monotonic() - owner.block_since
            owner.current, owner.block_since = None, 0.0
            self._changed.notify_all()
        self._came(size)
        return True

    def _give_back(self, owner: _Owner, wanted: Wanted) -> None:
        with self._changed:
            owner.current = None
            self._back.append(wanted)
            self._changed.notify_all()

    def _end(self, owner: _Owner, client: PeerClient) -> None:
        """Keep the connection until we need no more, and say so."""
        with self._changed:
            while not self._closed:
                self._changed.wait()
        client.say({"fetch": self._fetch, "done": True})

    def _over(self, owner: _Owner) -> None:
        with self._changed:
            self._back += owner.waiting
            owner.waiting.clear()
            if owner.current is not None:
                self._back.append(owner.current)
                owner.current, owner.block_since = None, 0.0
            owner.client = None
            self._changed.notify_all()


def ask(fetch: str, block: str, address: tuple[str, int], *, secret: bytes, own: int) -> bytes | None:
    """One block in memory, as soon as its owner has it; None where it does not give it."""
    began = time.monotonic()
    try:
        with closing(PeerClient(*address, secret, SILENCE)) as client:
            client.say({"place": own})
            client.stay()
            client.socket.settimeout(SILENCE)
            client.say({"fetch": fetch, "want": block})
            while (answer := client.hear()).get("wait") is True:
                if answer.get("begun") is not True and time.monotonic() - began > LATE:
                    return None
            size = answer.get("size")
            if not isinstance(size, int) or not 0 < size <= MOST_IN_MEMORY:
                return None
            gathered = bytearray()
            client.pour(size, gathered.extend)
            client.say({"fetch": fetch, "done": True})
    except (OSError, ValueError, Refused):
        return None
    given = bytes(gathered)
    return given if hashlib.sha256(given).hexdigest() == answer.get("sha256") else None


def _cut(client: PeerClient) -> None:
    with suppress(OSError):
        client.socket.shutdown(socket.SHUT_RDWR)
