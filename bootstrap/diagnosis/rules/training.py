"""Python programs that train: checkpoints, losses, processes of their own, and every exception that is left."""

from __future__ import annotations

import re

from ..blocks import Form, Saying
from ..machine import Machine
from ..verdict import Kind, RetryAdvice
from .model import cause, rule, unless

CAUSES = (
    cause(
        "checkpoint-corrupt",
        Kind.INPUT,
        RetryAdvice.NO,
        (
            "a checkpoint is damaged or cut short",
            "Resume from the one before it; write checkpoints under another name and rename them when they are "
            "complete",
        ),
        ("checkpoint 文件损坏或不完整", "从上一个 checkpoint 恢复；保存时先写临时文件名，完成后再重命名"),
    ),
    cause(
        "checkpoint-mismatch",
        Kind.INPUT,
        RetryAdvice.NO,
        (
            "a checkpoint does not fit the model or the version that loads it",
            "Compare the model's configuration with the one it was saved with; a prefix (module., _orig_mod.) or a "
            "changed "
            "class count is what it mostly is",
        ),
        (
            "checkpoint 与模型或版本不匹配",
            "核对模型配置与保存时是否一致；常见原因是前缀（module.、_orig_mod.）或类别数改变",
        ),
    ),
    cause(
        "loss-nan",
        Kind.PROGRAM,
        RetryAdvice.NO,
        (
            "the training diverged: a loss or gradient is NaN or infinite",
            "Lower the learning rate, clip gradients, use bf16 instead of fp16, and look at the batch it began with",
        ),
        (
            "训练发散：loss 或梯度为 NaN 或 Inf",
            "降低学习率、做梯度裁剪、用 bf16 代替 fp16，并检查开始出现异常的那批数据",
        ),
    ),
    cause(
        "not-picklable",
        Kind.PROGRAM,
        RetryAdvice.NO,
        (
            "an object cannot be sent to another process",
            "Data sets, collate functions and arguments of workers have to be picklable: no lambdas, local "
            "functions, open "
            "files or locks",
        ),
        (
            "对象无法序列化传给其他进程",
            "数据集、collate 函数和 worker 参数必须可 pickle：不要用 lambda、局部函数、已打开的文件或锁",
        ),
    ),
    cause(
        "main-not-guarded",
        Kind.PROGRAM,
        RetryAdvice.NO,
        (
            "the script starts processes while it is imported by them",
            "Put its main part behind if __name__ == '__main__':",
        ),
        ("脚本在被子进程导入时又启动了进程", "请把主流程放在 if __name__ == '__main__': 之下"),
    ),
    cause(
        "cuda-in-fork",
        Kind.PROGRAM,
        RetryAdvice.NO,
        (
            "an accelerator was used before worker processes were forked",
            "Start them by spawn (multiprocessing.set_start_method('spawn')), or touch the device only behind the fork",
        ),
        (
            "在 fork 子进程之前已使用加速卡",
            "请用 spawn 方式启动子进程（multiprocessing.set_start_method('spawn')），或在 fork 之后再使用加速卡",
        ),
    ),
    cause(
        "stack-overflow",
        Kind.PROGRAM,
        RetryAdvice.NO,
        (
            "functions called each other too deeply",
            "Look for a recursion without an end; the frames that repeat show it",
        ),
        ("递归调用过深", "请查找没有终止条件的递归；重复出现的栈帧就是它"),
    ),
    cause(
        "interrupted",
        Kind.STOPPED,
        RetryAdvice.MAYBE,
        (
            "somebody interrupted the command (SIGINT)",
            "If it was not you, look at who may signal the container's processes",
        ),
        ("命令被中断（SIGINT）", "如果不是您本人操作，请检查谁向容器内的进程发送了信号"),
    ),
    cause(
        "assertion",
        Kind.PROGRAM,
        RetryAdvice.NO,
        ("an assertion of the program failed", "The line that is named says what it takes for granted"),
        ("程序断言失败", "请查看所指代码行的前提条件"),
    ),
    cause(
        "python-exception",
        Kind.PROGRAM,
        RetryAdvice.MAYBE,
        (
            "the Python program ended with an exception",
            "The traceback is in the log; the line that is named is the last of your own code",
        ),
        ("Python 程序因异常退出", "完整的 traceback 在日志中；所指代码行是您自己代码中的最后一处"),
    ),
)


def _imported_by_a_child(_found: re.Match[str], saying: Saying, _machine: Machine) -> dict[str, str] | None:
    """Whether it was raised while a process that was spawned imported the main script."""
    return {} if any(frame.function == "_fixup_main_from_path" for frame in saying.frames) else None


