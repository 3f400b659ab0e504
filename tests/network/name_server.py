"""A name server for one test: ``ADDRESS RECORDS udp|tcp|both`` on argv.

It says ``udp ready`` or ``tcp ready`` when it listens. RECORDS is a file of lines ``ADDRESS NAME``, read at every
question, so that a name can appear while it runs. A question over UDP is refused where only TCP is spoken.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading
from pathlib import Path


def answer(question: bytes, records: Path) -> bytes:
    end, labels = 12, []
    while size := question[end]:
        labels.append(question[end + 1 : end + 1 + size].decode())
        end += size + 1
    kind = struct.unpack("!H", question[end + 1 : end + 3])[0]
    known = dict(line.split()[::-1] for line in records.read_text().splitlines() if line.strip())
    address = known.get(".".join(labels))
    status = 0x8180 if address else 0x8183  # no such name
    told = address is not None and kind == 1  # an A record; there are no others
    head = question[:2] + struct.pack("!HHHHH", status, 1, int(told), 0, 0)
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + socket.inet_aton(address) if told and address else b""
    return head + question[12 : end + 5] + record


def over_udp(listen: str, records: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((listen, 53))
        print("udp ready", flush=True)
        while True:
            question, peer = server.recvfrom(4096)
            server.sendto(answer(question, records), peer)


def over_tcp(listen: str, records: Path) -> None:
    with socket.create_server((listen, 53)) as server:
        print("tcp ready", flush=True)
        while True:
            peer, _ = server.accept()
            with peer, peer.makefile("rb") as reader:
                while size := reader.read(2):
                    told = answer(reader.read(struct.unpack("!H", size)[0]), records)
                    peer.sendall(struct.pack("!H", len(told)) + told)


def main(listen: str, records: str, spoken: str) -> None:
    speak = {"udp": [over_udp], "tcp": [over_tcp], "both": [over_udp, over_tcp]}[spoken]
    threads = [threading.Thread(target=one, args=(listen, Path(records))) for one in speak]
    for thread in threads:
        thread.start()


if __name__ == "__main__":
    main(*sys.argv[1:])
