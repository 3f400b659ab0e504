"""Causes that no words tell: who asked for the end, signals, and ends without a word."""

from __future__ import annotations

import signal

from ..blocks import Form
from ..verdict import Fault, Kind, RetryAdvice
from .model import cause, rule

CAUSES = (
    cause("success", Kind.NONE, RetryAdvice.NO, ("the command succeeded", ""), ("命令执行成功", "")),
    cause(
        "stopped-by-user",
        Kind.STOPPED,
        RetryAdvice.MAYBE,
        ("the command was stopped because somebody interrupted it", ""),
        ("命令被用户中断", ""),
    ),
    cause(
        "stopped-by-platform",
        Kind.STOPPED,
        RetryAdvice.YES,
        ("the command was stopped because the platform asked it to stop", ""),
        ("平台要求命令停止", ""),
        Fault.PLATFORM,
    ),
    cause(
        "stopped-by-timeout",
        Kind.STOPPED,
        RetryAdvice.NO,
        (
            "the command was stopped because its time limit was reached",
            "Give more --timeout, or have it resume and do less in one run",
        ),
        ("命令达到时间上限后被停止", "调大 --timeout，或让训练支持断点续训并减少单次运行的工作量"),
    ),
    cause(
        "stopped-by-stall",
        Kind.STOPPED,
        RetryAdvice.MAYBE,
        (
            "the command was stopped because it had stalled ({silence})",
            "{stacks} shows what each process was doing: a rank that waits in a collective waits for one that does not",
        ),
        (
            "命令停滞后被停止（{silence}）",
            "各进程当时在做什么见 {stacks}：卡在集合通信中的 rank 是在等另一个没有进入该通信的 rank",
        ),
        Fault.EITHER,
    ),
    cause(
        "stopped-by-peer",
        Kind.STOPPED,
        RetryAdvice.MAYBE,
        ("the command was stopped because another node failed", "Look at the node that failed first"),
        ("其他节点失败，命令被停止", "请查看最先失败的节点"),
        Fault.EITHER,
    ),
    cause(
        "killed-from-outside",
        Kind.STOPPED,
        RetryAdvice.MAYBE,
        (
            "something killed the command, and the container's memory counters show no OOM kill",
            "Look at the platform's events: a node-level OOM, an eviction, somebody's kill",
        ),
        ("命令被外部杀死，且容器的内存计数没有 OOM 记录", "请查看平台事件：节点级 OOM、驱逐，或有人执行了 kill"),
        Fault.EITHER,
    ),
    cause(
        "segmentation-fault",
        Kind.PROGRAM,
        RetryAdvice.MAYBE,
        (
            "the command crashed in native code",
            "Often two packages that do not fit together: compare CUDA, driver and framework with a run that worked; "
            "PYTHONFAULTHANDLER=1 shows the line",
        ),
        (
            "命令在原生代码中崩溃（段错误）",
            "常见原因是包之间不兼容：请与正常运行的环境对比 CUDA、驱动和框架版本；设置 PYTHONFAULTHANDLER=1 "
            "可看到代码行",
        ),
        Fault.EITHER,
    ),
    cause(
        "bus-error",
        Kind.RESOURCES,
        RetryAdvice.MAYBE,
        (
            "the command touched memory that could not be provided",
            "Often a full /dev/shm: give the container more shared memory, or use fewer data-loader workers. A "
            "file that "
            "is cut short while it is mapped does the same",
        ),
        (
            "命令访问了无法提供的内存（总线错误）",
            "常见原因是 /dev/shm 已满：增大共享内存或减少 DataLoader 的 worker 数；被 mmap 的文件被截断也会如此",
        ),
        Fault.EITHER,
    ),
    cause(
        "illegal-instruction",
        Kind.ENVIRONMENT,
        RetryAdvice.NO,
        ("the command used an instruction that this CPU does not have", "Install a build for this CPU's architecture"),
        ("命令使用了当前 CPU 不支持的指令", "请安装适配该 CPU 架构的版本"),
        Fault.EITHER,
    ),
    cause(
        "floating-point-fault",
        Kind.PROGRAM,
        RetryAdvice.NO,
        (
            "the command was ended by an arithmetic fault in native code, such as a division by zero",
            "PYTHONFAULTHANDLER=1 shows the line",
        ),
        ("命令因原生代码的算术错误（如除零）终止", "设置 PYTHONFAULTHANDLER=1 可看到代码行"),
    ),
    cause(
        "cpu-time-used-up",
        Kind.RESOURCES,
        RetryAdvice.NO,
        ("the command used up the processor time that it may have", "Raise ulimit -t"),
        ("命令用尽了允许的 CPU 时间", "调大 ulimit -t"),
    ),
    cause(
        "broken-pipe",
        Kind.PROGRAM,
        RetryAdvice.MAYBE,
        ("the command wrote to something that had ended", "Look at the program that reads from it"),
        ("命令写入的管道已被对端关闭", "请检查读取该管道的程序"),
    ),
    cause(
        "aborted",
        Kind.PROGRAM,
        RetryAdvice.MAYBE,
        (
            "the command aborted itself in native code",
            "The lines above its end say why; PYTHONFAULTHANDLER=1 shows the line",
        ),
        ("命令在原生代码中自行终止（abort）", "原因见结尾前的日志；设置 PYTHONFAULTHANDLER=1 可看到代码行"),
        Fault.EITHER,
    ),
    cause(
        "timed-out",
        Kind.PROGRAM,
        RetryAdvice.MAYBE,
        (
            "a time limit inside the command was reached",
            "Look for the program `timeout` or a limit of your own in the command",
        ),
        ("命令内部的时间限制已到", "检查命令中的 timeout 程序或自设的时限"),
    ),
    cause(
        "ended-silently",
        Kind.UNKNOWN,
        RetryAdvice.MAYBE,
        (
            "the command ended with a failure, and nothing in its output says why",
            "Look for sys.exit and os._exit in the script, for output sent to a file, and for && chains and pipes "
            "in the shell",
        ),
        (
            "命令以失败状态退出，但输出中没有说明原因",
            "检查脚本中的 sys.exit、os._exit，输出是否被重定向到文件，以及 shell 中的 && 和管道",
        ),
    ),
    cause(
        "command-failed",
        Kind.UNKNOWN,
        RetryAdvice.MAYBE,
        ("the command ended by itself with a failure", "The last lines of its output are what it said"),
        ("命令自行以失败状态退出", "原因请看输出的最后几行"),
    ),
)

