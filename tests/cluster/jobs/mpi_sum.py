"""Allreduce of 8 MB with Open MPI. Writes world, sum, host and interface into argv; the last exits 5."""

import os
import socket
import sys

import numpy as np
from mpi4py import MPI

rank, world = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size
many = np.full(1_000_000, rank + 1.0)
MPI.COMM_WORLD.Allreduce(MPI.IN_PLACE, many)
with open(os.path.join(sys.argv[1], f"rank-{rank}"), "w") as out:
    out.write(f"{world} {many[0]:g} {socket.gethostname()} {os.environ['GLOO_SOCKET_IFNAME']}")
sys.exit(5 if rank == world - 1 else 0)
