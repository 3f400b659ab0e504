"""Python programs, checkpoints, packages."""

from ..case import Case


def raised(exception: str, frames: str = "", line: int = 44) -> str:
    return f"""\
Traceback (most recent call last):
  File "/job/train.py", line 90, in <module>
    main()
  File "/job/train.py", line {line}, in main
    state = prepare(args)
{frames}{exception}
"""


LIBRARY = """\
  File "/opt/conda/lib/python3.10/site-packages/torch/serialization.py", line 1032, in load
    with _open_zipfile_reader(opened_file) as opened_zipfile:
"""
AT = "(/job/train.py:44"

CASES = [
    Case(
        "a zip that is cut",
        "checkpoint-corrupt",
        raised(
            "RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory", LIBRARY
        ),
        AT,
    ),
    Case(
        "an old checkpoint that is cut",
        "checkpoint-corrupt",
        raised("RuntimeError: unexpected EOF, expected 1873249 more bytes. The file might be corrupted.", LIBRARY),
        "unexpected EOF",
    ),
    Case(
        "safetensors",
        "checkpoint-corrupt",
        raised("safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer"),
        AT,
    ),
    Case("an empty checkpoint", "checkpoint-corrupt", raised("EOFError: Ran out of input", LIBRARY), AT),
    Case(
        "a pointer of Git LFS",
        "checkpoint-corrupt",
        raised("_pickle.UnpicklingError: invalid load key, 'v'.", LIBRARY),
        "invalid load key",
    ),
    Case(
        "keys of a checkpoint",
        "checkpoint-mismatch",
        raised(
            'RuntimeError: Error(s) in loading state_dict for ResNet:\n\tMissing key(s) in state_dict: "conv1.weight", "bn1.weight". \n\tUnexpected key(s) in state_dict: "module.conv1.weight", "module.bn1.weight". ',
            '  File "/opt/conda/lib/python3.10/site-packages/torch/nn/modules/module.py", line 2215, in load_state_dict\n    raise RuntimeError(\n',
        ),
        "Error(s) in loading state_dict for ResNet",
    ),
    Case(
        "sizes of a checkpoint",
        "checkpoint-mismatch",
        raised(
            "RuntimeError: Error(s) in loading state_dict for ResNet:\n\tsize mismatch for fc.weight: copying a param with shape torch.Size([1000, 512]) from checkpoint, the shape in current model is torch.Size([10, 512])."
        ),
        "size mismatch for fc.weight",
    ),
    Case(
        "weights only",
        "checkpoint-mismatch",
        raised(
            "_pickle.UnpicklingError: Weights only load failed. This file can still be loaded, to do so you have two options, do those steps only if you trust the source of the checkpoint.",
            LIBRARY,
        ),
        "Weights only load failed",
    ),
    Case(
        "an optimiser's state",
        "checkpoint-mismatch",
        raised(
            "ValueError: loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
        ),
        AT,
    ),
    Case("a loss that is told", "loss-nan", "epoch 3: loss nan\nLoss is nan, stopping training\n", "Loss is nan"),
    Case("a loss that is raised", "loss-nan", raised("ValueError: loss became NaN at step 1200"), AT),
    Case(
        "a gradient",
        "loss-nan",
        raised("RuntimeError: Function 'MulBackward0' returned nan values in its 0th output."),
        AT,
    ),
    Case(
        "a scale",
        "loss-nan",
        raised("Exception: Current loss scale already at minimum - cannot decrease scale anymore. Exiting run."),
        AT,
    ),
    Case(
        "a sampler",
        "loss-nan",
        raised("RuntimeError: probability tensor contains either `inf`, `nan` or element < 0"),
        AT,
    ),
    Case(
        "a local function",
        "not-picklable",
        raised(
            "AttributeError: Can't pickle local object 'make_loader.<locals>.collate'",
            '  File "/opt/conda/lib/python3.10/multiprocessing/reduction.py", line 60, in dump\n    ForkingPickler(file, protocol).dump(obj)\n',
        ),
        "make_loader",
    ),
    Case(
        "CUDA in a fork",
        "cuda-in-fork",
        raised(
            "RuntimeError: Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, you must use the 'spawn' start method"
        ),
        "forked subprocess",
    ),
    Case(
        "no guard",
        "main-not-guarded",
        raised(
            "RuntimeError: \n        An attempt has been made to start a new process before the\n        current process has finished its bootstrapping phase.\n\n        This probably means that you are not using fork to start your\n        child processes and you have forgotten to use the proper idiom\n        in the main module:\n\n            if __name__ == '__main__':\n                freeze_support()\n                ..."
        ),
        "start a new process",
    ),
    Case(
        "a loader's worker",
        "python-exception",
        raised("""\
ValueError: Caught ValueError in DataLoader worker process 2.
Original Traceback (most recent call last):
  File "/opt/conda/lib/python3.10/site-packages/torch/utils/data/_utils/worker.py", line 308, in _worker_loop
    data = fetcher.fetch(index)
  File "/job/dataset.py", line 21, in __getitem__
    return self.parse(row)
ValueError: could not convert string to float: 'n/a\'"""),
        "could not convert string to float: 'n/a' (/job/dataset.py:21",
    ),
    Case(
        "a loader's worker that was killed",
        "worker-killed",
        raised(
            "RuntimeError: DataLoader worker (pid 4711) is killed by signal: Killed. ",
            '  File "/opt/conda/lib/python3.10/site-packages/torch/utils/data/_utils/signal_handling.py", line 66, in handler\n    _error_if_any_worker_fails()\n',
        ),
        "killed by signal: Killed",
    ),
    Case(
        "a loader's worker that is gone",
        "worker-killed",
        raised("queue.Empty", "")
        + "\nThe above exception was the direct cause of the following exception:\n\n"
        + raised("RuntimeError: DataLoader worker (pid(s) 4711, 4712) exited unexpectedly"),
        "exited unexpectedly",
    ),
    Case(
        "a loader without shared memory",
        "shared-memory-full",
        "ERROR: Unexpected bus error encountered in worker. This might be caused by insufficient shared memory (shm).\n"
        + raised(
            "RuntimeError: DataLoader worker (pid 4711) is killed by signal: Bus error. It is possible that dataloader's workers are out of shared memory. Please try to raise your shared memory limit."
        ),
        "Bus error",
    ),
    Case(
        "a segment of PyTorch",
        "shared-memory-full",
        raised(
            "RuntimeError: unable to allocate shared memory(shm) for file </torch_4711_2394873_0>: No space left on device (28)"
        ),
        "shared memory",
    ),
    Case(
        "NCCL without shared memory",
        "shared-memory-full",
        "worker-0:141:210 [0] include/shm.h:28 NCCL WARN Call to posix_fallocate failed : No space left on device\nworker-0:141:210 [0] include/shm.h:60 NCCL WARN Error while creating shared memory segment /dev/shm/nccl-5hRk2x (size 9637888)\n"
        + raised(
            "RuntimeError: NCCL error in: ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:1970, unhandled system error (run with NCCL_DEBUG=INFO for details), NCCL version 2.20.5\nncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error.\nLast error:\nError while creating shared memory segment /dev/shm/nccl-5hRk2x (size 9637888)"
        ),
        "shared memory segment",
    ),
    Case(
        "a pool of joblib",
        "worker-killed",
        raised(
            "joblib.externals.loky.process_executor.TerminatedWorkerError: A worker process managed by the executor was unexpectedly terminated. This could be caused by a segmentation fault while calling the function or by an excessive memory usage causing the Operating System to kill the worker."
        ),
        "unexpectedly terminated",
    ),
    Case(
        "a remote traceback",
        "python-exception",
        'multiprocessing.pool.RemoteTraceback:\n"""\nTraceback (most recent call last):\n  File "/opt/conda/lib/python3.10/multiprocessing/pool.py", line 125, in worker\n    result = (True, func(*args, **kwds))\n  File "/job/prep.py", line 4, in f\n    return table[x]\nKeyError: 7\n"""\n\nThe above exception was the direct cause of the following exception:\n\n'
        + raised(
            "KeyError: 7",
            '  File "/opt/conda/lib/python3.10/multiprocessing/pool.py", line 774, in get\n    raise self._value\n',
        ),
        "KeyError: 7",
    ),
    Case(
        "torch.save on a full disk",
        "disk-full",
        raised("RuntimeError: [enforce fail at inline_container.cc:659] . unexpected pos 704 vs 598"),
        "inline_container",
    ),
    Case(
        "numpy of 1 TiB",
        "memory-error",
        raised(
            "numpy.core._exceptions._ArrayMemoryError: Unable to allocate 1.00 TiB for an array with shape (137438953472,) and data type float64"
        ),
        AT,
    ),
    Case(
        "numpy of 1 TiB, new",
        "memory-error",
        raised(
            "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 1.00 TiB for an array with shape (137438953472,) and data type float64"
        ),
        AT,
    ),
    Case(
        "PyTorch's memory on the CPU",
        "memory-error",
        raised(
            "RuntimeError: [enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 137438953472 bytes. Error code 12 (Cannot allocate memory)"
        ),
        "DefaultCPUAllocator",
    ),
    Case(
        "shapes",
        "python-exception",
        raised(
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied (32x128 and 256x10)",
            '  File "/opt/conda/lib/python3.10/site-packages/torch/nn/modules/linear.py", line 117, in forward\n    return F.linear(input, self.weight, self.bias)\n',
        ),
        "mat1 and mat2 shapes cannot be multiplied (32x128 and 256x10) (/job/train.py:44",
    ),
    Case(
        "two devices",
        "python-exception",
        raised(
            "RuntimeError: Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"
        ),
        "same device",
    ),
    Case(
        "an unused parameter",
        "python-exception",
        raised(
            "RuntimeError: Expected to have finished reduction in the prior iteration before starting a new one. This error indicates that your module has parameters that were not used in producing loss."
        ),
        "finished reduction",
    ),
    Case(
        "numpy 2",
        "packages-mismatch",
        "\nA module that was compiled using NumPy 1.x cannot be run in\nNumPy 2.0.1 as it may crash. To support both 1.x and 2.x\nversions of NumPy, modules must be compiled with NumPy 2.0.\n"
        + raised("ImportError: numpy.core.multiarray failed to import"),
        "numpy.core.multiarray",
    ),
    Case(
        "dtype size",
        "packages-mismatch",
        raised(
            "ValueError: numpy.dtype size changed, may indicate binary incompatibility. Expected 96 from C header, got 88 from PyObject"
        ),
        "dtype size changed",
    ),
    Case(
        "GLIBCXX",
        "packages-mismatch",
        raised(
            "ImportError: /usr/lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.29' not found (required by /opt/conda/lib/python3.10/site-packages/scipy/linalg/_flapack.so)"
        ),
        "GLIBCXX_3.4.29",
    ),
    Case(
        "GLIBC",
        "packages-mismatch",
        "./tool: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by ./tool)\n",
        "GLIBC_2.34",
    ),
    Case(
        "an extension's symbol",
        "packages-mismatch",
        raised(
            "ImportError: /opt/conda/lib/python3.10/site-packages/flash_attn_2_cuda.cpython-310-x86_64-linux-gnu.so: undefined symbol: _ZN3c105ErrorC2ENS_14SourceLocationESs"
        ),
        "undefined symbol",
    ),
    Case(
        "torchvision",
        "packages-mismatch",
        raised("RuntimeError: operator torchvision::nms does not exist"),
        "torchvision::nms",
    ),
    Case(
        "a version that is wanted",
        "packages-mismatch",
        raised(
            "ImportError: tokenizers>=0.21,<0.22 is required for a normal functioning of this module, but found tokenizers==0.15.2."
        ),
        "tokenizers",
    ),
    Case(
        "cuDNN's library",
        "library-missing",
        raised("ImportError: libcudnn.so.8: cannot open shared object file: No such file or directory"),
        "libcudnn.so.8",
    ),
    Case(
        "OpenCV's library",
        "library-missing",
        raised("ImportError: libGL.so.1: cannot open shared object file: No such file or directory"),
        "libGL.so.1",
    ),
    Case(
        "the driver's library",
        "library-missing",
        raised("OSError: libcuda.so.1: cannot open shared object file: No such file or directory"),
        "libcuda.so.1",
    ),
    Case(
        "CANN's library",
        "library-missing",
        raised("ImportError: libascendcl.so: cannot open shared object file: No such file or directory"),
        "libascendcl.so",
    ),
    Case(
        "a wrong architecture",
        "architecture-wrong",
        raised("OSError: /job/libops.so: cannot open shared object file: wrong ELF class: ELFCLASS32"),
        "wrong ELF class",
    ),
    Case(
        "transformers",
        "import-failed",
        raised(
            "ImportError: cannot import name 'LlamaFlashAttention2' from 'transformers.models.llama.modeling_llama' (/opt/conda/lib/python3.10/site-packages/transformers/models/llama/modeling_llama.py)"
        ),
        "LlamaFlashAttention2",
    ),
    Case(
        "a module that is wanted",
        "module-missing",
        raised("ImportError: Using `bitsandbytes` 8-bit quantization requires Accelerate: `pip install accelerate`"),
        "pip install accelerate",
    ),
    Case(
        "a compiler",
        "program-missing",
        raised("OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root."),
        "CUDA_HOME",
    ),
    Case("interrupted", "interrupted", raised("KeyboardInterrupt"), "KeyboardInterrupt", status=130, in_ranks=False),
    Case("ancdata", "open-files-used-up", raised("RuntimeError: received 0 items of ancdata"), "ancdata"),
    Case(
        "an environment variable",
        "variable-missing",
        raised(
            "ValueError: Error initializing torch.distributed using env:// rendezvous: environment variable RANK expected, but not set"
        ),
        "RANK expected",
    ),
    Case(
        "hydra's override",
        "config-invalid",
        "Could not override 'optimizer.lrr'.\nTo append to your config use +optimizer.lrr=0.1\nKey 'lrr' is not in struct\n    full_key: optimizer.lrr\n    object_type=dict\n\nSet the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.\n",
        "lrr",
    ),
    Case(
        "OmegaConf",
        "config-invalid",
        raised(
            "omegaconf.errors.ConfigAttributeError: Missing key batch_size\n    full_key: train.batch_size\n    object_type=dict"
        ),
        "batch_size",
    ),
    Case(
        "YAML",
        "config-invalid",
        raised(
            'yaml.scanner.ScannerError: mapping values are not allowed here\n  in "conf/train.yaml", line 7, column 12'
        ),
        "mapping values are not allowed here",
    ),
    Case(
        "DeepSpeed's batch",
        "config-invalid",
        raised(
            "AssertionError: Check batch related parameters. train_batch_size is not equal to micro_batch_per_gpu * gradient_acc_step * world_size 64 != 4 * 1 * 8"
        ),
        "train_batch_size",
    ),
    Case(
        "click",
        "arguments-invalid",
        "Usage: train.py [OPTIONS]\nTry 'train.py --help' for help.\n\nError: No such option: --data_url\n",
        "--data_url",
        status=2,
    ),
    Case(
        "absl",
        "arguments-invalid",
        "FATAL Flags parsing error:\n  Unknown command line flag 'data_url'\nPass --helpshort or --helpfull to see help on flags.\n",
        "data_url",
    ),
    Case(
        "argparse",
        "arguments-invalid",
        "usage: train.py [-h] [--lr LR]\ntrain.py: error: unrecognized arguments: --data_url=s3://x --train_url=s3://y\n",
        "unrecognized arguments: --data_url=s3://x",
        status=2,
    ),
    # near misses
    Case(
        "near: a sample that speaks of a disk",
        "ended-silently",
        'tokens of sample 17: "No space left on device"\n{"text": "OSError: [Errno 28] No space left on device"}\nepoch 1\n',
        "epoch 1",
        status=3,
    ),
    Case(
        "near: a destructor behind a key",
        "python-exception",
        raised("KeyError: 'labels'")
        + 'Exception ignored in: <function _Iter.__del__ at 0x7f>\nTraceback (most recent call last):\n  File "/opt/conda/lib/python3.10/site-packages/torch/utils/data/dataloader.py", line 1477, in __del__\n    self._shutdown_workers()\nOSError: [Errno 24] Too many open files\n',
        "KeyError: 'labels'",
    ),
    Case(
        "near: a warning in a traceback's clothes",
        "python-exception",
        "WARNING: could not load the plug-in\n"
        + raised("ModuleNotFoundError: No module named 'apex'", line=12)
        + "continuing without it\n"
        + "".join(f"step {n}: loss {n}\n" for n in range(40))
        + raised("ValueError: no"),
        "ValueError: no",
    ),
    Case(
        "near: a log that quotes an error",
        "ended-silently",
        "".join(f"INFO step {n}: 'CUDA out of memory' was answered by the model\n" for n in range(9))
        + "done with 3 of 4\n",
        "",
        status=1,
    ),
    Case(
        "near: a loss that is no NaN",
        "python-exception",
        "checked: loss is not nan, gradients are finite\n" + raised("ValueError: no more batches"),
        "no more batches",
    ),
    Case(
        "near: a message about a checkpoint",
        "python-exception",
        "saved checkpoint 12, no mismatch\n" + raised("IndexError: list index out of range"),
        "IndexError",
    ),
    Case(
        "near: a logging error",
        "python-exception",
        raised("RuntimeError: labels are empty")
        + '--- Logging error ---\nTraceback (most recent call last):\n  File "/opt/conda/lib/python3.10/logging/__init__.py", line 1103, in emit\n    stream.write(msg + self.terminator)\nValueError: I/O operation on closed file.\n',
        "labels are empty",
    ),
]
