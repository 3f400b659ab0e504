"""As people reported it, several lines each: accelerators, memory, limits, disks. Written without a look at the rules."""

from ..case import Case
from .traceback import raised

CASES = [
    # --- hardware
    Case(
        "dmesg: uncorrectable ECC",
        "device-hardware",
        "step 412: loss 1.93\n"
        "[184311.220113] NVRM: Xid (PCI:0000:5e:00): 48, pid=31337, name=python, An uncorrectable double bit error (DBE) has been detected on GPU in the framebuffer at partition 4, subpartition 1.\n"
        + raised("torch.AcceleratorError: CUDA error: uncorrectable ECC error encountered"),
        "",
    ),
    Case(
        "fallen off the bus",
        "device-hardware",
        "[Sat Nov 28 03:12:09 2026] NVRM: GPU at PCI:0000:86:00: GPU-0f3a9c1e-77d1-2a4b-93bb-8c6a3f2a2d11\n"
        "[Sat Nov 28 03:12:09 2026] NVRM: Xid (PCI:0000:86:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.\n"
        + raised("RuntimeError: CUDA error: unspecified launch failure"),
        "fallen off the bus",
    ),
    Case(
        "nvidia-smi: GPU is lost",
        "device-hardware",
        "Unable to determine the device handle for GPU 0000:B3:00.0: GPU is lost.  Reboot the system to recover this GPU\n"
        + raised("RuntimeError: No CUDA GPUs are available"),
        "GPU is lost",
    ),
    Case(
        "row remapping failed",
        "device-hardware",
        "[  901.114] NVRM: Xid (PCI:0000:9d:00): 64, pid=1822, name=python3, Failed to persist row remap table to InfoROM\n"
        + raised("torch.AcceleratorError: CUDA error: unknown error"),
        "row remap",
    ),
    Case(
        "contained ECC error",
        "device-hardware",
        "NVRM: Xid (PCI:0000:41:00): 94, pid=220145, name=pt_main_thread, Contained: SM (0x1). RST: No, D-RST: No\n"
        + raised("RuntimeError: CUDA error: an illegal memory access was encountered"),
        "94",
    ),
    Case(
        "NVLink error",
        "device-hardware",
        "kernel: NVRM: Xid (PCI:0000:0f:00): 74, pid=9211, name=python, NVLink: fatal error detected on link 4(0x10000, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)\n"
        + raised(
            "torch.distributed.DistBackendError: NCCL error in: ../torch/csrc/distributed/c10d/NCCLUtils.hpp:275, unhandled cuda error (run with NCCL_DEBUG=INFO for details), NCCL version 2.21.5"
        ),
        "74",
    ),
    Case(
        "Ascend: HBM multi-bit ECC",
        "device-hardware",
        raised(
            "RuntimeError: npuSynchronizeDevice:build/CMakeFiles/torch_npu.dir/compiler_depend.ts:443 NPU function error: HBM MULTI BIT ECC ERROR, error code is 507054\n"
            "[ERROR] 2026-11-27-10:21:33 (PID:4120, Device:3, RankID:11) ERR00100 PTA call acl api failed\n"
            "[Error]: The device memory has a multi-bit ECC error.\n"
            "        Rectify the fault based on the error information in the ascend log."
        ),
        "MULTI BIT ECC",
    ),
    # --- device memory
    Case(
        "PyTorch 1.x out of memory",
        "device-out-of-memory",
        raised(
            "RuntimeError: CUDA out of memory. Tried to allocate 512.00 MiB (GPU 0; 31.75 GiB total capacity; 29.92 GiB already allocated; 107.75 MiB free; 30.31 GiB reserved in total by PyTorch) If reserved memory is >> allocated memory try setting max_split_size_mb to avoid fragmentation.  See documentation for Memory Management and PYTORCH_CUDA_ALLOC_CONF"
        ),
        "Tried to allocate 512.00 MiB",
    ),
    Case(
        "PyTorch 2.x out of memory",
        "device-out-of-memory",
        raised(
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.32 GiB. GPU 3 has a total capacity of 79.15 GiB of which 1.66 GiB is free. Including non-PyTorch memory, this process has 77.48 GiB memory in use. Of the allocated memory 74.02 GiB is allocated by PyTorch, and 1.87 GiB is reserved by PyTorch but unallocated. If reserved but unallocated memory is large try setting PYTORCH_ALLOC_CONF=expandable_segments:True to avoid fragmentation."
        ),
        "Tried to allocate 2.32 GiB",
    ),
    Case(
        "torch_npu out of memory",
        "device-out-of-memory",
        raised(
            "RuntimeError: NPU out of memory. Tried to allocate 386.00 MiB (NPU 2; 60.97 GiB total capacity; 59.57 GiB already allocated; 59.57 GiB current active; 16.54 MiB free; 60.06 GiB reserved in total by PyTorch) If reserved memory is >> allocated memory try setting max_split_size_mb to avoid fragmentation."
        ),
        "NPU out of memory",
    ),
    Case(
        "CANN: EL0004",
        "device-out-of-memory",
        raised(
            "RuntimeError: The operator execution failed.\n"
            "[PID: 210907] 2026-04-09-21:56:40.384.694 Memory_Allocation_Failure(EL0004): Failed to allocate memory requested by GE module.\n"
            "        Possible Cause: Available memory is insufficient.\n"
            "        Solution: Close applications not in use."
        ),
        "EL0004",
    ),
    Case(
        "MindSpore's memory pool",
        "device-out-of-memory",
        "[ERROR] PRE_ACT(54175,fffdbcff91e0,python):2026-10-22-11:24:55.301.443 [mindspore/ccsrc/backend/common/mem_reuse/mem_dynamic_allocator.cc:392] AddMemBlockAndMemBufByEagerFree] TotalUsedMemStatistics : 29356337664 plus alloc size : 301990400 is more than total mem size : 29464985600.\n"
        + raised(
            "RuntimeError: Device(id:0) memory isn't enough and alloc failed, kernel name: Default/MatMul-op13, alloc size: 301990400B.\n\n"
            "----------------------------------------------------\n- C++ Call Stack: (For framework developers)\n"
            "----------------------------------------------------\nmindspore/ccsrc/runtime/pynative/op_runner.cc:217 MallocForKernelOutput"
        ),
        "memory isn't enough",
    ),
    Case(
        "TensorFlow: OOM",
        "device-out-of-memory",
        raised(
            "tensorflow.python.framework.errors_impl.ResourceExhaustedError: Graph execution error:\n\n"
            "Detected at node 'model/conv2d_14/Conv2D' defined at (most recent call last):\n"
            '    File "/job/train.py", line 88, in <module>\n'
            "Node: 'model/conv2d_14/Conv2D'\n"
            "OOM when allocating tensor with shape[256,512,56,56] and type float on /job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc\n"
            "Hint: If you want to see a list of allocated tensors when OOM happens, add report_tensor_allocations_upon_oom to RunOptions for current allocation info. [Op:__inference_train_function_8116]"
        ),
        "OOM when allocating tensor",
    ),
    Case(
        "JAX: resource exhausted",
        "device-out-of-memory",
        raised(
            "jax.errors.JaxRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 68719476736 bytes."
        ),
        "68719476736",
    ),
    Case(
        "Paddle: out of memory",
        "device-out-of-memory",
        raised(
            "MemoryError: \n\n--------------------------------------\nC++ Traceback (most recent call last):\n--------------------------------------\n"
            "0   paddle::pybind::eager_api_matmul(_object*, _object*, _object*)\n\n----------------------\nError Message Summary:\n----------------------\n"
            "ResourceExhaustedError: \n\nOut of memory error on GPU 0. Cannot allocate 1.953125GB memory on GPU 0, 31.213257GB memory has been allocated and available memory is only 528.500000MB.\n\n"
            "Please check whether there is any other process using GPU 0.\n (at ../paddle/fluid/memory/allocation/cuda_allocator.cc:87)"
        ),
        "Cannot allocate 1.953125GB",
    ),
    Case(
        "cuBLAS cannot make its handle",
        "device-out-of-memory",
        raised("RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        "CUBLAS_STATUS_ALLOC_FAILED",
    ),
    Case(
        "the KV cache of vLLM",
        "device-out-of-memory",
        "(EngineCore_0 pid=77) ERROR 11-27 09:00:01 [core.py:708] EngineCore failed to start.\n"
        + raised(
            "torch.OutOfMemoryError: HIP out of memory. Tried to allocate 1.16 GiB. GPU 0 has a total capacity of 63.98 GiB of which 820.00 MiB is free."
        ),
        "HIP out of memory",
    ),
    # --- devices otherwise
    Case(
        "device-side assert of an index",
        "device-assert",
        "/opt/pytorch/aten/src/ATen/native/cuda/Indexing.cu:1422: indexSelectLargeIndex: block: [14,0,0], thread: [32,0,0] Assertion `srcIndex < srcSelectDimSize` failed.\n"
        * 6
        + raised(
            "RuntimeError: CUDA error: device-side assert triggered\n"
            "CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.\n"
            "For debugging consider passing CUDA_LAUNCH_BLOCKING=1\n"
            "Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions."
        ),
        "device-side assert",
    ),
    Case(
        "device-side assert of a loss",
        "device-assert",
        "../aten/src/ATen/native/cuda/Loss.cu:250: nll_loss_forward_reduce_cuda_kernel_2d: block: [0,0,0], thread: [3,0,0] Assertion `t >= 0 && t < n_classes` failed.\n"
        + raised("torch.AcceleratorError: CUDA error: device-side assert triggered"),
        "device-side assert",
    ),
    Case("no GPU at all", "device-missing", raised("RuntimeError: No CUDA GPUs are available"), "No CUDA GPUs"),
    Case(
        "PyTorch without CUDA",
        "device-missing",
        raised("AssertionError: Torch not compiled with CUDA enabled"),
        "not compiled with CUDA",
    ),
    Case(
        "invalid device ordinal",
        "device-missing",
        raised(
            "torch.AcceleratorError: CUDA error: invalid device ordinal\nGPU device may be out of range, do you have enough GPUs?\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect."
        ),
        "invalid device ordinal",
    ),
    Case(
        "no driver",
        "device-missing",
        raised(
            "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver from http://www.nvidia.com/Download/index.aspx"
        ),
        "Found no NVIDIA driver",
    ),
    Case(
        "no NPU",
        "device-missing",
        raised(
            "RuntimeError: Initialize:torch_npu/csrc/core/npu/sys_ctrl/npu_sys_ctrl.cpp:120 NPU function error: aclrtSetDevice(device_id), error code is 107001\n"
            "[ERROR] 2026-11-27-10:21:33 (PID:4120, Device:8, RankID:-1) ERR00100 PTA call acl api failed\n"
            "[Error]: The device ID is invalid.\n"
            "        Check whether the device ID is in range."
        ),
        "The device ID is invalid",
    ),
    Case(
        "JAX without a device",
        "device-missing",
        raised(
            "RuntimeError: Unable to initialize backend 'cuda': FAILED_PRECONDITION: No visible GPU devices. (you may need to uninstall the failing plugin package, or set JAX_PLATFORMS=cpu to skip this backend.)"
        ),
        "No visible GPU",
    ),
    Case(
        "driver too old: torch",
        "driver-too-old",
        raised(
            "RuntimeError: The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver by downloading and installing a new version from the URL: http://www.nvidia.com/Download/index.aspx"
        ),
        "too old",
    ),
    Case(
        "driver too old: runtime",
        "driver-too-old",
        raised("RuntimeError: CUDA error: CUDA driver version is insufficient for CUDA runtime version"),
        "insufficient for CUDA runtime",
    ),
    Case(
        "forward compatibility",
        "driver-too-old",
        raised(
            "RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that might have already set an error? Error 804: forward compatibility was attempted on non supported HW"
        ),
        "forward compatibility",
    ),
    Case(
        "cuDNN",
        "device-error",
        raised("RuntimeError: cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        "CUDNN_STATUS_EXECUTION_FAILED",
    ),
    Case(
        "no kernel image",
        "device-error",
        raised(
            "torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device\nSearch for `cudaErrorNoKernelImageForDevice' in https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html for more information."
        ),
        "no kernel image",
    ),
    Case(
        "illegal memory access, from a watchdog as well",
        "device-error",
        raised(
            "RuntimeError: CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect."
        )
        + "terminate called after throwing an instance of 'c10::DistBackendError'\n"
        "  what():  [PG ID 0 PG GUID 0(default_pg) Rank 2] Process group watchdog thread terminated with exception: CUDA error: an illegal memory access was encountered\n",
        "illegal memory access",
        status=None,
        signal=6,
    ),
    Case(
        "AI Core error of an NPU",
        "device-error",
        raised(
            "RuntimeError: The Inner error is reported as above. The process exits for this inner error, and the current working operator name is aclnnIndexPutImpl.\n"
            "[ERROR] 2026-11-27-10:21:33 (PID:4120, Device:3, RankID:3) ERR00100 PTA call acl api failed.\n"
            "EZ9999: Inner Error!\n"
            "EZ9999: [PID: 4120] 2026-11-27-10:21:33.210.114 The error from device(chipId:0, dieId:0), serial number is 81, there is an aivec error exception, core id is 7, error code = 0x800000, dump info: pc start: 0x124080001000[FUNC:ProcessStarsCoreErrorInfo][FILE:device_error_core_proc.cc][LINE:303]"
        ),
        "",
    ),
    # --- host memory
    Case(
        "numpy cannot allocate",
        "memory-error",
        raised(
            "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 1.46 TiB for an array with shape (400000, 500000) and data type float64"
        ),
        "Unable to allocate 1.46 TiB",
    ),
    Case(
        "std::bad_alloc",
        "memory-error",
        "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\nAborted (core dumped)\n",
        "bad_alloc",
        status=134,
    ),
    Case("Python's own", "memory-error", raised("MemoryError"), "MemoryError"),
    Case(
        "torch's CPU allocator",
        "memory-error",
        raised(
            "RuntimeError: [enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 274877906944 bytes. Error code 12 (Cannot allocate memory)"
        ),
        "274877906944",
    ),
    Case(
        "fork without memory",
        "memory-error",
        raised("OSError: [Errno 12] Cannot allocate memory"),
        "Cannot allocate memory",
    ),
    Case(
        "a data loader's worker is killed",
        "worker-killed",
        raised("RuntimeError: DataLoader worker (pid 4127) is killed by signal: Killed. "),
        "is killed by signal",
    ),
    Case(
        "workers exited unexpectedly",
        "worker-killed",
        raised("RuntimeError: DataLoader worker (pid(s) 1201, 1202) exited unexpectedly"),
        "exited unexpectedly",
    ),
    Case(
        "a pool of processes breaks",
        "worker-killed",
        raised(
            "concurrent.futures.process.BrokenProcessPool: A process in the process pool was terminated abruptly while the future was running or pending."
        ),
        "terminated abruptly",
    ),
    Case(
        "a worker's bus error",
        "shared-memory-full",
        "ERROR: Unexpected bus error encountered in worker. This might be caused by insufficient shared memory (shm).\n"
        + raised(
            "RuntimeError: DataLoader worker (pid 4127) is killed by signal: Bus error. It is possible that dataloader's workers are out of shared memory. Please try to raise your shared memory limit."
        ),
        "shared memory",
    ),
    Case(
        "NCCL's shared memory",
        "shared-memory-full",
        "worker-0:141:212 [2] misc/shmutils.cc:72 NCCL WARN Error: failed to extend /dev/shm/nccl-mNvHwR to 33030532 bytes, error: No space left on device (28)\n"
        + raised(
            "torch.distributed.DistBackendError: NCCL error in: /pytorch/torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:3690, unhandled system error (run with NCCL_DEBUG=INFO for details), NCCL version 2.27.5\nncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error. \nLast error:\nError: failed to extend /dev/shm/nccl-mNvHwR to 33030532 bytes, error: No space left on device (28)"
        ),
        "/dev/shm",
    ),
    Case(
        "torch cannot write to shared memory",
        "shared-memory-full",
        raised("RuntimeError: unable to write to file </torch_4127_1843215711_0>: No space left on device (28)"),
        "unable to write to file",
    ),
    # --- disks
    Case(
        "torch.save on a full disk",
        "disk-full",
        raised(
            "RuntimeError: [enforce fail at inline_container.cc:603] . PytorchStreamWriter failed writing file data/417: file write failed"
        )
        + "OSError: [Errno 28] No space left on device\n",
        "file write failed",
    ),
    Case(
        "cp on a full disk",
        "disk-full",
        "cp: error writing '/cache/data/train.tar': No space left on device\n",
        "No space left",
    ),
    Case(
        "tar on a full disk",
        "disk-full",
        "tar: imagenet/n02099601/n02099601_3004.JPEG: Cannot write: No space left on device\ntar: Exiting with failure status due to previous errors\n",
        "No space left",
        status=2,
    ),
    Case(
        "arrow on a full disk",
        "disk-full",
        raised(
            "pyarrow.lib.ArrowIOError: [Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"
        ),
        "No space left",
    ),
    Case(
        "safetensors on a full disk",
        "disk-full",
        raised(
            "safetensors_rust.SafetensorError: Error while serializing: I/O error: No space left on device (os error 28)"
        ),
        "No space left",
    ),
    Case(
        "a quota",
        "quota-exceeded",
        raised("OSError: [Errno 122] Disk quota exceeded: '/home/ma-user/work/ckpt/step_400.pt'"),
        "quota exceeded",
    ),
    Case(
        "mkdir over quota",
        "quota-exceeded",
        "mkdir: cannot create directory '/mnt/sfs/out': Disk quota exceeded\n",
        "quota exceeded",
    ),
    Case(
        "too many open files",
        "open-files-used-up",
        raised("OSError: [Errno 24] Too many open files: '/job/data/shard-00411.tar'"),
        "Too many open files",
    ),
    Case(
        "shared tensors by descriptors",
        "open-files-used-up",
        raised("RuntimeError: received 0 items of ancdata"),
        "ancdata",
    ),
    Case(
        "torch says too many open files",
        "open-files-used-up",
        raised(
            "RuntimeError: Too many open files. Communication with the workers is no longer possible. Please increase the limit using `ulimit -n` in the shell or change the sharing strategy by calling `torch.multiprocessing.set_sharing_strategy('file_system')` at the beginning of your code"
        ),
        "Too many open files",
    ),
    Case(
        "fork: resource temporarily unavailable",
        "processes-used-up",
        "/job/run.sh: fork: retry: Resource temporarily unavailable\n" * 4
        + "/job/run.sh: fork: Resource temporarily unavailable\n",
        "Resource temporarily",
        status=254,
    ),
    Case(
        "threads of OpenBLAS",
        "processes-used-up",
        "OpenBLAS blas_thread_init: pthread_create failed for thread 41 of 64: Resource temporarily unavailable\nOpenBLAS blas_thread_init: RLIMIT_NPROC 512 current, 512 max\n"
        + raised("RuntimeError: can't start new thread"),
        "can't start new thread",
    ),
    Case(
        "BlockingIOError of fork",
        "processes-used-up",
        raised("BlockingIOError: [Errno 11] Resource temporarily unavailable", file="/job/data.py"),
        "Resource temporarily",
    ),
    Case(
        "input/output error",
        "io-error",
        raised("OSError: [Errno 5] Input/output error: '/mnt/nas/data/shard-7.rec'"),
        "Input/output error",
    ),
    Case(
        "a stale NFS handle",
        "io-error",
        raised("OSError: [Errno 116] Stale file handle: '/mnt/sfs/data/train.idx'"),
        "Stale file handle",
    ),
    Case(
        "a transport endpoint",
        "io-error",
        "ls: cannot access '/data': Transport endpoint is not connected\n",
        "Transport endpoint",
        status=2,
    ),
    Case("a file too large", "file-too-large", raised("OSError: [Errno 27] File too large"), "File too large"),
    Case(
        "core file of a segfault in a shell",
        "segmentation-fault",
        "epoch 3\n/job/run.sh: line 12:   141 Segmentation fault      (core dumped) python train.py\n",
        "Segmentation fault",
        status=139,
        in_ranks=False,
    ),
    Case(
        "faulthandler's words",
        "segmentation-fault",
        'Fatal Python error: Segmentation fault\n\nCurrent thread 0x00007f4b8a7fc700 (most recent call first):\n  File "/job/ops/roi_align.py", line 31 in forward\n  File "/job/train.py", line 140 in main\n',
        "roi_align.py:31",
        status=None,
        signal=11,
    ),
    Case(
        "illegal instruction in a shell",
        "illegal-instruction",
        "run.sh: line 3:    17 Illegal instruction     (core dumped) python -c 'import tensorflow'\n",
        "Illegal instruction",
        status=132,
        in_ranks=False,
    ),
    Case(
        "floating point",
        "floating-point-fault",
        "./solver.sh: line 4: 99 Floating point exception(core dumped) ./solver --grid 0\n",
        "Floating point exception",
        status=136,
        in_ranks=False,
    ),
    Case(
        "CPU time limit",
        "cpu-time-used-up",
        "./run.sh: line 9:  1203 CPU time limit exceeded (core dumped) ./prepare\n",
        "CPU time limit",
        status=152,
        in_ranks=False,
    ),
    Case(
        "double free",
        "aborted",
        "double free or corruption (!prev)\nrun.sh: line 5:  88 Aborted                 (core dumped) python train.py\n",
        "double free",
        status=134,
    ),
    Case(
        "killed, in a shell",
        "killed-from-outside",
        "epoch 7/90\n/job/run.sh: line 21:   154 Killed                  python train.py --bs 512\n",
        "Killed",
        status=137,
        in_ranks=False,
    ),
]
