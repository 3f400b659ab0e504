"""Small objects read into memory, whatever their size turns out to be."""

from __future__ import annotations

from ..model.store import Store


def read_small(store: Store, key: str, most: int) -> bytes:
    """All of an object that has ``most`` bytes at most; nothing of one that has more, which is none of ours. Raises
    whatever the store raises.
    """
    gathered = bytearray()
    body = store.read(key)
    for piece in body:
        gathered += piece
        if len(gathered) > most:
            body.close()
            return b""
    return bytes(gathered)
