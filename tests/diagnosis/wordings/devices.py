"""Accelerators, of several vendors and frameworks."""

from ..case import Case

TORCH = """\
Traceback (most recent call last):
  File "/job/train.py", line 214, in <module>
    main(parse())
  File "/job/train.py", line 187, in main
    loss = model(batch)
  File "/opt/conda/lib/python3.10/site-packages/torch/nn/modules/module.py", line 1553, in _wrapped_call_impl
    return self._call_impl(*args, **kwargs)
  File "/opt/conda/lib/python3.10/site-packages/torch/nn/functional.py", line 2104, in softmax
    ret = input.softmax(dim)
"""
AT = "/job/train.py:187"
CUDA_HINTS = """\
CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.
For debugging consider passing CUDA_LAUNCH_BLOCKING=1
Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.

"""

CASES = [
    Case(
        "PyTorch's memory",
        "device-out-of-memory",
        TORCH
        + "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.15 GiB of which 1.20 GiB is free. Process 4711 has 77.94 GiB memory in use.\n",
        AT,
    ),
    Case(
        "old PyTorch's memory",
        "device-out-of-memory",
        TORCH
        + "RuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 15.78 GiB total capacity; 14.22 GiB already allocated; 9.75 MiB free; 14.36 GiB reserved in total by PyTorch)\n",
        AT,
    ),
    Case(
        "PyTorch 1.13's memory",
        "device-out-of-memory",
        TORCH
        + "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 734.00 MiB (GPU 3; 31.75 GiB total capacity; 29.41 GiB already allocated)\n",
        AT,
    ),
    Case(
        "CUDA's memory",
        "device-out-of-memory",
        TORCH + "RuntimeError: CUDA error: out of memory\n" + CUDA_HINTS,
        "CUDA error: out of memory",
    ),
    Case(
        "cuBLAS' memory",
        "device-out-of-memory",
        TORCH + "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`\n",
        "CUBLAS_STATUS_ALLOC_FAILED",
    ),
    Case(
        "the memory of an Ascend",
        "device-out-of-memory",
        TORCH
        + "RuntimeError: NPU out of memory. Tried to allocate 1.51 GiB (NPU 0; 29.50 GiB total capacity; 27.80 GiB already allocated; 27.80 GiB current active; 311.22 MiB free; 27.90 GiB reserved in total by PyTorch) If reserved memory is >> allocated memory try setting max_split_size_mb to avoid fragmentation.\n",
        AT,
    ),
    Case(
        "TensorFlow's memory",
        "device-out-of-memory",
        """\
2026-11-29 10:00:01.220011: W tensorflow/core/common_runtime/bfc_allocator.cc:491] ****************************************************xx
Traceback (most recent call last):
  File "/job/fit.py", line 61, in <module>
    model.fit(data, epochs=3)
  File "/usr/local/lib/python3.8/dist-packages/keras/utils/traceback_utils.py", line 70, in error_handler
    raise e.with_traceback(filtered_tb) from None
tensorflow.python.framework.errors_impl.ResourceExhaustedError: Graph execution error:

Detected at node 'model/conv2d/Conv2D' defined at (most recent call last):
    File "/job/fit.py", line 61, in <module>
      model.fit(data, epochs=3)
Node: 'model/conv2d/Conv2D'
OOM when allocating tensor with shape[256,64,224,224] and type float on /job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc
\t [[{{node model/conv2d/Conv2D}}]]
Hint: If you want to see a list of allocated tensors when OOM happens, add report_tensor_allocations_upon_oom to RunOptions for current allocation info.
""",
        "OOM when allocating tensor",
    ),
    Case(
        "JAX' memory",
        "device-out-of-memory",
        'jax.errors.SimplifiedTraceback: For simplicity, JAX has removed its internal frames from the traceback of the following exception.\nTraceback (most recent call last):\n  File "/job/train.py", line 40, in <module>\n    state = step(state, batch)\njaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes.\n',
        "RESOURCE_EXHAUSTED",
    ),
    Case(
        "Paddle's memory",
        "device-out-of-memory",
        """\
Traceback (most recent call last):
  File "/job/train.py", line 33, in <module>
    loss = net(x)
  File "/usr/local/lib/python3.10/site-packages/paddle/nn/layer/layers.py", line 1429, in __call__
    return self.forward(*inputs, **kwargs)
MemoryError:

--------------------------------------
C++ Traceback (most recent call last):
--------------------------------------
0   conv2d_ad_func(paddle::Tensor const&, paddle::Tensor const&)
1   paddle::memory::allocation::CUDAAllocator::AllocateImpl(unsigned long)
2   phi::enforce::GetCurrentTraceBackString[abi:cxx11](bool)

----------------------
Error Message Summary:
----------------------
ResourceExhaustedError:

Out of memory error on GPU 0. Cannot allocate 2.250000GB memory on GPU 0, 31.238281GB memory has been allocated and available memory is only 511.500000MB.

Please check whether there is any other process using GPU 0.
1. If yes, please stop them, or start PaddlePaddle on another GPU.
2. If no, please decrease the batch size of your model.
 (at ../paddle/phi/core/memory/allocation/cuda_allocator.cc:86)
""",
        "Out of memory error on GPU 0",
    ),
    Case(
        "MindSpore's memory",
        "device-out-of-memory",
        'Traceback (most recent call last):\n  File "/job/train.py", line 52, in <module>\n    model.train(10, dataset)\n  File "/usr/local/lib/python3.9/site-packages/mindspore/train/model.py", line 1066, in train\n    self._train(epoch)\nRuntimeError: Allocate memory failed\n\n----------------------------------------------------\n- Ascend Error Message:\n----------------------------------------------------\nEL0004: [PID: 4711] 2026-11-29-10:00:01.123.456 Failed to allocate memory.\n        Possible Cause: Available memory is insufficient.\n        Solution: Close applications not in use.\n        TraceBack (most recent call last):\n        rtMalloc execute failed, reason=[driver error:out of memory]\n',
        "EL0004",
    ),
    Case(
        "vLLM's cache",
        "device-out-of-memory",
        'Traceback (most recent call last):\n  File "/job/serve.py", line 9, in <module>\n    llm = LLM(model=path)\n  File "/usr/lib/python3.10/site-packages/vllm/worker/worker.py", line 520, in raise_if_cache_size_invalid\n    raise ValueError("No available memory for the cache blocks. "\nValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.\n',
        "No available memory for the cache blocks",
    ),
    Case(
        "memory, told by the script alone",
        "device-out-of-memory",
        "epoch 3\nError: CUDA out of memory. Tried to allocate 2.00 GiB\n",
        "CUDA out of memory",
    ),
    Case(
        "an assertion on the device",
        "device-assert",
        "/pytorch/aten/src/ATen/native/cuda/Loss.cu:250: nll_loss_forward_reduce_cuda_kernel_2d: block: [0,0,0], thread: [4,0,0] Assertion `t >= 0 && t < n_classes` failed.\n"
        + TORCH
        + "RuntimeError: CUDA error: device-side assert triggered\n"
        + CUDA_HINTS,
        "device-side assert triggered",
    ),
    Case("no device", "device-missing", TORCH + "RuntimeError: No CUDA GPUs are available\n", AT),
    Case(
        "no driver",
        "device-missing",
        TORCH
        + "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver from http://www.nvidia.com/Download/index.aspx\n",
        "Found no NVIDIA driver",
    ),
    Case("a CPU build", "device-missing", TORCH + "AssertionError: Torch not compiled with CUDA enabled\n", AT),
    Case(
        "one rank too many",
        "device-missing",
        TORCH + "RuntimeError: CUDA error: invalid device ordinal\n" + CUDA_HINTS,
        "invalid device ordinal",
    ),
    Case(
        "a device that is busy",
        "device-missing",
        TORCH + "RuntimeError: CUDA error: CUDA-capable device(s) is/are busy or unavailable\n" + CUDA_HINTS,
        "busy or unavailable",
    ),
    Case(
        "no Ascend",
        "device-missing",
        'Traceback (most recent call last):\n  File "/job/train.py", line 5, in <module>\n    torch.npu.set_device(0)\n  File "/usr/local/lib/python3.9/site-packages/torch_npu/npu/utils.py", line 58, in set_device\n    torch_npu._C._npu_setDevice(device_id)\nRuntimeError: Initialize:torch_npu/csrc/core/npu/sys_ctrl/npu_sys_ctrl.cpp:217 NPU error, error code is 507033\n[Error]: .\nEJ0001: Failed to initialize the HCCP process. Reason: Maybe the last training process is running.\n',
        "507033",
    ),
    Case(
        "a checkpoint of a device",
        "device-missing",
        TORCH
        + "RuntimeError: Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. If you are running on a CPU-only machine, please use torch.load with map_location=torch.device('cpu') to map your storages to the CPU.\n",
        "Attempting to deserialize",
    ),
    Case(
        "an old driver",
        "driver-too-old",
        TORCH
        + "RuntimeError: The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver by downloading and installing a new version from the URL: http://www.nvidia.com/Download/index.aspx\n",
        "too old",
    ),
    Case(
        "an old driver, in CUDA's words",
        "driver-too-old",
        TORCH + "RuntimeError: CUDA driver version is insufficient for CUDA runtime version\n",
        "insufficient",
    ),
    Case(
        "a driver that was renewed",
        "driver-too-old",
        "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 535.183\n",
        "Driver/library version mismatch",
    ),
    Case(
        "an unsupported toolchain",
        "driver-too-old",
        TORCH + "RuntimeError: CUDA error: the provided PTX was compiled with an unsupported toolchain.\n" + CUDA_HINTS,
        "unsupported toolchain",
    ),
    Case(
        "another GPU's kernels",
        "device-error",
        TORCH + "RuntimeError: CUDA error: no kernel image is available for execution on the device\n" + CUDA_HINTS,
        "no kernel image",
    ),
    Case(
        "an illegal access",
        "device-error",
        TORCH + "RuntimeError: CUDA error: an illegal memory access was encountered\n" + CUDA_HINTS,
        "illegal memory access",
    ),
    Case(
        "an illegal access that the watchdog saw",
        "device-error",
        "[rank0]:[E1129 10:00:01.123456789 ProcessGroupNCCL.cpp:1484] [PG ID 0 PG GUID 0(default_pg) Rank 0] Process group watchdog thread terminated with exception: CUDA error: an illegal memory access was encountered\nterminate called after throwing an instance of 'c10::DistBackendError'\n  what():  [PG ID 0 PG GUID 0(default_pg) Rank 0] Process group watchdog thread terminated with exception: CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.\n",
        "illegal memory access",
        signal=6,
        in_ranks=False,
    ),
    Case(
        "cuDNN",
        "device-error",
        TORCH + "RuntimeError: cuDNN error: CUDNN_STATUS_EXECUTION_FAILED\n",
        "CUDNN_STATUS_EXECUTION_FAILED",
    ),
    Case(
        "cuBLAS",
        "device-error",
        TORCH + "RuntimeError: CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`\n",
        "CUBLAS_STATUS_NOT_INITIALIZED",
    ),
    Case(
        "an operator of Ascend",
        "device-error",
        'Traceback (most recent call last):\n  File "/job/train.py", line 71, in step\n    loss.backward()\nRuntimeError: The Inner error is reported as above. The process exits for this inner error, and the current working operator name is aclnnMatmul.\n[ERROR] 2026-11-29-10:00:01 (PID:4711, Device:0, RankID:0) ERR00100 PTA call acl api failed\n[Error]: The aicore execution is abnormal.\n        EZ9999: Inner Error!\nEZ9999: [PID: 4711] 2026-11-29-10:00:01.123.456 The error from device(chipId:0, dieId:0), serial number is 1, there is an aicore error exception, core id is 0, error code = 0x800000\n',
        "aclnnMatmul",
    ),
    Case(
        "ECC",
        "device-hardware",
        TORCH + "RuntimeError: CUDA error: uncorrectable ECC error encountered\n" + CUDA_HINTS,
        "uncorrectable ECC error",
    ),
    Case(
        "Xid 79",
        "device-hardware",
        "[17211.204512] NVRM: Xid (PCI:0000:65:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.\n"
        + TORCH
        + "RuntimeError: CUDA error: unspecified launch failure\n",
        "Xid (PCI:0000:65:00): 79",
    ),
    Case(
        "Xid 48",
        "device-hardware",
        "NVRM: Xid (PCI:0000:b1:00): 48, pid=3402, name=python3, DBE (double bit error) ECC error at address 0x1a2b\n"
        + TORCH
        + "RuntimeError: CUDA error: unknown error\n",
        "48",
    ),
    Case(
        "Xid 74",
        "device-hardware",
        "kernel: NVRM: Xid (PCI:0000:3b:00): 74, pid=1234, NVLink: fatal error detected on link 4(0x10000, 0x0, 0x0, 0x0)\n"
        + TORCH
        + "RuntimeError: CUDA error: unspecified launch failure\n",
        "74",
    ),
    Case(
        "a GPU that is lost",
        "device-hardware",
        "Unable to determine the device handle for GPU 0000:3B:00.0: GPU is lost.  Reboot the system to recover this GPU\n",
        "GPU is lost",
    ),
    Case(
        "HBM",
        "device-hardware",
        'Traceback (most recent call last):\n  File "/job/train.py", line 71, in step\n    torch.npu.synchronize()\nRuntimeError: synchronize:torch_npu/csrc/core/npu/NPUStream.cpp:420 NPU function error: HBM MULTI BIT ECC ERROR, error code is 507054\n',
        "MULTI BIT ECC",
    ),
    Case(
        "NVLink",
        "device-hardware",
        TORCH + "RuntimeError: CUDA error: uncorrectable NVLink error detected during the execution\n",
        "NVLink",
    ),
    # near misses
    Case(
        "near: Xid 13 and a key",
        "python-exception",
        "NVRM: Xid (PCI:0000:3b:00): 13, pid=4711, name=python, Graphics SM Warp Exception\nNVRM: Xid (PCI:0000:3b:00): 31, pid=4711, name=python, MMU Fault\nNVRM: Xid (PCI:0000:3b:00): 43, pid=4711, name=python, Ch 00000010\n"
        + TORCH
        + "KeyError: 'labels'\n",
        "KeyError: 'labels'",
    ),
    Case(
        "near: ECC is enabled",
        "python-exception",
        "ECC: enabled\nVolatile Uncorr. ECC: 0\nuncorrectable ECC error count: 0\n" + TORCH + "ValueError: no\n",
        "ValueError: no",
    ),
    Case(
        "near: memory that was overcome",
        "python-exception",
        TORCH
        + "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\nCUDA out of memory, trying again with batch size 16\nepoch 2: loss 1.2\n"
        + TORCH.replace("187", "201")
        + "KeyError: 'labels'\n",
        "KeyError: 'labels' (/job/train.py:201",
    ),
    Case(
        "near: memory while a key is missing",
        "python-exception",
        TORCH
        + "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n\nDuring handling of the above exception, another exception occurred:\n\n"
        + TORCH.replace("187", "201")
        + "KeyError: 'smaller_batch'\n",
        "KeyError: 'smaller_batch' (/job/train.py:201",
    ),
]