RULES = (
    rule(
        "checkpoint-damaged",
        "checkpoint-corrupt",
        r"PytorchStreamReader failed",
        r"failed finding central directory",
        r"unexpected EOF, expected \d+ more bytes",
        r"Error while deserializing header",
        r"SafetensorError",
        r"InvalidHeaderDeserialization|MetadataIncompleteBuffer|HeaderTooLarge",
        r"not a ZIP archive",
        r"corrupted? (?:checkpoint|file|zip)",
        r"checkpoint (?:file )?(?:is )?(?:corrupt|truncated|incomplete)",
        r"Unable to (?:load weights|restore) from (?:pytorch )?checkpoint",
        r"storage has wrong byte size",
        r"unexpected pos|invalid load key, '",
        r"EOFError: Ran out of input",
        r"pickle data was truncated",
        r"(?:Ckpt|ckpt|Checkpoint) file .*(?:broken|damaged|incorrect|failed)",
        r"Read checkpoint file failed",
        r"Failed to read the checkpoint",
        r"Data loss: (?:Unable to open table|.*corrupted)",
        r"(?:DataLossError|DATA_LOSS): (?:Unable to open table|not an sstable)",
        r"File is not a zip file",
        r"Unable to (?:synchronously )?open file \((?:file signature not found|truncated file)",
        look=unless(r"failed writing|unexpected pos \d+ vs|PytorchStreamWriter"),
    ),
    rule(
        "checkpoint-other",
        "checkpoint-mismatch",
        r"Error\(s\) in loading state_dict",
        r"size mismatch for ",
        r"Missing key\(s\) in state_dict",
        r"Unexpected key\(s\) in state_dict",
        r"loaded state dict (?:contains|has)",
        r"Weights only load failed",
        r"ignore_mismatched_sizes",
        r"For 'load_param_into_net'",
        r"(?:shape|dtype|Shape) (?:in|of) (?:the )?checkpoint",
        r"checkpoint.*(?:does not match|doesn't match|mismatch)",
        r"[Aa]ssign(?:ing)? (?:requires|expects) shapes",
        r"Tensor's shape is not equal to that of",
        r"not found in checkpoint",
        r"[Tt]he (?:number|size) of .* in (?:the )?(?:checkpoint|saved).*(?:differ|not equal|mismatch)",
        r"(?:world size|DP|TP|PP|tensor.parallel).*checkpoint.*(?:differ|mismatch|not)",
        r"User-provided tree does not match|Requested shape: .* is not compatible with the stored shape",
    ),
    rule(
        "nan",
        "loss-nan",
        r"(?i:\b(?:loss|gradients?|grad(?:_| )norm|logits|losses)\b[^\n]{0,60}(?<![a-z])(?:is|are|was|were|became|"
        r"=|:|has|have|contains?|to|in)[^\n]{0,20}(?<![a-z])(?:nan|inf(?:inite|inity)?|not finite|non-?finite)\b)",
        r"(?i:(?<![a-z])(?:nan|inf|non-?finite|infinite) (?:or inf )?(?:loss|gradient|grad|values?))",
        r"Loss is nan",
        r"probability tensor contains either `?inf`?, `?nan`?",
        r"returned nan values in its \d+th output",
        r"Current loss scale already at minimum",
        r"Minimum loss scale reached",
        r"[Ff]ound (?:inf|nan|NaN|Inf) ",
        r"[Ii]nput (?:\w+ )?contains NaN",
        r"Expected parameter \w+ .* to satisfy the constraint .* but found invalid values",
        r"(?i:loss (?:is )?diverg|training diverged)",
        r"FloatingPointError: ",
        r"tensor contains (?:nan|inf|NaN|Inf)",
        look=unless(r"(?i:not nan|no nan|isnan\(\)|0 nan)"),
    ),
    rule(
        "pickle",
        "not-picklable",
        r"[Cc]an't pickle",
        r"[Cc]annot pickle",
        r"[Cc]an't get (?:local )?(?:attribute|object) '",
        r"PicklingError",
        r"not picklable",
        r"can't (?:be )?serialize[d]? ",
        r"Could not serialize",
    ),
    rule(
        "main",
        "main-not-guarded",
        r"before the\s+current process has finished its bootstrapping phase",
        r"An attempt has been made to start a new process",
        r"freeze_support\(\)",
    ),
    rule("main-again", "main-not-guarded", r"context has already been set", look=_imported_by_a_child),
    rule("fork", "cuda-in-fork", r"Cannot re-initialize (?:CUDA|NPU|HIP) in forked subprocess"),
    rule(
        "recursion",
        "stack-overflow",
        r"RecursionError",
        r"maximum recursion depth exceeded",
        r"[Ss]tack ?overflow",
        r"Cannot recover from stack overflow",
        look=unless(r"buffer"),
    ),
    rule("keyboard", "interrupted", r"^KeyboardInterrupt\b", r"^\^C$", type=r"KeyboardInterrupt"),
    rule("assertion-python", "assertion", r"^AssertionError\b", type=r"AssertionError"),
    rule(
        "assertion-c",
        "assertion",
        r"Assertion [`'].*' failed",
        forms=(Form.ABORT, Form.TERMINATE, Form.FATAL),
        look=unless(r"malloc\.c:\d+:"),  # the C library's own: the heap was overwritten
    ),
    rule(
        "assertion-check", "assertion", r"Check failed: ", r"CHECK(?:_\w+)? failed", forms=(Form.ABORT, Form.TERMINATE)
    ),
    rule(
        "wrapped",
        "command-failed",
        r"ChildFailedError",
        r"CalledProcessError",
        r"ProcessRaisedException",
        r"returned non-zero exit status",
        r"ProcessExitedException",
        r"RemoteTraceback",
        r"Distributed job exited with exception\. Please check logs in",  # msrun
        r"exits with return code",
        r"Command '.*' died with",
        r"one or more (?:of the )?(?:workers|processes|tasks) (?:failed|exited)",
        secondary=True,
        bare=False,
    ),
)
