"""The verification that ModelArts' guide for v2 has people run first: is PyTorch here, and does it see its devices?"""

import sys

try:
    import torch
except ImportError as error:
    print("no torch in", sys.prefix, "-", error)
    raise SystemExit(0 if "--without-torch" in sys.argv else 1) from None
print("torch", torch.__version__, "devices", torch.cuda.device_count())
print(torch.randn(2, 2) @ torch.randn(2, 2))
