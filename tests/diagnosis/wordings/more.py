"""What the other parts leave out, so that every rule has something that it must know."""

from ..case import Case
from .devices import CUDA_HINTS, TORCH
from .python import raised

CASES = [
    Case(
        "stdbuf before a program of musl",
        "preload-unfit",
        "Error relocating /usr/libexec/coreutils/libstdbuf.so: __fprintf_chk: symbol not found\n",
        "libstdbuf.so",
        status=127,
    ),
    Case(
        "stdbuf before a program with a sanitizer",
        "preload-unfit",
        "==1948==ASan runtime does not come first in initial library list; you should either link runtime to your "
        "application or manually preload it with LD_PRELOAD.\n",
        "ASan runtime",
    ),
    Case(
        "stdbuf before a program with a C library of its own",
        "preload-unfit",
        "./train: /opt/glibc/libc.so.6: version `GLIBC_2.34' not found (required by /usr/libexec/coreutils/libstdbuf.so)\n",
        "libstdbuf.so",
    ),
    Case(
        "a library that musl does not find",
        "library-missing",
        "Error loading shared library libfoo.so.1: No such file or directory (needed by /app/train)\n",
        "libfoo.so.1",
        status=127,
    ),
    Case(
        "a symbol that musl does not find",
        "packages-mismatch",
        "Error relocating /app/train: foo_init: symbol not found\n",
        "foo_init",
        status=127,
    ),
    Case(
        "a GPU that needs a reset",
        "device-hardware",
        "nvidia-smi: GPU 00000000:3B:00.0: GPU requires reset\n" + TORCH + "RuntimeError: CUDA error: unknown error\n",
        "requires reset",
    ),
    Case(
        "an NPU that is gone",
        "device-hardware",
        "[ERROR] npu-smi: NPU 3 card drop detected\n" + raised("RuntimeError: synchronize failed"),
        "card drop",
    ),
    Case(
        "a hardware stack",
        "device-hardware",
        TORCH + "RuntimeError: CUDA error: hardware stack error\n" + CUDA_HINTS,
        "hardware stack error",
    ),
    Case(
        "memory by its type alone",
        "device-out-of-memory",
        TORCH + "torch.OutOfMemoryError: Allocation on device 0 would exceed allowed memory. (out of memory)\n",
        "exceed allowed memory",
    ),
    Case(
        "an Ascend's code for memory",
        "device-out-of-memory",
        raised(
            "RuntimeError: malloc:torch_npu/csrc/core/npu/NPUCachingAllocator.cpp:100 NPU error, error code is 207001"
        ),
        "207001",
    ),
    Case(
        "CANN and its driver",
        "driver-too-old",
        raised(
            "RuntimeError: The driver version 21.0.2 does not match the CANN version 7.0, please upgrade the driver"
        ),
        "does not match",
    ),
    Case("inodes in words", "inodes-used-up", "mkfs: cannot create file: no free inodes on /cache\n", "no free inodes"),
    Case(
        "HfArgumentParser",
        "arguments-invalid",
        raised("ValueError: Some specified arguments are not used by the HfArgumentParser: ['--data_url', 's3://x']"),
        "--data_url",
    ),
    Case(
        "TOML",
        "config-invalid",
        raised("tomllib.TOMLDecodeError: Expected '=' after a key in a key/value pair (at line 3, column 6)"),
        "TOMLDecodeError",
    ),
    Case(
        "pydantic",
        "config-invalid",
        raised(
            "pydantic_core._pydantic_core.ValidationError: 1 validation error for TrainConfig\nlr\n  Input should be a valid number [type=float_parsing, input_value='fast', input_type=str]"
        ),
        "TrainConfig",
    ),
    Case(
        "hydra's config",
        "config-invalid",
        raised(
            "hydra.errors.MissingConfigException: Cannot find primary config 'trian'. Check that it's in your config search path."
        ),
        "trian",
    ),
    Case(
        "an image",
        "data-corrupt",
        raised("PIL.UnidentifiedImageError: cannot identify image file '/cache/data/7.jpg'"),
        "/cache/data/7.jpg",
    ),
    Case(
        "Parquet",
        "data-corrupt",
        raised(
            "pyarrow.lib.ArrowInvalid: Could not open Parquet input source '<Buffer>': Parquet magic bytes not found in footer. Either the file is corrupted or this is not a parquet file."
        ),
        "Parquet magic bytes",
    ),
    Case(
        "a record of TensorFlow",
        "data-corrupt",
        raised("tensorflow.python.framework.errors_impl.DataLossError: corrupted record at 12"),
        "corrupted record",
    ),
    Case(
        "keys of a store",
        "rendezvous-timeout",
        raised("torch.distributed.DistStoreError: wait timeout after 600000ms, keys: /default_pg/0//cuda//0"),
        "wait timeout",
        in_ranks=False,
    ),
    Case(
        "Paddle's meeting",
        "rendezvous-timeout",
        "LAUNCH ERROR 2026-11-29 10:00:00,123 not all nodes are ready: 1 of 2\n",
        "not all nodes are ready",
        in_ranks=False,
    ),
    Case(
        "a remote rank",
        "collective-failed",
        raised("RuntimeError: NCCL communicator was aborted on rank 3."),
        "aborted on rank 3",
        in_ranks=False,
    ),
    Case(
        "MPI's link",
        "collective-failed",
        raised("mpi4py.MPI.Exception: MPI_ERR_OTHER: known error not in list"),
        "MPI_ERR_OTHER",
        in_ranks=False,
    ),
    Case(
        "a coordinator that is gone",
        "collective-failed",
        raised(
            "jaxlib.xla_extension.XlaRuntimeError: UNAVAILABLE: Failed to send RPC to coordination service. Connection refused: failed to connect to all addresses"
        ),
        "UNAVAILABLE",
        in_ranks=False,
    ),
    Case(
        "a shell's bus error",
        "bus-error",
        "run.sh: line 3:  4711 Bus error               (core dumped) python train.py\n",
        "Bus error",
        status=135,
        in_ranks=False,
    ),
    Case(
        "a shell's illegal instruction",
        "illegal-instruction",
        "run.sh: line 3:  4711 Illegal instruction     (core dumped) python train.py\n",
        "Illegal instruction",
        status=132,
        in_ranks=False,
    ),
    Case(
        "an arithmetic fault",
        "floating-point-fault",
        'Fatal Python error: Floating point exception\n\nCurrent thread 0x00007f22 (most recent call first):\n  File "/job/train.py", line 12 in <module>\n',
        "/job/train.py:12",
        signal=8,
    ),
    Case(
        "the interpreter's abort",
        "aborted",
        'Fatal Python error: Aborted\n\nCurrent thread 0x00007f22 (most recent call first):\n  File "/job/train.py", line 12 in <module>\n',
        "/job/train.py:12",
        signal=6,
    ),
    Case(
        "a recursion",
        "stack-overflow",
        raised("RecursionError: maximum recursion depth exceeded while calling a Python object"),
        "maximum recursion depth",
    ),
    Case(
        "NFS",
        "permission-denied",
        raised("PermissionError: [Errno 13] Permission denied: '/nfs/data/train.bin'"),
        "/nfs/data/train.bin",
    ),
    Case(
        "a hub's cache",
        "read-only",
        raised("OSError: [Errno 30] Read-only file system: '/root/.cache/huggingface'"),
        "Read-only file system",
    ),
    Case(
        "a directory",
        "file-missing",
        raised("FileNotFoundError: [Errno 2] No such file or directory: '/cache/data/train'"),
        "/cache/data/train",
    ),
    Case(
        "moxing",
        "url-used-as-path",
        raised("FileNotFoundError: [Errno 2] No such file or directory: 's3:/bucket/data/x.npy'"),
        "s3:/bucket/data/x.npy",
    ),
    Case(
        "a download's name",
        "hub-unreachable",
        raised(
            "urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>",
            '  File "/opt/conda/lib/python3.10/site-packages/torchvision/datasets/utils.py", line 91, in _urlretrieve\n    with urllib.request.urlopen(request) as response:\n',
        ),
        "urlopen error",
    ),
    Case(
        "a killed child of Python",
        "rank-killed",
        raised("subprocess.CalledProcessError: Command '['python', 'worker.py']' died with <Signals.SIGKILL: 9>."),
        "SIGKILL",
        in_ranks=False,
    ),
    Case("Slurm's OOM", "rank-killed", "srun: error: node-3: task 7: Out Of Memory\n", "task 7", in_ranks=False),
    Case(
        "Python 3.6 and a walrus",
        "syntax-error",
        '  File "train.py", line 3\n    if (n := len(a)) > 10:\n          ^\nSyntaxError: invalid syntax\n',
        "invalid syntax",
    ),
    Case(
        "a match statement",
        "syntax-error",
        '  File "/job/train.py", line 7\n    match kind:\n          ^\nSyntaxError: invalid syntax\n',
        "/job/train.py:7",
    ),
    Case("an exit of a shell's pipe", "program-missing", "/bin/sh: 1: nvcc: not found\n", "nvcc", status=127),
    Case("conda", "program-missing", "run.sh: line 2: conda: command not found\n", "conda", status=127),
    Case(
        "near: a name with an error in it",
        "python-exception",
        "saved error_rate.png\n" + raised("ValueError: bad shard"),
        "bad shard",
    ),
    Case(
        "near: a table with inf",
        "python-exception",
        "grad norm: 3.1, max: inf (clipped)\n" + raised("TypeError: unsupported operand type(s)"),
        "unsupported operand",
    ),
    Case(
        "near: a port that was taken and changed",
        "python-exception",
        "port 29500 is in use, trying again with 29501\n" + raised("KeyError: 'x'"),
        "KeyError: 'x'",
    ),
    Case(
        "near: 'killed' as a word",
        "ended-silently",
        "the wolf killed 3 sheep\nepoch 1\n",
        "epoch 1",
        status=3,
        in_ranks=False,
    ),
]
