"""all_reduce of 4 MB with Paddle on CPUs. Writes rank, world and the sum into the directory on argv."""

import os
import sys

import paddle
import paddle.distributed as dist

dist.init_parallel_env()
rank, world = dist.get_rank(), dist.get_world_size()
many = paddle.full([1_000_000], float(rank + 1))
dist.all_reduce(many)
with open(os.path.join(sys.argv[1], f"rank-{rank}"), "w") as out:
    out.write(f"{world} {float(many[0]):g}")
