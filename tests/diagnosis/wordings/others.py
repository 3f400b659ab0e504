"""Native code, shells, and ends that say little."""

from ..case import Case

CASES = [
    Case(
        "Paddle's crash",
        "segmentation-fault",
        """\
--------------------------------------
C++ Traceback (most recent call last):
--------------------------------------
0   paddle::imperative::Tracer::TraceOp(std::string const&)

----------------------
Error Message Summary:
----------------------
FatalError: `Segmentation fault` is detected by the operating system.
  [TimeInfo: *** Aborted at 1732874401 (unix time) try "date -d @1732874401" if you are using GNU date ***]
  [SignalInfo: *** SIGSEGV (@0x0) received by PID 4711 (TID 0x7f) from PID 0 ***]
""",
        "Segmentation fault",
        signal=11,
    ),
    Case(
        "the interpreter's last words",
        "segmentation-fault",
        """\
Fatal Python error: Segmentation fault

Thread 0x00007f11 (most recent call first):
  File "/opt/conda/lib/python3.10/threading.py", line 324 in wait
  File "/opt/conda/lib/python3.10/threading.py", line 1016 in _bootstrap_inner

Current thread 0x00007f22 (most recent call first):
  File "/opt/conda/lib/python3.10/site-packages/torch/nn/modules/conv.py", line 454 in _conv_forward
  File "/job/model.py", line 77 in forward
  File "/job/train.py", line 12 in <module>

Extension modules: numpy.core._multiarray_umath, torch._C (total: 30)
""",
        "/job/model.py:77",
        signal=11,
    ),
    Case("an abort without a word", "aborted", "epoch 1\n", "", signal=6, in_ranks=False),
    Case("an illegal instruction", "illegal-instruction", "importing tensorflow\n", "", signal=4, in_ranks=False),
    Case("a bus error", "bus-error", "epoch 1\n", "", signal=7, in_ranks=False),
    Case("137 alone", "killed-from-outside", "epoch 1\nepoch 2\n", "", status=137, in_ranks=False),
    Case("247", "killed-from-outside", "epoch 1\n", "", status=247, in_ranks=False),
    Case(
        "a check of glog",
        "assertion",
        "F1129 10:00:01.123456   141 tensor.cc:88] Check failed: dims == 4 (3 vs. 4)\n*** Check failure stack trace: ***\n",
        "Check failed: dims == 4",
        signal=6,
    ),
    Case(
        "C++ without a catch",
        "aborted",
        "terminate called after throwing an instance of 'c10::Error'\n  what():  isTensor() INTERNAL ASSERT FAILED at ../aten/src/ATen/core/ivalue_inl.h:146\n",
        "INTERNAL ASSERT FAILED",
        signal=6,
    ),
    Case(
        "C++ without memory",
        "memory-error",
        "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n",
        "bad_alloc",
        signal=6,
    ),
    Case(
        "OpenBLAS",
        "processes-used-up",
        "OpenBLAS blas_thread_init: pthread_create failed for thread 63 of 64: Resource temporarily unavailable\nOpenBLAS blas_thread_init: RLIMIT_NPROC 4096 current, 4096 max\n",
        "pthread_create failed",
    ),
    Case(
        "C++ without threads",
        "processes-used-up",
        "terminate called after throwing an instance of 'std::system_error'\n  what():  Resource temporarily unavailable\n",
        "Resource temporarily unavailable",
        signal=6,
    ),
    Case(
        "tar on a full disk",
        "disk-full",
        "tar: data/part-7: Cannot write: No space left on device\ntar: Exiting with failure status due to previous errors\n",
        "No space left on device",
        status=2,
    ),
    Case(
        "pip on a full disk",
        "disk-full",
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n",
        "No space left on device",
    ),
    Case(
        "Java",
        "memory-error",
        'Exception in thread "main" java.lang.OutOfMemoryError: Java heap space\n\tat Main.main(Main.java:5)\n',
        "Java heap space",
    ),
    Case(
        "Rust",
        "command-failed",
        "thread 'main' panicked at src/main.rs:4:5:\nindex out of bounds: the len is 3 but the index is 7\n",
        "panicked",
        status=101,
    ),
    Case(
        "a shell's killed child",
        "killed-from-outside",
        "run.sh: line 3:  4711 Killed                  python train.py\n",
        "Killed",
        status=137,
        in_ranks=False,
    ),
    Case(
        "four ranks that print at once",
        "python-exception",
        """\
Traceback (most recent call last):
Traceback (most recent call last):
  File "/job/train.py", line 9, in <module>
Traceback (most recent call last):
  File "/job/train.py", line 9, in <module>
    main()
  File "/job/train.py", line 9, in <module>
    main()
  File "/job/train.py", line 5, in main
    main()
    raise ValueError("bad shard")
  File "/job/train.py", line 5, in main
    raise ValueError("bad shard")
ValueError: bad shard
  File "/job/train.py", line 5, in main
    raise ValueError("bad shard")
ValueError: bad shard
ValueError: bad shard
""",
        "ValueError: bad shard (/job/train.py:5",
        in_ranks=False,
    ),
    Case(
        "a message with a ruler",
        "command-failed",
        "ERROR: data set /cache/x is empty\n=====================\n",
        "data set /cache/x is empty",
        in_ranks=False,
    ),
    Case(
        "only warnings",
        "ended-silently",
        "/opt/x.py:3: UserWarning: old\n  warnings.warn('old')\nwandb: done\n",
        "",
        in_ranks=False,
    ),
]
