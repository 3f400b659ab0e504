"""Accelerators: broken ones, full ones, missing ones, and kernels that went wrong on them."""

from __future__ import annotations

from ...reporting.language import Words
from ..verdict import Fault, Kind, RetryAdvice
from .model import cause, rule, unless

CAUSES = (
    cause(
        "device-hardware",
        Kind.HARDWARE,
        RetryAdvice.YES,
        (
            "an accelerator failed in hardware",
            "Start it again on another node, and have the platform take this one out",
        ),
        ("加速卡出现硬件故障", "换一个节点重新提交，并请平台隔离当前节点"),
        Fault.PLATFORM,
    ),
    cause(
        "device-out-of-memory",
        Kind.RESOURCES,
        RetryAdvice.NO,
        (
            "an accelerator's memory was full",
            "Use smaller batches or sequences, gradient accumulation or checkpointing, or shard the model; "
            "see that no other process holds the device",
        ),
        ("加速卡显存不足", "减小 batch size 或序列长度，使用梯度累积、重计算或模型切分；并确认没有其他进程占用该卡"),
    ),
    cause(
        "device-assert",
        Kind.INPUT,
        RetryAdvice.NO,
        (
            "a kernel's assertion failed on the accelerator, mostly an index out of range",
            "Look for labels outside 0 to classes-1 and token ids beyond the embedding; CUDA_LAUNCH_BLOCKING=1 or a "
            "run on "
            "the CPU shows the line",
        ),
        (
            "加速卡上的核函数断言失败，多为下标越界",
            "检查标签是否超出类别数、token id 是否超出词表；设置 CUDA_LAUNCH_BLOCKING=1 或在 CPU "
            "上运行可定位到具体代码行",
        ),
    ),
    cause(
        "device-missing",
        Kind.ENVIRONMENT,
        RetryAdvice.MAYBE,
        (
            "the command found no accelerator that it could use",
            "Check that the job asks for devices, that CUDA_VISIBLE_DEVICES or ASCEND_RT_VISIBLE_DEVICES names "
            "existing "
            "ones, and that the framework is not a CPU build",
        ),
        (
            "没有找到可用的加速卡",
            "检查作业规格是否申请了加速卡、CUDA_VISIBLE_DEVICES 或 ASCEND_RT_VISIBLE_DEVICES 是否有效，"
            "以及框架是否为 CPU 版本",
        ),
        Fault.EITHER,
    ),
    cause(
        "driver-too-old",
        Kind.ENVIRONMENT,
        RetryAdvice.NO,
        (
            "the node's driver is older than what the framework was built for",
            "Use an image built for this driver's CUDA or CANN version, or a resource pool with a newer driver",
        ),
        ("节点驱动版本低于框架的要求", "使用与驱动匹配的 CUDA 或 CANN 版本的镜像，或选择驱动更新的资源池"),
        Fault.EITHER,
    ),
    cause(
        "device-error",
        Kind.PROGRAM,
        RetryAdvice.MAYBE,
        (
            "an operation failed on the accelerator",
            "Run it once with CUDA_LAUNCH_BLOCKING=1 (ASCEND_LAUNCH_BLOCKING=1) to see which; compare framework, CUDA, "
            "cuDNN or CANN with a run that worked",
        ),
        (
            "加速卡上的算子执行失败",
            "设置 CUDA_LAUNCH_BLOCKING=1（昇腾为 ASCEND_LAUNCH_BLOCKING=1）再运行一次以定位算子；"
            "并与正常运行的环境对比框架、CUDA、cuDNN 或 CANN 版本",
        ),
        Fault.EITHER,
    ),
)

# Of NVIDIA's Xid numbers those that the vendor calls hardware or a node to be drained; 13, 31, 43 and 45 are programs'.
_XIDS = r"48|6[34]|74|79|9[245]|109|119|120|140"

HARDWARE = (
    rule("xid", "device-hardware", rf"\bXid\b[^\n]{{0,60}}?(?:\): |: |=|\s)(?:{_XIDS})\b(?!:)"),
    rule("ecc-uncorrectable", "device-hardware", r"(?i)uncorrectable ECC error(?! count)", r"ECC uncorrectable error"),
    rule("nvlink-uncorrectable", "device-hardware", r"(?i)uncorrectable NVLink error"),
    rule(
        "device-lost",
        "device-hardware",
        r"GPU is lost",
        r"(?:GPU )?has fallen off the bus",
        r"GPU requires reset",
        r"Unable to determine the device handle",
    ),
    rule(
        "npu-memory",
        "device-hardware",
        r"(?i)\bHBM\b[^\n]{0,30}multi[- ]?bits?\b[^\n]{0,12}ECC",
        r"(?:HBM|DDR)[^\n]{0,20}uncorrectable",
        r"\bUCE ERROR\b",
        r"SUSPECT(?: DEVICE)? MEM ERROR"
        r"|DEVICE MEM ERROR|0x80e01801",
    ),
    rule(
        "npu-lost",
        "device-hardware",
        r"(?i)npu[^\n]{0,30}(?:card drop|device lost|heartbeat lost)",
        r"LINK ERROR[^\n]*HCCS",
        r"0x80cd8008",
    ),
    rule(
        "cuda-hardware",
        "device-hardware",
        r"(?i)CUDA error: (?:hardware stack error|ECC error|contained)",
        r"cudaErrorECCUncorrectable",
    ),
)

