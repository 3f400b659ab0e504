"""Writes down the raylet of the other node of its Ray cluster, and waits."""

import os
import time
from pathlib import Path

import ray

ray.init()


@ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
def where():
    return ray.util.get_node_ip_address(), os.getppid()


other = 0
while not other:
    other = dict(ray.get([where.remote() for _ in range(4)])).pop("10.88.0.2", 0)
Path("worker.part").write_text(str(other))
Path("worker.part").rename("worker.pid")
time.sleep(300)
