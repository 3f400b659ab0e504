"""Every node says its number; the sum is right only if all of them have met."""

import paddle
import paddle.distributed as dist

dist.init_parallel_env()
total = paddle.to_tensor([dist.get_rank() + 1])
dist.all_reduce(total)
print("rank", dist.get_rank(), "of", dist.get_world_size(), "sum", int(total.item()))
assert int(total.item()) == sum(range(dist.get_world_size() + 1))