RULES = (
    *HARDWARE,
    rule(
        "oom-torch",
        "device-out-of-memory",
        r"(?:CUDA|NPU|HIP|XPU|MPS|MLU|GCU|MUSA)(?: backend)? out of memory\b",
    ),
    rule(
        "oom-torch-type",
        "device-out-of-memory",
        r"OutOfMemoryError\b",
        type=r"OutOfMemoryError",
        bare=False,
        look=unless("running low on memory"),
    ),
    rule(
        "oom-cuda",
        "device-out-of-memory",
        r"CUDA error: out of memory",
        r"CUDA_ERROR_OUT_OF_MEMORY",
        r"cudaErrorMemoryAllocation",
        r"cudaMalloc failed: out of memory",
        r"hipErrorOutOfMemory",
    ),
    rule(
        "oom-tensorflow",
        "device-out-of-memory",
        r"OOM when allocating tensor with shape.*(?:GPU|device)",
        r"OOM when allocating tensor(?!.*CPU:0)",
    ),
    rule(
        "oom-jax",
        "device-out-of-memory",
        r"RESOURCE_EXHAUSTED: (?:[\w ]*: )?(?:Out of memory|Failed to allocate|Attempting to (?:allocate|reserve)|"
        r"Error allocating)",
        r"XlaRuntimeError: RESOURCE_EXHAUSTED",
    ),
    rule(
        "oom-paddle",
        "device-out-of-memory",
        r"Out of memory error on (?:GPU|NPU|XPU)",
        r"ResourceExhaustedError?\)?:?[^\n]*\n*[^\n]*Out of memory error on",
        r"Fail to alloc memory of \d+ size",
    ),
    rule(
        "oom-mindspore",
        "device-out-of-memory",
        r"\bEL0004\b",
        r"Memory not enough\.? ?(?:D|d)evice\(id",
        r"Device\(id:\d+\) memory isn't enough",
        r"Out of Memory!!!",
        r"Failed to allocate memory.*(?:device|HBM)",
    ),
    rule(
        "oom-npu",
        "device-out-of-memory",
        r"error code is 207018",
        r"ACL_ERROR_RT_MEMORY_ALLOCATION",
        r"(?:aclrtMalloc|rtMalloc)\w*[^\n]*(?:failed|207001)",
        r"NPU error, error code is 207001",
    ),
    rule(
        "oom-cublas",
        "device-out-of-memory",
        r"CUBLAS_STATUS_ALLOC_FAILED",
        r"CUSOLVER_STATUS_ALLOC_FAILED",
        r"CUDNN_STATUS_ALLOC_FAILED",
        r"CUSPARSE_STATUS_ALLOC_FAILED",
        r"CUFFT_ALLOC_FAILED",
    ),
    rule(
        "oom-vllm",
        "device-out-of-memory",
        r"No available memory for the cache blocks",
        r"Free memory on device .{0,60} on startup is less than",
        r"larger than the maximum number of tokens that can be stored in KV cache",
    ),
    rule(
        "assert-cuda",
        "device-assert",
        r"device-side assert triggered",
        r"ScatterGatherKernel\.cu.*Assertion",
        r"Indexing\.cu.*Assertion",
        r"nll_loss_forward.*Assertion",
    ),
    rule(
        "missing-no-gpu",
        "device-missing",
        r"No CUDA GPUs are available",
        r"no CUDA-capable device is detected",
        r"Found no NVIDIA driver on your system",
        r"CUDA_ERROR_NO_DEVICE",
        r"no NVIDIA GPU",
        r"No HIP GPUs are available",
        r"No visible (?:GPU|TPU|CUDA) devices",
        r"Unable to initialize backend '(?:cuda|rocm|tpu)'",
    ),
    rule(
        "missing-cpu-build",
        "device-missing",
        r"Torch not compiled with CUDA enabled",
        r"PaddlePaddle (?:is )?not compiled with CUDA",
        r"Torch not compiled with NPU enabled",
        r"(?i:please use PaddlePaddle with GPU version|Cannot use GPU because you have installed CPU version)",
        r"not compiled with (?:GPU|CUDA) support",
        hint=Words(
            "The framework in the image is a CPU build: install the one for CUDA (or CANN)",
            "镜像中的框架是 CPU 版本：请安装 CUDA（或 CANN）版本",
        ),
        retry=RetryAdvice.NO,
        fault=Fault.YOURS,
    ),
    rule(
        "missing-ordinal",
        "device-missing",
        r"invalid device ordinal",
        r"CUDA_ERROR_INVALID_DEVICE",
        r"Invalid device id",
        r"invalid device ID",
        r"(?i:device count is \d+, but)",
        r"Device index must be",
        r"MisconfigurationException: You requested gpu",
        hint=Words(
            "More processes or a higher device number than the node has devices: compare processes a node with the "
            "flavour",
            "进程数或设备号超过了节点的加速卡数：请核对每节点进程数与作业规格",
        ),
        retry=RetryAdvice.NO,
        fault=Fault.YOURS,
    ),
    rule("missing-deserialize", "device-missing", r"Attempting to deserialize object on (?:a CUDA|CUDA) device"),
    rule(
        "missing-busy",
        "device-missing",
        r"CUDA-capable device\(s\) is/are busy or unavailable",
        r"CUDA error: (?:system not yet initialized|initialization error|device kernel image)",
        r"CUDA_ERROR_SYSTEM_NOT_READY",
        r"Can't initialize NVML",
        r"Failed to initialize NVML",
        look=unless("version mismatch"),
        retry=RetryAdvice.YES,
        fault=Fault.PLATFORM,
    ),
    rule(
        "missing-npu",
        "device-missing",
        r"(?i:(?:can'?t|cannot|could not|failed to) (?:get|find|open|set)[^\n]{0,20}\b(?:npu|"
        r"ascend)\b[^\n]{0,20}device)",
        r"rtGetDeviceCount",
        r"drvErr=87\b",
        r"error code is 507033",
        r"Invalid NPU device",
        r"No NPUs? (?:is|are) available",
        r"\bEJ0001\b",
        r"error code is 107001",
        r"error code is 507008",
        r"Failed to obtain the SOC version",
    ),
    rule(
        "driver-cuda",
        "driver-too-old",
        r"driver version is insufficient for CUDA runtime",
        r"NVIDIA driver on your system is too old",
        r"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
        r"unsupported (?:toolchain|display driver)",
        r"forward compatibility was attempted on non supported HW",
        r"CUDA driver version is insufficient",
    ),
    rule(
        "driver-nvml",
        "driver-too-old",
        r"Driver/library version mismatch",
        hint=Words(
            "The node's driver was updated under its running kernel module: start it again on another node",
            "节点驱动已升级但内核模块未重新加载：请换节点重新提交",
        ),
        retry=RetryAdvice.YES,
        fault=Fault.PLATFORM,
    ),
    rule(
        "driver-npu",
        "driver-too-old",
        r"(?i:driver[^\n]{0,40}(?:does not match|not compatible|incompatible)[^\n]{0,40}(?:CANN|firmware|runtime))",
        r"(?i:CANN[^\n]{0,40}(?:does not match|not compatible|incompatible)[^\n]{0,40}driver)",
    ),
    rule(
        "error-no-kernel",
        "device-error",
        r"no kernel image is available for execution",
        r"named symbol not found",
        r"CUDA_ERROR_NO_BINARY_FOR_GPU",
        r"is not compatible with the current PyTorch installation",
        hint=Words(
            "The framework or an extension was built for other GPUs: install a build for this one's compute capability",
            "框架或扩展不是为该型号 GPU 编译的：请安装支持其算力版本（compute capability）的包",
        ),
        retry=RetryAdvice.NO,
        fault=Fault.YOURS,
    ),
    rule(
        "error-illegal-access",
        "device-error",
        r"illegal memory access was encountered",
        r"CUDA_ERROR_ILLEGAL_ADDRESS",
        r"misaligned address",
        r"unspecified launch failure",
        r"CUDA_ERROR_LAUNCH_FAILED",
        r"CUDA_EXCEPTION",
    ),
    rule(
        "error-libraries",
        "device-error",
        r"CUDNN_STATUS_\w+",
        r"cuDNN error",
        r"CUBLAS_STATUS_(?!ALLOC_FAILED)\w+",
        r"CUSOLVER_STATUS_(?!ALLOC)\w+",
        r"CUFFT_(?!ALLOC)\w+ERROR",
        r"CUSPARSE_STATUS_(?!ALLOC)\w+",
        r"Unable to find a valid cuDNN algorithm",
        r"DNN library is not found",
        r"Could not create cudnn handle",
    ),
    rule(
        "error-npu",
        "device-error",
        r"aicore (?:error|exception)",
        r"\b(?:EZ9999|EE9999|EZ3002|E89999|EE1001|E39999|E40021)\b",
        r"aclnn\w+ failed",
        r"Ascend kernel runtime initialization failed",
        look=unless(r"207001|207018|\bE[IL]0\d{3}\b|HBM|hccl"),
    ),
    rule(
        "error-npu-call",
        "device-error",
        r"NPU function error",
        r"NPU error, error code is \d+",
        r"ERR0\d{4} (?:PTA|OPS|ACL)",
        look=unless(r"207001|207018|\bE[IL]0\d{3}\b|HBM|hccl"),
        vague=True,
    ),
    rule(
        "error-cuda",
        "device-error",
        r"CUDA error: ",
        r"CUDA Runtime API",
        r"\(External\) CUDA error\(",
        r"(?i:CUDA failure)",
        r"CUDA kernel launch",
        r"cudaError\w+",
        r"HIP error: ",
        r"XlaRuntimeError: INTERNAL",
        r"Triton Error \[CUDA\]",
    ),
)
