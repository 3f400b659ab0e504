"""Rank 3 fails in the way that argv names, while all others wait for it."""

import os
import signal
import sys

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing.errors import record


def main():
    dist.init_process_group("gloo")
    dist.barrier()
    if dist.get_rank() == 3:
        if sys.argv[1] == "exits":
            os._exit(7)
        if sys.argv[1] == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ValueError("rank 3 says no")
    dist.all_reduce(torch.ones(10))


(record(main) if sys.argv[1] == "is recorded" else main)()
