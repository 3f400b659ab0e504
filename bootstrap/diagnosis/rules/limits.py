"""Disks and the limits of a process: what was used up."""

from __future__ import annotations

import re

from ...reporting.language import Words
from ..blocks import Saying
from ..machine import Machine
from ..verdict import Fault, Kind, RetryAdvice
from .model import cause, rule

CAUSES = (
    cause(
        "disk-full",
        Kind.RESOURCES,
        RetryAdvice.NO,
        (
            "a disk was full",
            "Write to a larger disk (/cache on ModelArts), keep fewer checkpoints, set TMPDIR and the caches "
            "(HF_HOME, TORCH_HOME) to it",
        ),
        (
            "磁盘空间已满",
            "改写到更大的磁盘（ModelArts 上为 /cache），减少保留的 checkpoint，并把 TMPDIR 与缓存目录（HF_HOME、"
            "TORCH_HOME）指向它",
        ),
    ),
    cause(
        "inodes-used-up",
        Kind.RESOURCES,
        RetryAdvice.NO,
        (
            "a disk had room left, and no inodes for one more file",
            "Keep many small files in archives (tar, WebDataset, LMDB), or write them to another disk",
        ),
        ("磁盘的 inode 已用尽，无法再创建文件", "将大量小文件打包（tar、WebDataset、LMDB），或写到其他磁盘"),
    ),
    cause(
        "quota-exceeded",
        Kind.RESOURCES,
        RetryAdvice.NO,
        (
            "a quota of a file system or bucket was exceeded",
            "Delete what is not needed there, or have the quota raised",
        ),
        ("超出文件系统或桶的配额", "清理不再需要的数据，或申请提高配额"),
    ),
    cause(
        "open-files-used-up",
        Kind.RESOURCES,
        RetryAdvice.NO,
        (
            "too many files were open at once",
            "Raise ulimit -n, close what is read, or torch.multiprocessing.set_sharing_strategy('file_system')",
        ),
        (
            "同时打开的文件过多",
            "调大 ulimit -n，及时关闭文件，或使用 torch.multiprocessing.set_sharing_strategy('file_system')",
        ),
    ),
    cause(
        "processes-used-up",
        Kind.RESOURCES,
        RetryAdvice.NO,
        (
            "no more processes or threads could be started",
            "Look at the limits (pids of the container, ulimit -u); use fewer data-loader workers, set OMP_NUM_THREADS",
        ),
        (
            "无法再创建进程或线程",
            "检查容器的 pids 限制与 ulimit -u；减少 DataLoader 的 worker 数，设置 OMP_NUM_THREADS",
        ),
    ),
    cause(
        "file-too-large",
        Kind.RESOURCES,
        RetryAdvice.NO,
        (
            "a file grew beyond the size that is allowed",
            "Raise ulimit -f, or write smaller files; some file systems have a limit of 4 GiB",
        ),
        ("文件大小超过限制", "调大 ulimit -f，或拆分文件；部分文件系统单个文件上限为 4 GiB"),
    ),
    cause(
        "io-error",
        Kind.HARDWARE,
        RetryAdvice.YES,
        (
            "a disk or file server failed while it was read or written",
            "Start it again on another node; if it comes back, have the storage looked at",
        ),
        ("读写磁盘或文件服务器时出现 I/O 错误", "换节点重新提交；若反复出现，请平台检查存储"),
        Fault.PLATFORM,
    ),
)


def _inodes(found: re.Match[str], saying: Saying, machine: Machine) -> dict[str, str] | None:
    path = re.search(r"'(/[^']+)'|(?:writing|create|directory|touch) [‘'\"]([^’'\"]+)", saying.text)
    name = next(filter(None, path.groups()), ".") if path else "."
    return {} if machine.out_of_inodes(name) else None


RULES = (
    rule("inodes-seen", "inodes-used-up", r"No space left on device", look=_inodes),
    rule(
        "inodes-said",
        "inodes-used-up",
        r"(?i:\b(?:no|out of|not enough|ran out of)(?: free)? inodes?\b)",
        r"inode[^\n]{0,40}(?:100%|exhausted|used up)",
    ),
    rule(
        "quota",
        "quota-exceeded",
        r"[Dd]isk quota exceeded",
        r"\[Errno 122\]",
        r"QuotaExceeded\b",
        r"(?i:storage quota (?:is )?exceeded)",
        r"InsufficientStorageSpace",
        r"XMinioStorageFull",
    ),
    rule(
        "disk",
        "disk-full",
        r"No space left on device",
        r"\[Errno 28\]",
        r"\bENOSPC\b",
        r"(?i:not enough (?:free )?(?:disk )?space)",
        r"(?i:insufficient disk space|disk (?:is )?full)",
        r"file write failed.*No space",
    ),
    rule(
        "disk-torch-save",
        "disk-full",
        r"PytorchStreamWriter failed writing file",
        r"inline_container\.cc:\d+\] \. unexpected pos \d+ vs \d+",
        type=r"RuntimeError",
        hint=Words(
            "torch.save could not write the whole file, mostly since the disk was full: use a larger one, keep "
            "fewer checkpoints",
            "torch.save 未能写完文件，多因磁盘已满：请改用更大的磁盘，减少保留的 checkpoint",
        ),
    ),
    rule(
        "open-files",
        "open-files-used-up",
        r"Too many open files",
        r"\[Errno 24\]",
        r"\bEMFILE\b",
        r"received 0 items of ancdata",
        r"inotify (?:instances|watches).*limit",
    ),
    rule(
        "processes",
        "processes-used-up",
        r"[Cc]an(?:'t|not) fork",
        r"fork: (?:retry: )?Resource temporarily unavailable",
        r"can't start new thread",
        r"(?i:thread|pthread_create|fork|clone|nproc)\b[^\n]*: Resource temporarily unavailable",
        r"BlockingIOError: \[Errno 11\] Resource temporarily unavailable",
        r"Thread creation failed",
        r"(?i:failed to (?:create|start|spawn)(?: a)?(?: new)? thread)",
        r"pthread_create failed",
        r"unable to create new native thread",
        r"fork: .*Resource temporarily unavailable",
        r"newosproc",
        r"system_error.*Resource temporarily unavailable",
        r"what\(\): +Resource temporarily unavailable",
    ),
    rule("file-size", "file-too-large", r"File size limit exceeded", r"\[Errno 27\]", r"File too large"),
    rule(
        "io",
        "io-error",
        r"\[Errno 5\]",
        r"Input/output error",
        r"\[Errno 116\]",
        r"Stale (?:NFS )?file handle",
        r"Transport endpoint is not connected",
        r"\[Errno 107\]",
        r"\[Errno 117\]",
        r"Structure needs cleaning",
        r"\[Errno 121\] Remote I/O",
    ),
)
