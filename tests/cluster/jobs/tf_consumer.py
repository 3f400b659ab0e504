"""Reads TF_CONFIG as tf.distribute does (the chief first), listens at its own place and greets all others at theirs."""

import json
import os
import socket
import sys
import time

config = json.loads(os.environ["TF_CONFIG"])
chiefs = config["cluster"].get("chief", [])
workers = chiefs + config["cluster"]["worker"]
me = config["task"]["index"] + (len(chiefs) if config["task"]["type"] == "worker" else 0)
host, port = workers[me].rsplit(":", 1)
with socket.create_server((host, int(port))) as server:
    for place, other in enumerate(workers):
        if place == me:
            continue
        there, its_port = other.rsplit(":", 1)
        while True:
            try:
                with socket.create_connection((there, int(its_port)), timeout=5) as greeting:
                    greeting.sendall(bytes([me]))
                break
            except OSError:
                time.sleep(0.05)
    heard = me
    for _ in range(len(workers) - 1):
        peer, _ = server.accept()
        with peer:
            heard += peer.recv(1)[0]
with open(os.path.join(sys.argv[1], f"rank-{me}"), "w") as out:
    out.write(f"{len(workers)} {heard}")
