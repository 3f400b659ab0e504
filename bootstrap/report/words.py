"""Everything that the page says by itself, in both languages."""

from __future__ import annotations

from ..reporting.language import Words

TITLE = Words("Run report", "运行报告")
NOT_ENDED = Words("not ended, or killed", "未结束，或被强制终止")
SUCCEEDED = Words("succeeded", "成功")
FAILED = Words("failed", "失败")
EXIT_CODE = Words("exit code {code}", "退出码 {code}")
SOURCE = Words("read from {source}", "读取自 {source}")
LEFT_OUT = Words("{count} other runs are there, not shown", "该处另有 {count} 次运行，未显示")
ALL_TIMES = Words("All times are UTC.", "所有时间均为 UTC。")
MADE_BY = Words("Made by modelarts-bootstrap {version} at {when}.", "由 modelarts-bootstrap {version} 生成于 {when}。")
SHORTENED = Words(
    "This page is kept below 1 MB: plots are coarser and lists shorter than usual.",
    "本页限制在 1 MB 以内：曲线较粗、列表较短。",
)

JOB = Words("Job", "作业")
NODE = Words("node", "节点")
NODES = Words("Nodes", "节点")
SIZE_OF_JOB = Words("nodes", "节点数")
ATTEMPT = Words("attempt", "第几次尝试")
STARTED = Words("started", "开始")
ENDED = Words("ended", "结束")
TOOK = Words("took", "耗时")
HOST = Words("host", "主机")
PLATFORM = Words("platform", "平台")
COMMAND = Words("command", "命令")
LAUNCHER = Words("launcher", "启动方式")
INTERFACE = Words("interface", "网卡")
PYTHON = Words("Python", "Python")
RESULT = Words("result", "结果")
REASON = Words("reason", "原因")
VERSION = Words("bootstrap", "bootstrap")
LOG = Words("log", "日志")
FIRST_FAILURE = Words("first failure", "最先失败")
AND_MORE_NODES = Words("and {count} more", "以及另外 {count} 个节点")

WHY = Words("Why it ended", "结束原因")
CAUSE = Words("cause", "原因标识")
SEEN = Words("seen", "依据")
ALSO_SEEN = Words("also seen", "另见")
HINT = Words("hint", "提示")
RETRY = Words("retry", "是否重试")
FAULT = Words("fault", "责任方")
CONFIDENCE = Words("confidence", "可信度")
IN_LOG = Words("line {line} of the log", "日志第 {line} 行")
NOTES = Words("notes", "备注")
NOT_DELIVERED = Words("not delivered", "未交付")
VALUES = {
    "yes": Words("yes", "是"),
    "no": Words("no", "否"),
    "maybe": Words("maybe", "不一定"),
    "yours": Words("yours", "用户"),
    "platform": Words("the platform's", "平台"),
    "either": Words("either", "两者皆可能"),
    "proven": Words("proven", "已证实"),
    "said": Words("said by the program", "程序自述"),
    "likely": Words("likely", "推断"),
}

STEPS = Words("Steps", "步骤")
RUNNING = Words("running", "进行中")
STEP_RESULTS = {
    "ok": Words("ok", "正常"),
    "failed": Words("failed", "失败"),
    "stopped": Words("stopped", "被停止"),
    "running": RUNNING,
}
STEP = Words("step", "步骤")

MACHINE = Words("The machine meanwhile", "运行期间的机器")
NO_SAMPLES = Words(
    "There are no samples: the command ended within one --sample-interval, or none were delivered.",
    "没有采样：命令在一个 --sample-interval 内结束，或采样未交付。",
)
NEEDS_SCRIPT = Words("The plots are drawn by this page's own script.", "曲线由本页内的脚本绘制。")
SUMMARY = Words("mean {mean}, highest {peak}", "平均 {mean}，最高 {peak}")
LIMIT = Words("limit {limit}", "上限 {limit}")
CPU = Words("CPU (cores)", "CPU（核）")
MEMORY = Words("Memory", "内存")
MEMORY_SHARE = Words("Memory, of the limit", "内存占上限的比例")
DEVICE_USE = Words("Accelerators: use", "加速卡：利用率")
DEVICE_MEMORY = Words("Accelerators: memory", "加速卡：显存")
DEVICE_TEMPERATURE = Words("Accelerators: temperature", "加速卡：温度")
DEVICE_POWER = Words("Accelerators: power", "加速卡：功率")
DEVICE_ERRORS = Words("Accelerators: uncorrectable errors", "加速卡：不可纠正的错误")
NETWORK = Words("Network", "网络")
RDMA = Words("RDMA", "RDMA")
DISK_IO = Words("Disks: read and written", "磁盘：读写")
DISKS = Words("Disks: space used", "磁盘：已用空间")
PROCESSES = Words("Processes of the command", "命令的进程数")
OF_COMMAND = Words("command", "命令")
OF_CONTAINER = Words("container", "容器")
IN_USE = Words("in use", "已用")
RSS = Words("processes (RSS)", "进程（RSS）")
READ = Words("read", "读")
WRITTEN = Words("written", "写")
IN = Words("{name} in", "{name} 收")
OUT = Words("{name} out", "{name} 发")
NUMBERED = Words("node {node}", "节点 {node}")
COUNT = Words("processes", "进程")

TRANSFERS = Words("Transfers", "传输")
WHAT = Words("what", "内容")
FILES = Words("files", "文件数")
SIZE = Words("size", "大小")
RATE = Words("rate", "速率")
UNCHANGED = Words("unchanged", "未变")
FAILURES = Words("failed", "失败")
FETCHED = Words("fetched: {name}", "获取：{name}")
DELIVERED = Words("delivered: {name}", "交付：{name}")

OUTPUTS = Words("Outputs", "输出")
PATH = Words("path", "路径")
DIGEST = Words("SHA-256", "SHA-256")
LOOSE = Words("files", "文件")
CHECKPOINT = Words("checkpoint {path}", "检查点 {path}")
COMPLETE = Words("complete", "完整")
INCOMPLETE = Words("incomplete", "不完整")
WITHOUT = Words("without {missing}", "缺少 {missing}")
UNREADABLE = Words("its manifests could not be read: {why}", "无法读取清单：{why}")
NOTHING_DELIVERED = Words("no manifest is there", "没有清单")
AND_MORE = Words("and {count} more", "以及另外 {count} 个文件")

LOG_END = Words("The end of the log", "日志末尾")
WHOLE_LOG = Words("{size}, all of it", "{size}，全部")
CUT_LOG = Words("the last {lines} lines of {size}, numbered from the end", "共 {size}，末尾 {lines} 行，行号从末尾倒数")
NO_LOG = Words("There is no log.", "没有日志。")
BESIDE = Words("delivered beside it", "一并交付")
