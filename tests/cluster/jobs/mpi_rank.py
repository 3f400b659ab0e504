"""What Open MPI tells a process. Writes its rank and world into the directory on argv; rank 0 ends with 5."""

import os
import socket
import sys

rank, world = os.environ["OMPI_COMM_WORLD_RANK"], os.environ["OMPI_COMM_WORLD_SIZE"]
with open(os.path.join(sys.argv[1], f"rank-{rank}"), "w") as out:
    out.write(f"{world} {socket.gethostname()} {os.environ['GLOO_SOCKET_IFNAME']}")
sys.exit(5 if rank == "0" else 0)
