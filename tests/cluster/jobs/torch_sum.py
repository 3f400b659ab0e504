"""A plain env:// script: all_reduce of 4 MB over gloo. Writes rank, world and the sum into the directory on argv."""

import os
import sys

import torch
import torch.distributed as dist

dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
if "--fail" in sys.argv and rank == world - 1:
    sys.exit(3)
many = torch.full((1_000_000,), float(rank + 1))
dist.all_reduce(many)
with open(os.path.join(sys.argv[1], f"rank-{rank}"), "w") as out:
    out.write(f"{world} {many[0].item():g}")
dist.destroy_process_group()
