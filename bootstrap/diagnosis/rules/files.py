"""Files and directories: missing ones, forbidden ones, damaged ones."""

from __future__ import annotations

import re

from ...reporting.language import Words
from ..blocks import Saying
from ..machine import Machine
from ..verdict import Kind, RetryAdvice
from .model import cause, rule, unless

CAUSES = (
    cause(
        "file-missing",
        Kind.INPUT,
        RetryAdvice.NO,
        (
            "a file or directory that the command needs is not there",
            "Check the path: relative ones start in the work dir; data has to be fetched first (--input NAME=URL)",
        ),
        ("找不到命令所需的文件或目录", "检查路径：相对路径从工作目录算起；数据需先下载（--input NAME=URL）"),
    ),
    cause(
        "url-used-as-path",
        Kind.INPUT,
        RetryAdvice.NO,
        (
            "an object store's URL was used where a local path is needed",
            "Have the data fetched (--input NAME=URL) and use the local path",
        ),
        ("在需要本地路径的地方使用了对象存储的 URL", "先下载数据（--input NAME=URL），再使用本地路径"),
    ),
    cause(
        "permission-denied",
        Kind.INPUT,
        RetryAdvice.NO,
        (
            "a file could not be used by this user",
            "Compare the uid with the file's owner and mode; chmod +x what is to be executed",
        ),
        ("当前用户没有权限使用该文件", "核对运行用户的 uid 与文件的属主和权限；要执行的文件请 chmod +x"),
    ),
    cause(
        "read-only",
        Kind.INPUT,
        RetryAdvice.NO,
        (
            "a file system that may only be read was to be written to",
            "Write to the output directory ($BOOTSTRAP_OUTPUT_DIR) or to a scratch disk; set HF_HOME, TORCH_HOME "
            "and the "
            "like to a place that can be written",
        ),
        (
            "试图写入只读文件系统",
            "请写到输出目录（$BOOTSTRAP_OUTPUT_DIR）或本地缓存盘；并把 HF_HOME、TORCH_HOME 等指向可写目录",
        ),
    ),
    cause(
        "data-corrupt",
        Kind.INPUT,
        RetryAdvice.MAYBE,
        (
            "a data file is damaged, cut short or of another format",
            "Compare its size and digest with the source's, and fetch it again; see that nobody writes it meanwhile",
        ),
        ("数据文件损坏、不完整或格式不符", "与源文件核对大小和校验值后重新下载；并确认没有其他进程在写它"),
    ),
)


_NEAREST = Words("The nearest name that is there: {nearest}", "最相近的现有名称：{nearest}")


def _name_of(saying: Saying) -> str:
    found = re.search(
        r"(?:No such file or directory|can't open file|Not a directory|does not exist|not "
        r"found)[^\n]*?['‘\"]([^'’\"\n]+)['’\"]",
        saying.text,
    )
    found = found or re.search(r"['‘\"]([^'’\"\n]+)['’\"][^\n]*?(?:No such file|does not exist|not found)", saying.text)
    found = found or re.search(r"(?:^|: )([^\s:'\"]*[/.][^\s:'\"]*): (?:No such file|cannot open)", saying.text)
    return found[1] if found else ""


def _with_nearest(found: re.Match[str], saying: Saying, machine: Machine) -> dict[str, str] | None:
    name = _name_of(saying)
    near = machine.nearest(name) if name else ""
    return {"name": name, "nearest": near} if near else None


RULES = (
    rule(
        "url-as-path",
        "url-used-as-path",
        r"No such file or directory: '(?:obs|s3|oss|gs|hdfs|cos)://[^']*'",
        r"'(?:obs|s3|oss|gs|hdfs|cos):/[^']*'",
        r"(?:obs|s3|oss)://\S+[^\n]*No such file or directory",
    ),
    rule(
        "file-nearest",
        "file-missing",
        r"No such file or directory",
        r"does not exist",
        r"(?:Could not|Cannot|Couldn't|Unable to) (?:find|open|locate)",
        r"not found",
        type=r"FileNotFoundError|NotFoundError|OSError|IOError|",
        look=_with_nearest,
        hint=_NEAREST,
    ),
    rule(
        "file",
        "file-missing",
        r"No such file or directory",
        r"\[Errno 2\]",
        r"\[Errno 20\]",
        r"\[Errno 21\]",
        r"FileNotFoundError",
        r"can't open file",
        r"NOENT|ENOENT",
        r"No such file",
        r"Directory .* does not exist",
        r"(?:file|path|File|Path|directory) \S+ (?:does not|doesn't) exist",
        r"Could not find (?:a )?(?:checkpoint|file|directory)",
        r"EnvironmentLocationNotFound|EnvironmentNameNotFound",  # conda's
        r"Unable to open file .*(?:errno = 2|No such file)",
        r"The system cannot find",
        r"[Uu]nable to access jarfile",
        look=unless(r"\\r|\[Errno (?!2\b|20\b|21\b)\d+\]"),
    ),
    rule(
        "permission",
        "permission-denied",
        r"Permission denied",
        r"\[Errno 13\]",
        r"PermissionError",
        r"\[Errno 1\]",
        r"Operation not permitted",
        r"EACCES\b",
        r"attempt to write a readonly database",
        look=unless(r"(?i:publickey|HTTP|status code|AccessDenied|Repository)"),
    ),
    rule("read-only", "read-only", r"Read-only file system", r"\[Errno 30\]", r"EROFS\b"),
    rule(
        "data-image",
        "data-corrupt",
        r"cannot identify image file",
        r"image file is truncated",
        r"broken (?:data stream|PNG file)",
        r"UnidentifiedImageError",
        r"Corrupt JPEG data",
        r"(?:Invalid|invalid|Bad) (?:magic (?:number|byte)|header)[^\n]*(?:parquet|npy|tfrecord|image|gzip)",
        r"Parquet magic bytes not found",
        r"ArrowInvalid",
        r"DataLossError",
        r"corrupted record at",
        r"Not a gzipped file",
        r"Compressed file ended before the end-of-stream",
        r"CRC check failed",
        r"Error -3 while decompressing",
        r"lmdb\.(?:Corrupted|Invalid|Bad)\w*",
        r"NonMatchingSplitsSizesError",
        r"NonMatchingChecksumError",
        r"DatasetGenerationError",
        r"cannot reshape array of size 0",
        r"ParserError: Error tokenizing data",
        r"EmptyDataError",
        r"LibsndfileError",
        r"(?:Invalid|invalid) data found when processing input",
        r"moov atom not found",
        r"tarfile\.ReadError",
        r"^(?:gzip|gunzip|zcat|bzip2|xz|zstd): .*(?:unexpected end of file|not in gzip format|crc error|invalid "
        r"compressed data|corrupt|[Uu]nsupported format|truncated)",
        r"^tar: (?:Unexpected EOF in archive|This does not look like a tar archive|Damaged)",
        r"End-of-central-directory signature not found",
        r"Unable to (?:synchronously )?open file \((?:file signature not found|truncated file)",
        r"_pickle\.UnpicklingError|UnpicklingError: ",
        look=unless(r"(?i:checkpoint|\.pth?\b|\.ckpt\b|weights_only|torch)"),
    ),
)
