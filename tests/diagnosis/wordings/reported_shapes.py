"""Shapes in which tracebacks come: Rich, loguru, exception groups, launchers of many kinds, other languages."""

import json

from ..case import Case
from .traceback import raised

_SITE = "/opt/conda/lib/python3.11/site-packages"
rich = """╭─────────────────────────────── Traceback (most recent call last) ────────────────────────────────╮
│ /job/train.py:141 in main                                                                        │
│                                                                                                  │
│   138 │   for epoch in range(epochs):                                                            │
│ ❱ 141 │   │   loss = step(batch["pixel_values"])                                                  │
│   142                                                                                            │
│                                                                                                  │
│ /opt/conda/lib/python3.11/site-packages/transformers/feature.py:88 in __getitem__                 │
│                                                                                                  │
│ ❱  88 │   │   return self.data[item]                                                             │
╰──────────────────────────────────────────────────────────────────────────────────────────────────╯
KeyError: 'pixel_values'
"""
rich_oom = rich.replace(
    "KeyError: 'pixel_values'",
    "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.69 GiB",
)
logged = "2026-11-27 10:00:00,123 - ERROR - trainer.py:88 - training failed\n" + raised(
    "ValueError: Expected input batch_size (32) to match target batch_size (16)."
)
loguru = "2026-11-27 10:00:00.123 | ERROR    | __main__:<module>:12 - An error has been caught in function '<module>', process 'MainProcess' (141), thread 'MainThread' (1):\nTraceback (most recent call last):\n\n> File \"/job/train.py\", line 12, in <module>\n    main()\n    └ <function main at 0x7f>\n\n  File \"/job/train.py\", line 8, in main\n    x = data['k']\n        └ {}\n\nKeyError: 'k'\n"
CASES = [
    Case(
        "ipython",
        "python-exception",
        "---------------------------------------------------------------------------\nKeyError                                  Traceback (most recent call last)\nCell In[4], line 2\n      1 batch = {}\n----> 2 batch['labels']\n\nFile /job/data.py:31, in fetch(x)\n     30     y = 1\n---> 31     return x[k]\n\nKeyError: 'labels'\n",
        "/job/data.py:31",
    ),
    Case("rich", "python-exception", rich, "pixel_values"),
    Case("rich oom", "device-out-of-memory", rich_oom, "Tried to allocate 2.00 GiB"),
    Case("logged", "python-exception", logged, "batch_size (32)"),
    Case("loguru", "python-exception", loguru, "KeyError: 'k'"),
    Case(
        "exception group",
        "python-exception",
        '  + Exception Group Traceback (most recent call last):\n  |   File "/job/a.py", line 9, in <module>\n  |     asyncio.run(main())\n  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)\n  +-+---------------- 1 ----------------\n    | Traceback (most recent call last):\n    |   File "/job/a.py", line 5, in fetch\n    |     raise ValueError(\'bad shard 7\')\n    | ValueError: bad shard 7\n    +------------------------------------\n',
        "bad shard 7",
    ),
    Case(
        "spawn",
        "python-exception",
        'Traceback (most recent call last):\n  File "/job/train.py", line 40, in <module>\n    mp.spawn(run, nprocs=2)\n  File "'
        + _SITE
        + '/torch/multiprocessing/spawn.py", line 340, in spawn\n    return start_processes(fn)\n  File "'
        + _SITE
        + '/torch/multiprocessing/spawn.py", line 215, in join\n    raise ProcessRaisedException(msg, error_index, failed_process.pid)\ntorch.multiprocessing.spawn.ProcessRaisedException: \n\n-- Process 1 terminated with the following error:\nTraceback (most recent call last):\n  File "'
        + _SITE
        + '/torch/multiprocessing/spawn.py", line 90, in _wrap\n    fn(i, *args)\n  File "/job/train.py", line 22, in run\n    net(x)\nTypeError: forward() missing 1 required positional argument: \'mask\'\n',
        "/job/train.py:22",
    ),
    Case(
        "dataloader worker",
        "file-missing",
        'Traceback (most recent call last):\n  File "/job/train.py", line 40, in <module>\n    for b in loader:\n  File "'
        + _SITE
        + '/torch/utils/data/dataloader.py", line 701, in __next__\n    data = self._next_data()\n  File "'
        + _SITE
        + '/torch/_utils.py", line 733, in reraise\n    raise exception\nFileNotFoundError: Caught FileNotFoundError in DataLoader worker process 3.\nOriginal Traceback (most recent call last):\n  File "'
        + _SITE
        + '/torch/utils/data/_utils/worker.py", line 351, in _worker_loop\n    data = fetcher.fetch(index)\n  File "/job/data.py", line 18, in __getitem__\n    img = open(path)\nFileNotFoundError: [Errno 2] No such file or directory: \'/data/img/7.jpg\'\n',
        "/job/data.py:18",
    ),
    Case(
        "ray task",
        "python-exception",
        'Traceback (most recent call last):\n  File "/job/main.py", line 9, in <module>\n    ray.get(f.remote())\nray.exceptions.RayTaskError(ValueError): ray::f() (pid=4711, ip=10.0.0.7)\n  File "/job/main.py", line 5, in f\n    raise ValueError(\'negative learning rate\')\nValueError: negative learning rate\n',
        "negative learning rate",
    ),
    Case(
        "ray actor oom",
        "out-of-memory",
        '(raylet) [2026-11-27 10:00:00,123 E 141 141] (raylet) node_manager.cc:3064: 1 Workers (tasks / actors) killed due to memory pressure (OOM), 0 Workers crashed due to other reasons at node (ID: 3f, IP: 10.0.0.7)\nTraceback (most recent call last):\n  File "/job/main.py", line 9, in <module>\n    ray.get(a.step.remote())\nray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory.\n',
        "low on memory",
    ),
    Case(
        "accelerate launch",
        "python-exception",
        raised(
            "RuntimeError: The size of tensor a (7) must match the size of tensor b (8) at non-singleton dimension 1"
        )
        + 'Traceback (most recent call last):\n  File "/opt/conda/bin/accelerate", line 8, in <module>\n    sys.exit(main())\n  File "'
        + _SITE
        + "/accelerate/commands/launch.py\", line 775, in simple_launcher\n    raise subprocess.CalledProcessError(returncode=process.returncode, cmd=cmd)\nsubprocess.CalledProcessError: Command '['/opt/conda/bin/python', 'train.py']' returned non-zero exit status 1.\n",
        "size of tensor a",
    ),
    Case(
        "deepspeed",
        "device-out-of-memory",
        "[rank1]: "
        + raised("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.00 GiB.")
        .replace("\n", "\n[rank1]: ")
        .rstrip("[rank1]: ")
        + "\n[2026-11-27 10:00:00,123] [INFO] [launch.py:325:sigkill_handler] Killing subprocess 140\n[2026-11-27 10:00:00,124] [INFO] [launch.py:325:sigkill_handler] Killing subprocess 141\n[2026-11-27 10:00:00,223] [ERROR] [launch.py:331:sigkill_handler] ['/opt/conda/bin/python', '-u', 'train.py', '--local_rank=1'] exits with return code = 1\n",
        "Tried to allocate 1.00 GiB",
        in_ranks=False,
    ),
    Case(
        "deepspeed kill",
        "rank-killed",
        "epoch 1\n[2026-11-27 10:00:00,123] [INFO] [launch.py:325:sigkill_handler] Killing subprocess 140\n[2026-11-27 10:00:00,223] [ERROR] [launch.py:331:sigkill_handler] ['/opt/conda/bin/python', '-u', 'train.py', '--local_rank=1'] exits with return code = -9\n",
        "SIGKILL",
        status=247,
        in_ranks=False,
    ),
    Case(
        "mpirun abort",
        "python-exception",
        'Traceback (most recent call last):\n  File "/job/train.py", line 9, in <module>\n    f()\nIndexError: list index out of range\n--------------------------------------------------------------------------\nPrimary job  terminated normally, but 1 process returned\na non-zero exit code. Per user-direction, the job has been aborted.\n--------------------------------------------------------------------------\n--------------------------------------------------------------------------\nmpirun detected that one or more processes exited with non-zero status, thus causing\nthe job to be terminated. The first process to do so was:\n\n  Process name: [[61234,1],2]\n  Exit code:    1\n--------------------------------------------------------------------------\n',
        "list index out of range",
        in_ranks=False,
    ),
    Case(
        "lightning",
        "python-exception",
        "Epoch 3:  41%|████      | 410/1000 [00:41<00:59, 9.9it/s, loss=0.7]\n"
        + raised(
            "RuntimeError: Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed)."
        ),
        "backward through the graph",
    ),
    Case(
        "lightning misconfig",
        "device-missing",
        raised(
            "lightning.fabric.utilities.exceptions.MisconfigurationException: You requested gpu: [0, 1, 2, 3]\n But your machine only has: [0, 1]"
        ),
        "You requested gpu",
    ),
    Case(
        "keras",
        "python-exception",
        raised(
            'ValueError: Input 0 of layer "dense" is incompatible with the layer: expected axis -1 of input shape to have value 784, but received input with shape (None, 28)'
        ),
        "incompatible with the layer",
    ),
    Case(
        "tf invalid arg",
        "python-exception",
        raised(
            "tensorflow.python.framework.errors_impl.InvalidArgumentError: {{function_node __wrapped__MatMul}} Matrix size-incompatible: In[0]: [32,784], In[1]: [512,10] [Op:MatMul]"
        ),
        "size-incompatible",
    ),
    Case(
        "mindspore type",
        "python-exception",
        raised(
            "TypeError: For primitive[MatMul], the input argument[x] must be a type of {Tensor[Float16], Tensor[Float32]}, but got Tensor[Int64].\n\n----------------------------------------------------\n- C++ Call Stack: (For framework developers)\n----------------------------------------------------\nmindspore/core/utils/check_convert_utils.cc:951 _CheckTypeSame"
        ),
        "MatMul",
    ),
    Case(
        "paddle enforce",
        "python-exception",
        raised(
            "ValueError: (InvalidArgument) The shape of input[0] and input[1] is expected to be equal.But received input[0]'s shape = [1, 2], input[1]'s shape = [3, 4].\n  [Hint: Expected inputs_dims[i].size() == out_dims.size(), but received inputs_dims[i].size():2 != out_dims.size():3.] (at ../paddle/phi/kernels/funcs/concat_funcs.h:83)"
        ),
        "InvalidArgument",
    ),
    Case(
        "paddle nccl",
        "collective-failed",
        raised(
            "OSError: (External) NCCL error(5), invalid usage. \n  [Hint: 'ncclInvalidUsage'. The call to NCCL is incorrect. This is usually reflecting a programming error.] (at ../paddle/phi/core/distributed/nccl_comm_context.cc:41)"
        ),
        "NCCL error",
    ),
    Case(
        "jax tracer",
        "python-exception",
        raised(
            "jax.errors.TracerBoolConversionError: Attempted boolean conversion of traced array with shape bool[].\nThe error occurred while tracing the function f at /job/f.py:3 for jit."
        ),
        "TracerBool",
    ),
    Case(
        "jax heartbeat",
        "collective-failed",
        "2026-11-27 10:00:00.1: E external/xla/xla/tsl/distributed_runtime/coordination/coordination_service.cc:1170] /job:jax_worker/replica:0/task:3 has been set to ERROR in coordination service: UNAVAILABLE: Task /job:jax_worker/replica:0/task:3 heartbeat timeout. This indicates that the remote task has failed, got preempted, or crashed unexpectedly.\nF1127 10:00:00.123456 141 client.h:77] Terminating process because the JAX distributed service detected fatal errors. This most likely indicates that another task died; see the other task logs for more details. absl::Status: UNAVAILABLE: Task heartbeat timeout\n",
        "",
        status=None,
        signal=6,
        in_ranks=False,
    ),
    Case(
        "caught and retried oom, then a key",
        "python-exception",
        raised("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.")
        + "OOM at batch 64, trying again with 32\nepoch 1: loss 1.2\nepoch 2: loss 1.1\n"
        + raised("KeyError: 'labels'"),
        "labels",
    ),
    Case(
        "printed sample",
        "python-exception",
        'text: "cp: cannot create x: No space left on device" label: 3\n'
        + raised("IndexError: index 7 is out of bounds for axis 0 with size 7"),
        "out of bounds",
    ),
    Case(
        "teardown noise",
        "python-exception",
        raised("KeyError: 'labels'")
        + 'Exception ignored in: <function _MultiProcessingDataLoaderIter.__del__ at 0x7f>\nTraceback (most recent call last):\n  File "'
        + _SITE
        + '/torch/utils/data/dataloader.py", line 1510, in __del__\n    self._shutdown_workers()\nAssertionError: can only test a child process\n[rank0]:[W1127 10:00:00.1 ProcessGroupNCCL.cpp:1496] Warning: WARNING: destroy_process_group() was not called before program exit, which can leak resources.\n',
        "labels",
    ),
    Case(
        "chained cause",
        "file-missing",
        "Traceback (most recent call last):\n  File \"/job/a.py\", line 3, in load\n    open('/data/cfg.yaml')\nFileNotFoundError: [Errno 2] No such file or directory: '/data/cfg.yaml'\n\nThe above exception was the direct cause of the following exception:\n\n"
        + raised("RuntimeError: could not start"),
        "/data/cfg.yaml",
    ),
    Case(
        "handling bug",
        "python-exception",
        "Traceback (most recent call last):\n  File \"/job/a.py\", line 3, in load\n    import apex\nModuleNotFoundError: No module named 'apex'\n\nDuring handling of the above exception, another exception occurred:\n\n"
        + raised("NameError: name 'FusedLayerNormm' is not defined"),
        "FusedLayerNormm",
    ),
    Case(
        "hf offline env",
        "hub-unreachable",
        raised(
            "huggingface_hub.errors.OfflineModeIsEnabled: Cannot reach https://huggingface.co/api/models/gpt2: offline mode is enabled. To disable it, please unset the `HF_HUB_OFFLINE` environment variable."
        ),
        "offline mode",
    ),
    Case(
        "hub xet",
        "hub-unreachable",
        raised(
            "RuntimeError: Data processing error: CAS service error : Reqwest Error: HTTP status client error, domain: https://cas-server.xethub.hf.co/reconstructions/x\nCaused by: error sending request for url (https://cas-server.xethub.hf.co/): dns error: failed to lookup address information: Temporary failure in name resolution"
        ),
        "",
    ),
    Case(
        "volcano svc name",
        "name-unresolved",
        "ssh: Could not resolve hostname job-worker-1.job: Name or service not known\n",
        "job-worker-1",
        status=255,
        in_ranks=False,
    ),
    Case(
        "ssh refused",
        "network-unreachable",
        "ssh: connect to host 10.0.0.7 port 22: Connection refused\n",
        "10.0.0.7",
        status=255,
        in_ranks=False,
    ),
    Case(
        "pip conflict",
        "packages-mismatch",
        "ERROR: Cannot install -r requirements.txt (line 3) and torch==2.1.0 because these package versions have conflicting dependencies.\n\nThe conflict is caused by:\n    The user requested torch==2.1.0\n    torchvision 0.17.0 depends on torch==2.2.0\nERROR: ResolutionImpossible: for help visit https://pip.pypa.io/en/latest/topics/dependency-resolution/#dealing-with-dependency-conflicts\n",
        "",
        in_ranks=False,
    ),
    Case(
        "pip build",
        "command-failed",
        "  error: subprocess-exited-with-error\n  × python setup.py egg_info did not run successfully.\n  │ exit code: 1\nerror: metadata-generation-failed\n× Encountered error while generating package metadata.\n",
        "metadata",
        in_ranks=False,
    ),
    Case(
        "conda env",
        "file-missing",
        "EnvironmentLocationNotFound: Not a conda environment: /opt/conda/envs/trainn\n",
        "trainn",
        in_ranks=False,
    ),
    Case(
        "conda run",
        "command-failed",
        "ERROR conda.cli.main_run:execute(125): `conda run python train.py` failed. (See above for error)\n",
        "",
        in_ranks=False,
    ),
    Case(
        "gcc missing triton",
        "program-missing",
        raised(
            "RuntimeError: Failed to find C compiler. Please specify via CC environment variable or set triton.knobs.build.impl."
        ),
        "C compiler",
    ),
    Case(
        "cuda home",
        "program-missing",
        raised("OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root."),
        "CUDA_HOME",
    ),
    Case(
        "ext build",
        "packages-mismatch",
        raised(
            "RuntimeError: \nThe detected CUDA version (11.8) mismatches the version that was used to compile\nPyTorch (12.1). Please make sure to use the same CUDA versions."
        ),
        "11.8",
    ),
    Case("bus error alone", "bus-error", "epoch 1\n", "", signal=7, status=None, in_ranks=False),
    Case(
        "sys.exit message", "ended-silently", "no checkpoint given, use --ckpt\n", "no checkpoint given", in_ranks=False
    ),
    Case(
        "java",
        "command-failed",
        'Exception in thread "main" java.lang.NullPointerException\n\tat com.x.Main.main(Main.java:5)\n',
        "NullPointer",
        in_ranks=False,
    ),
    Case(
        "java oom",
        "memory-error",
        'Exception in thread "main" java.lang.OutOfMemoryError: Java heap space\n\tat com.x.Main.main(Main.java:5)\n',
        "heap space",
        in_ranks=False,
    ),
    Case(
        "go panic",
        "command-failed",
        "panic: runtime error: index out of range [3] with length 3\n\ngoroutine 1 [running]:\nmain.main()\n\t/job/main.go:5 +0x1d\nexit status 2\n",
        "index out of range",
        status=2,
        in_ranks=False,
    ),
    Case(
        "rust panic",
        "command-failed",
        "thread 'main' panicked at src/main.rs:4:5:\nindex out of bounds: the len is 3 but the index is 7\nnote: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
        "panicked at",
        status=101,
        in_ranks=False,
    ),
    Case(
        "numactl",
        "program-missing",
        "/job/run.sh: line 3: numactl: command not found\n",
        "numactl",
        status=127,
        in_ranks=False,
    ),
    Case(
        "nan via assert",
        "loss-nan",
        raised("FloatingPointError: Loss became infinite or NaN at iteration=400!\nloss_dict = {'loss_cls': nan}"),
        "NaN",
    ),
    Case("hf nan", "loss-nan", raised("ValueError: The training loss is nan at step 41, aborting"), "nan"),
    Case(
        "nccl version mismatch",
        "collective-failed",
        "NCCL version 2.18.3+cuda12.1\nworker-1:77:120 [0] NCCL WARN Net : Connection closed by remote peer worker-0<41235>\n"
        + raised(
            "torch.distributed.DistBackendError: NCCL error in: ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:1331, internal error - please report this issue to the NCCL developers, NCCL version 2.18.3\nncclInternalError: Internal check failed.\nLast error:\nNet : Connection closed by remote peer"
        ),
        "",
        in_ranks=False,
    ),
    Case(
        "store closed",
        "rendezvous-timeout",
        raised("torch.distributed.DistNetworkError: failed to recv, got 0 bytes"),
        "",
        in_ranks=False,
    ),
    Case(
        "broken pipe store",
        "collective-failed",
        raised(
            "torch.distributed.DistBackendError: [2] is setting up NCCL communicator and retrieving ncclUniqueId from [0] via c10d key-value store by key '0', but store->get('0') got error: Connection reset by peer"
        ),
        "",
        in_ranks=False,
    ),
    Case("MoXing missing", "module-missing", raised("ModuleNotFoundError: No module named 'moxing'"), "moxing"),
    Case(
        "npu driver",
        "device-missing",
        raised(
            "RuntimeError: Initialize:torch_npu/csrc/core/npu/sys_ctrl/npu_sys_ctrl.cpp:119 NPU function error: aclInit, error code is 507008\n[Error]: Failed to obtain the SOC version.\n        Rectify the fault based on the error information in the ascend log."
        ),
        "SOC",
    ),
    Case(
        "dcmi",
        "device-error",
        "dcmi model initialized failed, because the device is used. ret is -8020\n"
        + raised(
            "RuntimeError: Ascend kernel runtime initialization failed, device id: 0. The details refer to 'Ascend Error Message'."
        ),
        "",
        in_ranks=False,
    ),
    Case(
        "ascend E19999 set env",
        "library-missing",
        raised(
            "ImportError: libascendcl.so: cannot open shared object file: No such file or directory. Please check that the cann package is installed."
        ),
        "libascendcl",
    ),
    Case(
        "swanlab/wandb net",
        "hub-unreachable",
        raised(
            "wandb.errors.errors.CommError: Run initialization has timed out after 90.0 sec. Please try increasing the timeout with the `init_timeout` setting: `wandb.init(settings=wandb.Settings(init_timeout=120))`."
        ),
        "timed out",
    ),
    Case(
        "the exception points above, a wait",
        "collective-timeout",
        "EI0002: The wait execution of the Notify register times out. Reason: The Notify register has not received the Notify record from remote rank [5].\n"
        + raised(
            "RuntimeError: The Inner error is reported as above. The process exits for this inner error, and the current working operator name is HcclAllreduce."
        ),
        "Notify register",
        in_ranks=False,
    ),
    Case(
        "the exception points above, and nothing is there",
        "python-exception",
        raised("RuntimeError: The error was reported above."),
        "reported above",
        in_ranks=False,
    ),
    Case(
        "a port of a server that is no Python",
        "address-in-use",
        "bind: Address already in use\nerror: could not start the parameter server on port 6170\n",
        "Address already in use",
        in_ranks=False,
    ),
    Case(
        "an engine's exec",
        "program-missing",
        'exec: "deepspeed": executable file not found in $PATH\n',
        "deepspeed",
        status=127,
        in_ranks=False,
    ),
    Case(
        "deepspeed without the toolkit",
        "program-missing",
        raised(
            "deepspeed.ops.op_builder.builder.MissingCUDAException: CUDA_HOME does not exist, unable to compile CUDA op(s)"
        ),
        "CUDA_HOME",
    ),
    Case(
        "json, its message",
        "device-out-of-memory",
        '{"level":"info","msg":"step 7"}\n{"level":"error","ts":1764410000.1,"message":"step failed","error":'
        '"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 15.77 GiB"}\n',
        "Tried to allocate 20.00 MiB",
    ),
    Case(
        "json, a traceback in it",
        "python-exception",
        '{"time": "2026-11-29T10:00:00Z", "levelname": "ERROR", "message": "training failed", "exc_info": '
        + json.dumps(raised("KeyError: 'k'"))
        + "}\n",
        "KeyError: 'k'",
    ),
    Case(
        "json, structlog's objects",
        "file-missing",
        '{"event": "cannot start", "level": "critical", "exception": [{"exc_type": "FileNotFoundError", "exc_value": '
        '"[Errno 2] No such file or directory: \'/data/train\'", "frames": []}]}\n',
        "/data/train",
    ),
    Case(
        "json, loguru's record",
        "python-exception",
        json.dumps(
            {
                "text": "10:00 | ERROR | boom\n" + raised("ZeroDivisionError: division by zero"),
                "record": {
                    "level": {"name": "ERROR", "no": 40},
                    "exception": {"type": "ZeroDivisionError", "value": "x"},
                },
            }
        )
        + "\n",
        "division by zero",
    ),
    Case(
        "json, Elastic's schema",
        "disk-full",
        '{"log.level":"error","message":"cannot save","error":{"type":"OSError","message":"[Errno 28] No space left on device",'
        '"stack_trace":"OSError: [Errno 28] No space left on device"}}\n',
        "No space left",
    ),
    Case(
        "json, a warning that was overcome",
        "ended-silently",
        '{"level":"warning","message":"retrying","exc_info":"OSError: [Errno 28] No space left on device"}\n',
        in_ranks=False,
    ),
    Case(
        "logfmt",
        "device-out-of-memory",
        'time="2026-11-29T10:00:00Z" level=error msg="step failed" err="CUDA out of memory. Tried to allocate "2.00 GiB""\n',
        "CUDA out of memory",
    ),
    Case(
        "Node's heap",
        "memory-error",
        "<--- Last few GCs --->\n<--- JS stacktrace --->\nFATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n",
        "heap out of memory",
        status=134,
    ),
    Case(
        "the C library's own assertion",
        "aborted",
        "python: malloc.c:2617: sysmalloc: Assertion `(old_top == initial_top (av) && old_size == 0)' failed.\n",
        "malloc.c",
        signal=6,
        in_ranks=False,
    ),
    Case(
        "a script that may not be read",
        "permission-denied",
        "python: can't open file '/root/train.py': [Errno 13] Permission denied\n",
        "/root/train.py",
        status=2,
        in_ranks=False,
    ),
    Case(
        "wget's name, without more",
        "name-unresolved",
        "wget: unable to resolve host address 'data.internal'\n",
        "data.internal",
        status=4,
        in_ranks=False,
    ),
    Case(
        "conda activate in a script",
        "program-missing",
        "CommandNotFoundError: Your shell has not been properly configured to use 'conda activate'.\n"
        "To initialize your shell, run\n\n    $ conda init <SHELL_NAME>\n",
        "conda activate",
        in_ranks=False,
    ),
    Case(
        "TensorFlow's checkpoint",
        "checkpoint-corrupt",
        raised(
            "tensorflow.python.framework.errors_impl.DataLossError: Unable to open table file /ckpt/model.ckpt: DATA_LOSS: not an sstable (bad magic number): perhaps your file is in a different file format"
        ),
        "not an sstable",
    ),
    Case(
        "TensorFlow's object",
        "object-missing",
        raised(
            "tensorflow.python.framework.errors_impl.NotFoundError: Error executing an HTTP request: HTTP response code 404 with body 'No such object'"
        ),
        "404",
    ),
    Case("gloo's wait", "collective-timeout", raised("RuntimeError: Wait timeout"), "Wait timeout", in_ranks=False),
    Case(
        "a registry of OpenMMLab",
        "config-invalid",
        raised(
            'KeyError: "ResNett is not in the mmdet::model registry. Please check whether the value of `ResNett` is correct or it was registered as expected."'
        ),
        "ResNett",
    ),
    Case(
        "Python fire's usage",
        "arguments-invalid",
        "ERROR: The function received no value for the required argument: data\nUsage: train.py DATA <flags>\n\n"
        "For detailed information on this command, run:\n  train.py --help\n",
        "required argument: data",
        status=2,
        in_ranks=False,
    ),
    Case(
        "a jar that is not there",
        "file-missing",
        "Error: Unable to access jarfile app.jar\n",
        "app.jar",
        in_ranks=False,
    ),
    Case(
        "an input with NaN",
        "loss-nan",
        raised("ValueError: Input X contains NaN."),
        "contains NaN",
    ),
]
