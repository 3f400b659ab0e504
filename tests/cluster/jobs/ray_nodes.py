"""Has 4 MB from every node of the Ray cluster that it finds through RAY_ADDRESS. Ends with the second word of argv."""

import os
import sys
import time

import ray

ray.init()
end = time.monotonic() + 60
while len([node for node in ray.nodes() if node["Alive"]]) < 2 and time.monotonic() < end:
    time.sleep(0.2)


@ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
def where():
    time.sleep(0.5)
    return ray.util.get_node_ip_address(), bytes(4_000_000)


found = sorted({address for address, _ in ray.get([where.remote() for _ in range(4)])})
with open(os.path.join(sys.argv[1], "nodes"), "w") as out:
    out.write(" ".join(found))
sys.exit(int(sys.argv[2]))