BY_SIGNAL = {
    signal.SIGKILL: "killed-from-outside",
    signal.SIGTERM: "killed-from-outside",
    signal.SIGHUP: "killed-from-outside",
    signal.SIGQUIT: "killed-from-outside",
    signal.SIGUSR1: "killed-from-outside",
    signal.SIGUSR2: "killed-from-outside",
    signal.SIGINT: "interrupted",
    signal.SIGSEGV: "segmentation-fault",
    signal.SIGBUS: "bus-error",
    signal.SIGILL: "illegal-instruction",
    signal.SIGFPE: "floating-point-fault",
    signal.SIGXCPU: "cpu-time-used-up",
    signal.SIGXFSZ: "file-too-large",
    signal.SIGPIPE: "broken-pipe",
    signal.SIGABRT: "aborted",
    signal.SIGTRAP: "aborted",
    signal.SIGSYS: "aborted",
}

RULES = (
    rule(
        "crash-segmentation",
        "segmentation-fault",
        r"Segmentation fault",
        r"\bSIGSEGV\b",
        r"signal 11\b",
        r"core dumped\) .*Segmentation",
    ),
    rule("crash-bus", "bus-error", r"Bus error", r"\bSIGBUS\b"),
    rule(
        "crash-illegal",
        "illegal-instruction",
        r"Illegal instruction",
        r"\bSIGILL\b",
        r"CPU .*(?:does not support|doesn't support) .*(?:AVX|instruction)",
    ),
    rule(
        "crash-fpe",
        "floating-point-fault",
        r"Floating[- ]point exception",
        r"\bSIGFPE\b",
        forms=(Form.FATAL, Form.SHELL),
        bare=True,
    ),
    rule("pipe", "broken-pipe", r"BrokenPipeError", r"\[Errno 32\]", secondary=True),
    rule("crash-abort", "aborted", r".", forms=(Form.ABORT, Form.TERMINATE)),
    rule("crash-fatal", "aborted", r"Fatal Python error", r"`Process abort signal`", forms=(Form.FATAL,)),
    rule(
        "shell-killed", "killed-from-outside", r": line \d+: +\d+ Killed\b", r"^Killed$", forms=(Form.SHELL,), bare=True
    ),
)
