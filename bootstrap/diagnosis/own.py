"""Our own failures as verdicts: the same value for whoever reads ``run.json``, whoever's failure it was."""

from __future__ import annotations

from ..errors import BootstrapError, catalogue
from ..reporting.language import NOTHING, Words
from .verdict import Confidence, Evidence, Fault, Kind, RetryAdvice, Verdict

_KINDS = {
    Kind.ACCESS: (
        "credentials-missing",
        "credentials-rejected",
        "permission-denied",
        "credentials-expired",
        "keys-unavailable",
    ),
    Kind.RESOURCES: ("disk-full", "cannot-start"),
    Kind.NETWORK: ("store-unavailable", "name-unresolved", "interface-missing", "peers-missing", "endpoint-wrong"),
    Kind.ENVIRONMENT: ("platform-incomplete", "cluster-mismatch", "requirements-failed", "clock-skewed"),
    Kind.PROGRAM: ("internal",),
}

CHINESE = {
    "internal": (
        "引导程序自身的缺陷；运行记录或所指文件中有 traceback",
        "请附上运行记录反馈给我们",
    ),
    "usage": (
        "某个选项或 BOOTSTRAP_ 变量的取值无效",
        "参见 bootstrap run --help",
    ),
    "platform-incomplete": (
        "平台的环境变量不完整或互相矛盾",
        "补齐上面列出的变量，或用 --platform NAME 指定平台",
    ),
    "cluster-mismatch": (
        "主机列表与任务数或本节点序号不一致",
        "请核对上面列出的变量与作业的节点数",
    ),
    "declaration-unreadable": (
        "平台的输入或输出 JSON（MA_INPUTS、MA_OUTPUTS）无法解析",
        "检查该变量的 JSON",
    ),
    "url-invalid": (
        "URL 格式错误：缺少桶名或路径，或含非法字符",
        "写成 obs://bucket/prefix/、s3://bucket/prefix/、file:///path 或普通路径",
    ),
    "url-scheme": (
        "不认识的 URL 协议",
        "请使用 obs://、s3://、file:// 或普通路径；其他协议见 docs/sources.md",
    ),
    "credentials-missing": (
        "没有找到对象存储的访问密钥",
        "设置 S3_ACCESS_KEY_ID 和 S3_SECRET_ACCESS_KEY（临时密钥还需安全令牌）",
    ),
    "credentials-rejected": (
        "对象存储不接受该访问密钥或签名",
        "检查密钥对；临时密钥还要检查安全令牌",
    ),
    "permission-denied": (
        "密钥有效，但没有执行该操作的权限",
        "为密钥的所有者授予列举、读或写的权限",
    ),
    "bucket-missing": (
        "该终端节点上没有这个桶",
        "检查桶名和终端节点所在区域",
    ),
    "nothing-there": (
        "该前缀下没有对象，或该路径没有文件",
        "检查路径；目录的 URL 以 / 结尾",
    ),
    "endpoint-wrong": (
        "终端节点属于其他区域，或要求另一种访问方式",
        "将 S3_ENDPOINT 设为桶所在区域，或选择 --addressing virtual|path",
    ),
    "names-unsafe": (
        "对象名无法作为本地文件名：超出目录，或与目录冲突",
        "重命名上面列出的对象",
    ),
    "archive-invalid": (
        "压缩包损坏、格式未知，或含有不允许解包的成员",
        "用相对路径重新打包，不要包含设备文件和指向外部的链接",
    ),
    "path-unusable": (
        "当前用户无法读写该本地路径（只读、属主、权限或不是目录）",
        "换一个路径，或以该 uid 可写的方式挂载",
    ),
    "disk-full": (
        "空间或 inode 不足，无法下载或写入",
        "把 --job-dir 指向更大的磁盘",
    ),
    "secret-unreadable": (
        "加密变量或密钥文件无法解密或读取",
        "检查上面列出的密钥文件和解密程序",
    ),
    "requirements-failed": (
        "代码的 Python 依赖安装失败（没有该版本、没有 pip 或没有网络）",
        "在镜像中安装，或用 PIP_INDEX_URL 指定本节点可访问的源",
    ),
    "job-file-invalid": (
        "作业文件（bootstrap simulate、bootstrap manifest）中有无效的字段、名称或取值",
        "修正上面列出的位置",
    ),
    "command-not-executable": (
        "找到了命令，但无法执行",
        "chmod +x，补上 #! 行，或写明解释器：python FILE、bash FILE",
    ),
    "command-not-found": (
        "下载完成后，命令或其脚本不存在",
        "参考上面列出的相近名称；路径相对于作业目录",
    ),
    "store-unavailable": (
        "对象存储在期限内没有应答，或只返回错误",
        "请重试；若一直如此，请检查终端节点和网络",
    ),
    "name-unresolved": (
        "在期限内无法解析主机名",
        "检查主机名和上面列出的 DNS 服务器",
    ),
    "interface-missing": (
        "指定的网卡不存在、未启用或没有地址",
        "用 --interface NAME 选择上面列出的网卡",
    ),
    "peers-missing": (
        "其他节点在期限内没有出现",
        "请查看上面列出的节点的日志",
    ),
    "clock-skewed": (
        "本机时钟与对象存储相差过大",
        "请平台校准节点时钟（NTP），或换节点运行",
    ),
    "credentials-expired": (
        "临时密钥已过期，且读不到新的密钥",
        "提供有效期更长的密钥，或会更新的密钥来源",
    ),
    "keys-unavailable": (
        "提供密钥的服务（角色、容器或机器的）在期限内没有应答",
        "请重试；若仍如此，检查该服务的地址和网络",
    ),
    "outputs-undelivered": (
        "命令成功，但输出没有全部上传",
        "文件仍在上面列出的磁盘位置；--allow-undelivered 可将其降为告警",
    ),
    "cannot-start": ("系统拒绝启动命令的进程（限制或内存）", "检查限制（ulimit -u、容器的 pids 与内存）"),
    "node-lost": (
        "作业的另一个节点失联，本节点的命令无法继续",
        "请查看平台对上述节点的记录；换其他节点作业可能成功",
    ),
    "processes-cut-short": (
        "命令成功，但留下的进程被结束，它们要写的内容可能缺失",
        "在脚本中对用 `&` 启动的进程执行 `wait`，或设置 --wait-for-output",
    ),
    "request-refused": (
        "对象存储因自身原因拒绝了请求，再次发送同样的请求也会被拒绝",
        "请查看上面存储给出的错误码和说明",
    ),
    "support-missing": (
        "该 URL 协议所需的 Python 包或程序在本机上不存在",
        "安装上面指出的附加包（extra）或程序",
    ),
    "checksum-wrong": (
        "取到的内容与校验和不符（URL 中的 #sha256=...，或模型站点给出的值）",
        "核对 URL 与校验和：其中之一属于另一个文件",
    ),
    "target-taken": (
        "输出的目标位置已有不属于本作业的内容（--existing-outputs refuse）",
        "为输出换一个 URL，或使用 --existing-outputs warn 或 version",
    ),
    "source-changing": (
        "下载或上传的内容在读取期间不断变化或消失",
        "等写入方完成后再启动",
    ),
    "preflight-failed": (
        "启动前的检查（--preflight full）发现作业会失败",
        "用相同参数运行 bootstrap doctor 查看",
    ),
}
"""Meaning and remedy of every error in Chinese; in English they are the classes' own."""


def of_error(error: BootstrapError) -> Verdict:
    """A failure of ours as a verdict; its evidence is what was told of it."""
    meaning, remedy = CHINESE.get(error.id, ("", ""))
    kind = next((kind for kind, ids in _KINDS.items() if error.id in ids), Kind.INPUT)
    retry = RetryAdvice.YES if error.retry else RetryAdvice.NO
    fault = Fault.EITHER if error.retry or error.code == 100 else Fault.YOURS
    told = f"{error.what} ({error.where})" if error.where else error.what
    evidence = Evidence(f"{told}: {error.why}" if error.why else told)
    text = Words(error.meaning, meaning or error.meaning)
    hint = Words(error.remedy, remedy or error.remedy) if error.remedy else NOTHING
    return Verdict(error.id, kind, retry, fault, Confidence.PROVEN, text, hint, (evidence,))


def explained(id: str) -> tuple[Words, Words] | None:
    """Meaning and remedy of the error ``id`` of ours; None if it is none."""
    for kind in catalogue():
        if kind.id == id:
            meaning, remedy = CHINESE.get(id, (kind.meaning, kind.remedy_hint))
            return Words(kind.meaning, meaning), Words(kind.remedy_hint, remedy)
    return None
