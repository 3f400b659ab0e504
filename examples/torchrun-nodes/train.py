"""Every rank says its number; the sum is right only if all of them have met."""

import torch
import torch.distributed as dist

dist.init_process_group("gloo")
total = torch.tensor([dist.get_rank() + 1])
dist.all_reduce(total)
print("rank", dist.get_rank(), "of", dist.get_world_size(), "sum", int(total))
assert int(total) == sum(range(dist.get_world_size() + 1))
dist.destroy_process_group()
