"""The machine's memory, and processes that somebody killed for it."""

from __future__ import annotations

from ...reporting.language import Words
from ..verdict import Fault, Kind, RetryAdvice
from .model import cause, rule, unless

CAUSES = (
    cause(
        "out-of-memory",
        Kind.RESOURCES,
        RetryAdvice.NO,
        (
            "the kernel killed processes of the job for lack of memory",
            "Choose a flavour with more memory, or use less: smaller batches, fewer data-loader workers, less "
            "prefetching",
        ),
        (
            "内存不足，内核杀死了作业的进程",
            "选择内存更大的规格，或减少内存占用：减小 batch size、减少 DataLoader 的 worker 数和预取",
        ),
    ),
    cause(
        "memory-error",
        Kind.RESOURCES,
        RetryAdvice.NO,
        (
            "memory was asked for that the machine or a limit did not give",
            "Look at the size that was asked for: a wrong shape or reading a whole data set at once, mostly. Else "
            "take a "
            "larger flavour, or see ulimit -v",
        ),
        (
            "申请内存失败",
            "先看申请的大小：多为形状写错或一次性读入整个数据集；否则请选择内存更大的规格，或检查 ulimit -v",
        ),
    ),
    cause(
        "rank-killed",
        Kind.RESOURCES,
        RetryAdvice.YES,
        (
            "a rank was killed by somebody else",
            "Mostly for memory, on the node or in its container: look at the platform's events and the memory curve",
        ),
        ("某个 rank 被外部强制杀死", "多因节点或容器内存不足：请查看平台事件与内存曲线"),
        Fault.EITHER,
    ),
    cause(
        "worker-killed",
        Kind.RESOURCES,
        RetryAdvice.YES,
        (
            "a worker process that the command had started was killed",
            "Mostly for memory: use fewer workers, smaller batches, less prefetching",
        ),
        ("命令启动的工作进程被杀死", "多因内存不足：减少 worker 数、batch size 与预取"),
        Fault.EITHER,
    ),
    cause(
        "shared-memory-full",
        Kind.RESOURCES,
        RetryAdvice.NO,
        (
            "/dev/shm was full",
            "Give the container more shared memory (docker --shm-size, a memory emptyDir at /dev/shm), or use fewer "
            "data-loader workers",
        ),
        (
            "共享内存 /dev/shm 已满",
            "增大容器的共享内存（docker --shm-size，或在 /dev/shm 挂载 Memory 类型的 emptyDir），或减少 "
            "DataLoader 的 worker 数",
        ),
    ),
)

RULES = (
    rule(
        "shm-loader",
        "shared-memory-full",
        r"[Ii]nsufficient shared memory",
        r"out of shared memory",
        r"killed by signal: Bus error",
        r"DataLoader workers? .*\bshm\b",
        hint=Words("", ""),
    ),
    rule(
        "shm-file",
        "shared-memory-full",
        r"No space left on device.*(?:/dev/shm|'/?psm_|'/?torch_\d|/nccl-)",
        r"(?:/dev/shm/|</?torch_\d|shared memory|shm_open|psm_)[^\n]*(?:No space left on device|Cannot allocate "
        r"memory)",
        r"unable to (?:allocate|open|mmap|resize|write)[^\n]*(?:</?torch_|shared memory)[^\n]*\((?:28|12)\)",
        r"Error while creating shared memory segment",
        r"posix_fallocate failed : No space left",
        r"shmget.*No space left",
        r"The object store.*/dev/shm",
    ),
    rule(
        "ray-memory",
        "out-of-memory",
        r"running low on memory",
        r"killed .{0,40}by (?:the )?OOM[ -]killer",
        r"\bOOMKilled\b",
        look=unless(r"potential root causes"),  # Ray's list of all that it may have been
    ),
    rule(
        "memory-numpy",
        "memory-error",
        r"Unable to allocate [\d.]+ \w?i?B for an array",
        type=r"_?ArrayMemoryError|numpy\S*|MemoryError",
    ),
    rule(
        "memory-python",
        "memory-error",
        r"^(?:numpy\S*)?_?(?:Array)?MemoryError\b",
        type=r"_?(?:Array)?MemoryError",
        look=unless(r"on GPU|ResourceExhausted|CUDA|NPU"),
    ),
    rule("memory-cpp", "memory-error", r"bad_alloc", r"std::length_error", r"cannot create std::vector larger"),
    rule(
        "memory-torch",
        "memory-error",
        r"DefaultCPUAllocator: (?:can't allocate memory|not enough memory)",
        r"not enough memory: you tried to allocate",
        r"(?i:out of memory) trying to allocate \d+",
        r"allocator \(cpu\) ran out of memory",
        r"OOM when allocating tensor.*CPU:0",
        r"Out of memory error on CPU",
    ),
    rule(
        "memory-system",
        "memory-error",
        r"Cannot allocate memory",
        r"\[Errno 12\]",
        r"java\.lang\.OutOfMemoryError",
        r"JavaScript heap out of memory",
        r"memory exhausted",
        r"virtual memory exhausted",
        r"fatal: out of memory",
        r"memory allocation of \d+ bytes failed",
    ),
    rule(
        "rank-killed-spawn",
        "rank-killed",
        r"process \d+ terminated with signal (?:SIGKILL|SIGTERM)",
        r"exited on signal 9\b",
        r"died with <Signals\.SIGKILL",
        r"Signal 9 \(SIGKILL\) received by PID",
        r"task \d+: (?:Killed|Out Of Memory)",
        r"EXIT STRING: Killed \(signal 9\)",
        r"[Ww]orker process \d+ exit with exception\. Error code: -9",
    ),
    rule(
        "worker-killed-loader",
        "worker-killed",
        r"DataLoader worker .* is killed by signal: (?:Killed|Terminated|Hangup|Unknown)",
        r"DataLoader worker .* exited unexpectedly",
        secondary=True,
    ),
    rule(
        "worker-killed-pool",
        "worker-killed",
        r"BrokenProcessPool",
        r"A process in the process pool was terminated abruptly",
        r"A worker process managed by the executor was unexpectedly terminated",
        r"TerminatedWorkerError",
        r"One of the subprocesses has abruptly died during map operation",
        r"worker died unexpectedly",
        r"(?:worker|actor) (?:process )?(?:has )?died unexpectedly",
        r"Worker exit type: SYSTEM_ERROR",
        r"DataLoader worker\(s\) .*(?:died|exited)",
        r"DataLoader \d+ workers exit unexpectedly",
        secondary=True,
    ),
    rule("queue-empty", "worker-killed", r"Empty\b", type=r"Empty", bare=False, secondary=True),
)
