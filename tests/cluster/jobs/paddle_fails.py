"""Rank 3 fails. The others sleep: what they lose by it, their launcher could see first."""

import time

import paddle.distributed as dist

dist.init_parallel_env()
dist.barrier()
if dist.get_rank() == 3:
    raise ValueError("rank 3 says no")
time.sleep(300)
