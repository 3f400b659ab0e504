"""Ranks that lose each other."""

from ..case import BEFORE, TABLE, Case

GLOO = """\
Traceback (most recent call last):
  File "/job/train.py", line 88, in <module>
    dist.all_reduce(loss)
  File "/opt/conda/lib/python3.10/site-packages/torch/distributed/distributed_c10d.py", line 2501, in all_reduce
    work.wait()
"""
WATCHDOG = """\
[rank{0}]:[E1129 10:30:01.123456789 ProcessGroupNCCL.cpp:607] [Rank {0}] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=312, OpType=ALLREDUCE, NumelIn=1, NumelOut=1, Timeout(ms)=600000) ran for 600028 milliseconds before timing out.
[rank{0}]:[E1129 10:30:01.223456789 ProcessGroupNCCL.cpp:621] [Rank {0}] Some NCCL operations have failed or timed out. Due to the asynchronous nature of CUDA kernels, subsequent GPU operations might run on corrupted/incomplete data.
[rank{0}]:[E1129 10:30:01.323456789 ProcessGroupNCCL.cpp:627] [Rank {0}] To avoid data inconsistency, we are taking the entire process down.
terminate called after throwing an instance of 'c10::DistBackendError'
  what():  [PG 0 Rank {0}] NCCL watchdog thread terminated with exception: [Rank {0}] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=312, OpType=ALLREDUCE, NumelIn=1, NumelOut=1, Timeout(ms)=600000) ran for 600028 milliseconds before timing out.
Exception raised from checkTimeout at ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:609 (most recent call first):
frame #0: c10::Error::Error(c10::SourceLocation, std::string) + 0x57 (0x7f0e1c in /opt/conda/lib/python3.10/site-packages/torch/lib/libc10.so)
frame #1: c10d::ProcessGroupNCCL::WorkNCCL::checkTimeout(std::optional<std::chrono::duration<long> >) + 0x1e1 (0x7f0d)

"""
KEY = """\
[rank3]: Traceback (most recent call last):
[rank3]:   File "/job/train.py", line 61, in <module>
[rank3]:     main()
[rank3]:   File "/job/train.py", line 44, in main
[rank3]:     weight = weights[name]
[rank3]: KeyError: 'bias'
"""

