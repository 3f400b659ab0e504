"""A gather of 4 MB with JAX on CPUs. Writes process, world and the sum into the directory on argv."""

import os
import sys

import jax
import numpy as np
from jax.experimental import multihost_utils

jax.distributed.initialize(
    num_processes=int(os.environ["JAX_NUM_PROCESSES"]), process_id=int(os.environ["JAX_PROCESS_ID"])
)
me, world = jax.process_index(), jax.process_count()
gathered = multihost_utils.process_allgather(np.full((1_000_000,), me + 1.0, np.float32))
with open(os.path.join(sys.argv[1], f"rank-{me}"), "w") as out:
    out.write(f"{world} {gathered.sum(axis=0)[-1]:g}")
jax.distributed.shutdown()
