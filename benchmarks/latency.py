"""A proxy that hands on what clients send a while later, and what the server answers at once.

    python benchmarks/latency.py PORT SECONDS        prints the port it listens on

netem is not in every kernel. One thread, one loop; the delay is of the request's way, bandwidth is not limited.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import socket
import sys
import time

CHUNK = 1 << 20


def serve(port: int, seconds: float) -> None:
    selector = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    selector.register(listener, selectors.EVENT_READ, None)
    print(listener.getsockname()[1], flush=True)
    waiting: list[tuple[float, int, socket.socket, bytes]] = []
    order = itertools.count()
    peer: dict[socket.socket, socket.socket] = {}
    clients: set[socket.socket] = set()

    def drop(one: socket.socket) -> None:
        for each in (one, peer.pop(one, None)):
            if each is not None:
                peer.pop(each, None)
                clients.discard(each)
                try:
                    selector.unregister(each)
                except (KeyError, ValueError):
                    pass
                each.close()

    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, target, data = heapq.heappop(waiting)
            try:
                if data:
                    target.sendall(data)
                else:
                    drop(target)
            except OSError:
                drop(target)
        for ready, _ in selector.select(max(0.0, waiting[0][0] - time.monotonic()) if waiting else None):
            one = ready.fileobj
            assert isinstance(one, socket.socket)
            if one is listener:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", port))
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    selector.register(each, selectors.EVENT_READ, None)
                peer[client], peer[server] = server, client
                clients.add(client)
                continue
            if one not in peer:
                continue
            try:
                data = one.recv(CHUNK)
                if one in clients:
                    heapq.heappush(waiting, (time.monotonic() + seconds, next(order), peer[one], data))
                    if not data:
                        selector.unregister(one)
                elif data:
                    peer[one].sendall(data)
                else:
                    drop(one)
            except OSError:
                drop(one)


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]))
