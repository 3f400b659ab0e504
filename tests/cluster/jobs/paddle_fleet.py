"""A fleet program of today in dynamic mode. Writes rank, world and a sum over all ranks into the directory on argv."""

import os
import sys

import paddle
from paddle.distributed import fleet

fleet.init(is_collective=True)
rank, world = fleet.worker_index(), fleet.worker_num()
many = paddle.full([1_000_000], float(rank + 1))
paddle.distributed.all_reduce(many)
with open(os.path.join(sys.argv[1], f"rank-{rank}"), "w") as out:
    out.write(f"{world} {float(many[0]):g}")
