"""What a large download costs at least: four sockets, one buffer each, and nothing that is not receiving or writing.

    floor.py BUCKET PREFIX DIRECTORY

No listing, no signature, no check, no name that appears only when the file is whole. The names are the benchmark's own,
the server is plain HTTP. What a client takes longer than this is its own; what is left is the kernel's, the server's
and Python's start.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading

PIECE, BUFFER, CONNECTIONS = 16 << 20, 256 << 10, 4


def main(bucket: str, prefix: str, directory: str) -> None:
    host, _, port = os.environ["AWS_ENDPOINT_URL"].partition("://")[2].partition(":")
    address = (host, int(port))
    os.makedirs(directory)
    pieces: queue.SimpleQueue[tuple[int, str, int, int]] = queue.SimpleQueue()
    for number in range(4):
        name = f"shard-{number}.bin"
        path = f"/{bucket}/{prefix}{name}"
        size = int(header(ask(socket.create_connection(address), path, 0, 1), "content-range").rpartition("/")[2])
        file = os.open(f"{directory}/{name}", os.O_CREAT | os.O_WRONLY, 0o644)
        os.ftruncate(file, size)
        for start in range(0, size, PIECE):
            pieces.put((file, path, start, min(start + PIECE, size)))

    def work() -> None:
        connection, place = socket.create_connection(address), memoryview(bytearray(BUFFER))
        while True:
            try:
                file, path, start, end = pieces.get_nowait()
            except queue.Empty:
                return
            ask(connection, path, start, end)
            while start < end:
                have, most = 0, min(BUFFER, end - start)
                while have < most:
                    have += connection.recv_into(place[have:most])
                os.pwrite(file, place[:have], start)
                start += have

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def ask(connection: socket.socket, path: str, start: int, end: int) -> str:
    """Send the request; returns the head of the answer and leaves the body."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: floor\r\nRange: bytes={start}-{end - 1}\r\n\r\n".encode())
    while (length := connection.recv(4096, socket.MSG_PEEK).find(b"\r\n\r\n")) < 0:
        pass
    return connection.recv(length + 4, socket.MSG_WAITALL).decode()


def header(head: str, name: str) -> str:
    return next(line.partition(":")[2].strip() for line in head.splitlines() if line.lower().startswith(f"{name}:"))


if __name__ == "__main__":
    main(*sys.argv[1:])