CASES = [
    Case(
        "NCCL's watchdog",
        "collective-timeout",
        WATCHDOG.format(0),
        "collective operation timeout",
        signal=6,
        in_ranks=False,
    ),
    Case(
        "NCCL's watchdog, in torchrun",
        "collective-timeout",
        BEFORE + WATCHDOG.format(1) + TABLE.format(1, -6, "Signal 6 (SIGABRT) received by PID 143"),
        "collective operation timeout",
        in_ranks=False,
    ),
    Case(
        "a watchdog beside a key",
        "python-exception",
        BEFORE + KEY + WATCHDOG.format(0) + TABLE.format(0, -6, "Signal 6 (SIGABRT) received by PID 143"),
        "KeyError: 'bias' (/job/train.py:44, rank 3)",
        in_ranks=False,
    ),
    Case(
        "a rank that raised and was aborted",
        "python-exception",
        BEFORE + KEY + TABLE.format(3, -6, "Signal 6 (SIGABRT) received by PID 143"),
        "KeyError: 'bias' (/job/train.py:44, rank 3)",
        in_ranks=False,
    ),
    Case(
        "a rank that was killed",
        "rank-killed",
        BEFORE
        + "[rank0]: "
        + GLOO.rstrip().replace("\n", "\n[rank0]: ")
        + "\n[rank0]: RuntimeError: [../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.7]:4711\n"
        + TABLE.format(1, -9, "Signal 9 (SIGKILL) received by PID 143"),
        "rank 1",
        in_ranks=False,
    ),
    Case(
        "a rank that crashed",
        "segmentation-fault",
        BEFORE + TABLE.format(2, -11, "Signal 11 (SIGSEGV) received by PID 143"),
        "rank 2",
        in_ranks=False,
    ),
    Case(
        "Gloo's peer",
        "collective-failed",
        GLOO
        + "RuntimeError: [../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [10.0.0.7]:4711\n",
        "Connection closed by peer",
        in_ranks=False,
    ),
    Case(
        "Gloo's time-out",
        "collective-timeout",
        GLOO
        + "RuntimeError: [../third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 1800000ms for recv operation to complete\n",
        "Timed out waiting",
        in_ranks=False,
    ),
    Case(
        "NCCL's system error",
        "collective-failed",
        GLOO
        + "torch.distributed.DistBackendError: NCCL error in: ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:1970, unhandled system error (run with NCCL_DEBUG=INFO for details), NCCL version 2.20.5\nncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error.\nLast error:\nsocketStartConnect: Connect to 10.0.0.8<45321> failed : Software caused connection abort\n",
        "unhandled system error",
        in_ranks=False,
    ),
    Case(
        "NCCL's remote error",
        "collective-failed",
        GLOO
        + "torch.distributed.DistBackendError: NCCL error in: ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:1251, remote process exited or there was a network error, NCCL version 2.19.3\nncclRemoteError: A call failed possibly due to a network error or a remote process exiting prematurely.\nLast error:\nNET/IB : Got completion from peer 10.0.0.9<44017> with status=12 opcode=32709 len=32709 vendor err 129 (Recv)\n",
        "remote process exited",
        in_ranks=False,
    ),
    Case(
        "InfiniBand",
        "collective-failed",
        "worker-0:141:210 [3] transport/net_ib.cc:1295 NCCL WARN NET/IB : Got completion from peer 10.88.0.2<40551> with error 12, opcode 0, len 0, vendor err 129\n"
        + GLOO
        + "torch.distributed.DistBackendError: NCCL error in: /opt/pytorch/ProcessGroupNCCL.cpp:1331, unhandled system error (run with NCCL_DEBUG=INFO for details), NCCL version 2.18.1\n",
        "unhandled system error",
        in_ranks=False,
    ),
    Case(
        "HCCL's notify",
        "collective-timeout",
        'Traceback (most recent call last):\n  File "/job/train.py", line 71, in step\n    torch.npu.synchronize()\nRuntimeError: ACL stream synchronize failed, error code:507048\nEI0002: [PID: 4711] 2026-11-29-10:00:01.123.456 The wait execution of the Notify register times out. Reason: The Notify register has not received the Notify record from remote rank [3]. base information: [streamID:[2]]\n        Possible Cause: 1. An exception occurs during the execution on some NPUs in the cluster.\n',
        "EI0002",
        in_ranks=False,
    ),
    Case(
        "HCCL's sockets",
        "collective-failed",
        'Traceback (most recent call last):\n  File "/job/train.py", line 21, in <module>\n    dist.barrier()\nRuntimeError: [ERROR] HCCL error in: torch_npu/csrc/distributed/ProcessGroupHCCL.cpp:64\n[Error]: The connection times out.\n        EI0006: [PID: 4711] 2026-11-29-10:00:01.123.456 Getting socket times out. Reason: Remote Rank did not send the data in time. Please check the reason for the rank being stuck\n',
        "HCCL error",
        in_ranks=False,
    ),
    Case(
        "the clients of a store",
        "rendezvous-timeout",
        'Traceback (most recent call last):\n  File "/job/train.py", line 12, in <module>\n    dist.init_process_group("nccl")\n  File "/opt/conda/lib/python3.10/site-packages/torch/distributed/rendezvous.py", line 258, in _env_rendezvous_handler\n    store = _create_c10d_store(\ntorch.distributed.DistStoreError: Timed out after 601 seconds waiting for clients. 3/4 clients joined.\n',
        "3/4 clients joined",
        in_ranks=False,
    ),
    Case(
        "a store that is not there",
        "rendezvous-timeout",
        'Traceback (most recent call last):\n  File "/job/train.py", line 12, in <module>\n    dist.init_process_group("gloo")\ntorch.distributed.DistNetworkError: The client socket has timed out after 300000ms while trying to connect to (10.0.0.7, 29500).\n',
        "client socket has timed out",
        in_ranks=False,
    ),
    Case(
        "torchrun's rendezvous",
        "rendezvous-timeout",
        'Traceback (most recent call last):\n  File "/opt/conda/bin/torchrun", line 8, in <module>\n    sys.exit(main())\n  File "/opt/conda/lib/python3.10/site-packages/torch/distributed/elastic/rendezvous/dynamic_rendezvous.py", line 1162, in next_rendezvous\n    self._op_executor.run(join_op, deadline, self._get_deadline)\ntorch.distributed.elastic.rendezvous.api.RendezvousTimeoutError\n',
        "RendezvousTimeoutError",
        in_ranks=False,
    ),
    Case(
        "a port of a store",
        "address-in-use",
        'Traceback (most recent call last):\n  File "/job/train.py", line 12, in <module>\n    dist.init_process_group("nccl")\ntorch.distributed.DistNetworkError: The server socket has failed to listen on any local network address. The server socket has failed to bind to [::]:29500 (errno: 98 - Address already in use). The server socket has failed to bind to 0.0.0.0:29500 (errno: 98 - Address already in use).\n',
        "29500",
        in_ranks=False,
    ),
    Case(
        "ranks that do not agree",
        "collective-timeout",
        'Traceback (most recent call last):\n  File "/job/train.py", line 30, in <module>\n    dist.monitored_barrier()\nRuntimeError: Rank 3 failed to pass monitoredBarrier in 1800000 ms\n Original exception:\n[gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 1800000ms for recv operation to complete\n',
        "monitoredBarrier",
        in_ranks=False,
    ),
    Case(
        "MindSpore's cluster",
        "rendezvous-timeout",
        'Traceback (most recent call last):\n  File "/job/train.py", line 9, in <module>\n    init()\n  File "/usr/local/lib/python3.9/site-packages/mindspore/communication/management.py", line 182, in init\n    init_cluster()\nRuntimeError: Topology build timed out. Check whether the scheduler and all the workers are started.\n',
        "timed out",
        in_ranks=False,
    ),
    Case(
        "JAX' barrier",
        "rendezvous-timeout",
        'Traceback (most recent call last):\n  File "/job/train.py", line 9, in <module>\n    jax.distributed.initialize()\njaxlib.xla_extension.XlaRuntimeError: DEADLINE_EXCEEDED: Barrier timed out. Barrier_id: PjRT_Client_Connect. Timed out task names: task-1\n',
        "Barrier timed out",
        in_ranks=False,
    ),
    Case(
        "a rank of DeepSpeed",
        "module-missing",
        """\
[2026-11-29 10:00:01,000] [INFO] [launch.py:139:main] 0 NCCL_DEBUG=INFO
worker-1: Traceback (most recent call last):
worker-1:   File "/job/train.py", line 3, in <module>
worker-1:     import flash_attn
worker-1: ModuleNotFoundError: No module named 'flash_attn'
worker-1: [2026-11-29 10:00:04,916] [ERROR] [launch.py:325:sigkill_handler] ['/usr/bin/python', '-u', 'train.py', '--local_rank=1'] exits with return code = 1
pdsh@worker-0: worker-1: ssh exited with exit code 1
""",
        "No module named 'flash_attn' (/job/train.py:3",
        in_ranks=False,
    ),
    Case(
        "a rank of mpirun",
        "python-exception",
        """\
[1,0]<stdout>:epoch 1
[1,2]<stderr>:Traceback (most recent call last):
[1,0]<stdout>:epoch 2
[1,2]<stderr>:  File "/job/train.py", line 7, in <module>
[1,1]<stdout>:epoch 2
[1,2]<stderr>:    raise ValueError("bad shard")
[1,2]<stderr>:ValueError: bad shard
--------------------------------------------------------------------------
mpirun detected that one or more processes exited with non-zero status, thus causing
the job to be terminated. The first process to do so was:

  Process name: [[29179,1],2]
  Exit code:    1
--------------------------------------------------------------------------
""",
        "ValueError: bad shard (/job/train.py:7, rank 2)",
        in_ranks=False,
    ),
    Case(
        "a rank of mpirun that was killed",
        "rank-killed",
        "--------------------------------------------------------------------------\nmpirun noticed that process rank 3 with PID 0 on node worker-1 exited on signal 9 (Killed).\n--------------------------------------------------------------------------\n",
        "rank 3",
        status=137,
        in_ranks=False,
    ),
    Case(
        "a rank of msrun",
        "file-missing",
        """\
Start worker process with rank id:0, log file:/job/log/worker_0.log. Environment variable [RANK_ID=0] is exported.
[ERROR] ME(141:140,MainProcess):2026-11-29-10:00:01.123 [mindspore/parallel/cluster/process_entity/_api.py:312] Worker process 143 exit with exception. Error code: 1.
/job/log/worker_1.log-12-epoch: 1 step: 1
/job/log/worker_1.log:13:Traceback (most recent call last):
/job/log/worker_1.log-14-  File "/job/train.py", line 22, in <module>
/job/log/worker_1.log-15-    open("/cache/vocab.txt")
/job/log/worker_1.log:16:FileNotFoundError: [Errno 2] No such file or directory: '/cache/vocab.txt'
""",
        "/cache/vocab.txt' (/job/train.py:22, rank 1)",
        in_ranks=False,
    ),
    Case(
        "a process of spawn",
        "assertion",
        'Traceback (most recent call last):\n  File "/job/train.py", line 70, in <module>\n    mp.spawn(work, nprocs=4)\n  File "/opt/conda/lib/python3.10/site-packages/torch/multiprocessing/spawn.py", line 203, in join\n    raise ProcessRaisedException(msg, error_index, failed_process.pid)\ntorch.multiprocessing.spawn.ProcessRaisedException:\n\n-- Process 2 terminated with the following error:\nTraceback (most recent call last):\n  File "/opt/conda/lib/python3.10/site-packages/torch/multiprocessing/spawn.py", line 90, in _wrap\n    fn(i, *args)\n  File "/job/train.py", line 41, in work\n    assert len(shard) == 8\nAssertionError\n',
        "/job/train.py:41",
        in_ranks=False,
    ),
    Case(
        "a process of spawn that was killed",
        "rank-killed",
        'Traceback (most recent call last):\n  File "/job/train.py", line 70, in <module>\n    mp.spawn(work, nprocs=4)\ntorch.multiprocessing.spawn.ProcessExitedException: process 2 terminated with signal SIGKILL\n',
        "SIGKILL",
        in_ranks=False,
    ),
    Case(
        "accelerate",
        "python-exception",
        'Traceback (most recent call last):\n  File "/job/train.py", line 7, in <module>\n    main()\n  File "/job/train.py", line 3, in main\n    raise ValueError("bad shard")\nValueError: bad shard\nTraceback (most recent call last):\n  File "/opt/conda/bin/accelerate", line 8, in <module>\n    sys.exit(main())\n  File "/opt/conda/lib/python3.10/site-packages/accelerate/commands/launch.py", line 763, in simple_launcher\n    raise subprocess.CalledProcessError(returncode=process.returncode, cmd=cmd)\nsubprocess.CalledProcessError: Command \'[\'/opt/conda/bin/python\', \'train.py\']\' returned non-zero exit status 1.\n',
        "ValueError: bad shard (/job/train.py:3",
        in_ranks=False,
    ),
    Case(
        "Ray",
        "python-exception",
        'Traceback (most recent call last):\n  File "/job/tune.py", line 19, in <module>\n    ray.get(train.remote())\n  File "/usr/lib/python3.10/site-packages/ray/_private/worker.py", line 2623, in get\n    raise value.as_instanceof_cause()\nray.exceptions.RayTaskError(ZeroDivisionError): ray::train() (pid=4711, ip=10.0.0.7)\n  File "/job/tune.py", line 11, in train\n    return 1 / 0\nZeroDivisionError: division by zero\n',
        "ZeroDivisionError",
        in_ranks=False,
    ),
    Case(
        "Ray's memory",
        "out-of-memory",
        'Traceback (most recent call last):\n  File "/job/tune.py", line 19, in <module>\n    ray.get(train.remote())\nray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory.\nMemory on the node (IP: 10.0.0.7, ID: abc) where the task (task ID: 123, name=train, pid=4711) was running was 31.2GB / 32.0GB (0.97), which exceeds the memory usage threshold of 0.95.\n',
        "running low on memory",
        in_ranks=False,
    ),
    Case(
        "Paddle's rank",
        "python-exception",
        """\
LAUNCH INFO 2026-11-29 10:00:00,123 Run Pod: qwerty, replicas 2, status ready
LAUNCH INFO 2026-11-29 10:00:03,916 Pod failed
LAUNCH ERROR 2026-11-29 10:00:03,916 Container failed !!!
Container rank 1 status failed cmd ['/usr/bin/python', '-u', 'train.py'] code 1 log log/workerlog.1
env {'PADDLE_TRAINER_ID': '1'}
LAUNCH INFO 2026-11-29 10:00:03,916 ------------------------- ERROR LOG DETAIL -------------------------
Traceback (most recent call last):
  File "/job/train.py", line 9, in <module>
    raise ValueError("rank 1 says no")
ValueError: rank 1 says no
LAUNCH INFO 2026-11-29 10:00:04,000 Exit code 1
""",
        "ValueError: rank 1 says no (/job/train.py:9, rank 1)",
        in_ranks=False,
    ),
]
