"""What is installed: modules, libraries, programs, and whether they fit together."""

from __future__ import annotations

import os
import re

from ...reporting.language import Words
from ..blocks import Form, Saying
from ..machine import Machine
from ..verdict import Fault, Kind, RetryAdvice
from .model import cause, rule, unless

CAUSES = (
    cause(
        "packages-mismatch",
        Kind.ENVIRONMENT,
        RetryAdvice.NO,
        (
            "installed packages do not fit together",
            "One was built against another version of the other: install both from one source with versions that fit",
        ),
        ("已安装的包之间版本不匹配", "其中一个包是针对另一版本编译的：请从同一来源安装相互匹配的版本"),
    ),
    cause(
        "library-missing",
        Kind.ENVIRONMENT,
        RetryAdvice.NO,
        (
            "a shared library could not be loaded",
            "Install the package that has it, or name its directory in LD_LIBRARY_PATH",
        ),
        ("找不到动态库", "安装包含该库的软件包，或将其目录加入 LD_LIBRARY_PATH"),
    ),
    cause(
        "preload-unfit",
        Kind.ENVIRONMENT,
        RetryAdvice.NO,
        (
            "a library that is preloaded into every program (LD_PRELOAD) does not fit this one",
            "If it is libstdbuf.so: --no-line-buffered (BOOTSTRAP_LINE_BUFFERED=no), or remove stdbuf from the script; "
            "else unset LD_PRELOAD for this program: env -u LD_PRELOAD PROGRAM",
        ),
        (
            "通过 LD_PRELOAD 预加载的库与该程序不兼容",
            "如果是 libstdbuf.so：使用 --no-line-buffered（BOOTSTRAP_LINE_BUFFERED=no），或去掉脚本中的 stdbuf；"
            "否则对该程序取消 LD_PRELOAD：env -u LD_PRELOAD 程序",
        ),
        fault=Fault.EITHER,
    ),
    cause(
        "module-missing",
        Kind.ENVIRONMENT,
        RetryAdvice.NO,
        (
            "a Python module could not be found",
            "Install it in the image, or list it in requirements.txt with --requirements; the interpreter may also be "
            "another one than you think (which python)",
        ),
        (
            "找不到 Python 模块",
            "在镜像中安装，或写入 requirements.txt 并使用 --requirements；也请确认使用的是预期的解释器（which python）",
        ),
    ),
    cause(
        "import-failed",
        Kind.ENVIRONMENT,
        RetryAdvice.NO,
        (
            "a module was found, and could not be imported as the code expects it",
            "Compare its version with the one that the code was written for (pip show)",
        ),
        ("模块导入失败", "请核对该模块的版本与代码所需版本（pip show）"),
    ),
    cause(
        "program-missing",
        Kind.ENVIRONMENT,
        RetryAdvice.NO,
        (
            "a program that the command calls is not there",
            "Install it in the image, or give its whole path; look at PATH in the job's environment",
        ),
        ("找不到要执行的程序", "在镜像中安装该程序或写完整路径；检查作业环境的 PATH"),
    ),
    cause(
        "architecture-wrong",
        Kind.ENVIRONMENT,
        RetryAdvice.NO,
        (
            "a program or library is for another processor architecture",
            "Use an image and packages for the node's own (uname -m: x86_64 or aarch64)",
        ),
        ("程序或动态库与处理器架构不符", "请使用与节点架构一致的镜像和安装包（uname -m：x86_64 或 aarch64）"),
    ),
)

_SHADOW = Words(
    "{shadow} has the name of a package and is imported in its place: rename it",
    "{shadow} 与要导入的包同名，导入了它而不是包：请重命名该文件",
)


def _shadowed(found: re.Match[str], saying: Saying, machine: Machine) -> dict[str, str] | None:
    """The user's own file that is imported in a package's place, if that is what happened."""
    named = re.search(r"\((?P<file>/[^()]+\.py)\)|from '(?P<other>/[^']+\.py)'", saying.text)
    file = (named["file"] or named["other"]) if named else ""
    if not file:
        module = re.search(r"module '([\w.]+)'", saying.text)
        name = module[1].partition(".")[0] if module else ""
        mine = [frame.file for frame in saying.frames if machine.is_users(frame.file)]
        places = [f"{os.path.dirname(path)}/{name}.py" for path in mine] if name else []
        file = next((place for place in places if place in mine or machine.is_there(place)), "")
    return {"shadow": file} if file and machine.is_users(file) else None


RULES = (
    rule(
        "preload-refused",
        "preload-unfit",
        r"Error (?:relocating|loading shared library) \S*libstdbuf\.so\S*: .*",
        r"ASan runtime does not come first in initial library list",
        r"version `\S+' not found \(required by \S*libstdbuf\.so\)",
    ),
    rule(
        "import-shadowed",
        "import-failed",
        r"partially initialized module",
        r"module '[\w.]+' has no attribute",
        r"is not a package",
        r"cannot import name '.+' from '\w+' \(/",
        r"consider renaming",
        look=_shadowed,
        hint=_SHADOW,
        bare=False,
    ),
    rule(
        "glibc",
        "packages-mismatch",
        r"version `(?:GLIBC|GLIBCXX|CXXABI|GOMP|OPENSSL|CURL_OPENSSL|NCURSES\w*|libcu\w+)_[\w.]*' not found",
        r"FATAL: kernel too old",
        hint=Words(
            "It was built on a newer system than the image's: install a build for this one, or take a newer base image",
            "该程序在比镜像更新的系统上编译：请安装适配当前系统的版本，或更换更新的基础镜像",
        ),
    ),
    rule(
        "undefined-symbol",
        "packages-mismatch",
        r"undefined symbol: ",
        r"symbol lookup error",
        r"symbol not found in flat namespace",
        r"Error relocating \S+: \S+: symbol not found",  # musl
        r"version `\S+' not found \(required by",
    ),
    rule(
        "abi-numpy",
        "packages-mismatch",
        r"numpy\.\w+ size changed, may indicate binary incompatibility",
        r"dtype size changed",
        r"A module that was compiled using NumPy 1\.x cannot be run in",
        r"compiled against (?:API|ABI) version",
        r"_ARRAY_API not found",
        r"numpy\.core\.multiarray failed to import",
        r"module 'numpy' has no attribute '(?:bool|int|float|object|str|long|complex|unicode|typeDict|Inf|NaN|float_)'",
        r"`np\.\w+` was (?:a deprecated alias|removed in the NumPy 2\.0)",
        r"Numpy is not available",
        hint=Words(
            "NumPy is of another major version than the packages were built for: pin it (numpy<2), or renew the "
            "packages",
            "NumPy 的主版本与各包编译时不一致：请固定版本（numpy<2），或升级相关包",
        ),
    ),
    rule(
        "versions",
        "packages-mismatch",
        r"Detected that PyTorch and \w+ were compiled with different CUDA",
        r"Couldn't load custom C\+\+ ops",
        r"operator torchvision::nms does not exist",
        r"The detected CUDA version \([\d.]+\) mismatches the version that was used to compile",
        r"(?:ContextualVersionConflict|VersionConflict|DistributionNotFound)",
        r"is required for a normal functioning of this module, but found",
        r"(?:requires|needs) [\w.-]+\s*[<>=!~]=?\s*[\d.]+[^\n]*,? but (?:you have|found|is installed)",
        r"Descriptors cannot (?:not )?be created directly",
        r"incompatible with this version of",
        r"cuDNN version incompatibility",
        r"mindspore.*(?:version|package).*(?:does not match|not match|mismatch)",
        r"incompatible (?:library|torch|CUDA) version",
        r"PyTorch version .* is not compatible with",
        r"was compiled with .* but (?:you|the)",
        r"is not a supported wheel on this platform",
        r"ResolutionImpossible",
        r"package versions have conflicting dependencies",
    ),
    rule(
        "architecture",
        "architecture-wrong",
        r"[Ee]xec format error",
        r"wrong ELF class",
        r"cannot execute binary file",
        r"\[Errno 8\]",
        r"rosetta error",
        r"qemu-\S+: Could not open",
    ),
    rule(
        "library-cuda",
        "library-missing",
        r"lib(?:cuda|nvidia-ml|ascend_hal|dcmi)\.so(?:\.\d+)*: cannot open shared object file",
        hint=Words(
            "{library} comes with the node's driver, not with the image: the container runs without devices, or is "
            "not started with the vendor's runtime",
            "{library} 来自节点驱动而不是镜像：容器未挂载加速卡，或没有使用厂商的容器运行时启动",
        ),
        look=lambda found, _saying, _machine: {"library": found[0].partition(":")[0]},
    ),
    rule(
        "library-to-build-with",
        "library-missing",
        r"cannot find -l\w+",
        r"fatal error: \S+\.(?:h|hpp|cuh): No such file or directory",
        r"libdevice not found",
        hint=Words(
            "An extension is compiled at its first use: install what it is built with (-dev packages, the whole CUDA "
            "or CANN toolkit), or take an image in which it is built already",
            "扩展在首次使用时编译：请安装编译所需的开发包（-dev 软件包、完整的 CUDA 或 CANN 工具包），"
            "或使用已编译好扩展的镜像",
        ),
    ),
    rule(
        "library",
        "library-missing",
        r"cannot open shared object file",
        r"Error loading shared library \S+: ",  # musl
        r"(?:Unable to|Could not|Cannot|Failed to) (?:find|load|locate) (?:the )?(?:dynamic |shared )?librar(?:y|"
        r"ies)\b",
        r"Could not (?:find|load) lib\w+",
        r"Library not (?:loaded|found)",
        r"Unable to load (?:any of|lib)",
        r"no library called",
        r"cannot load library",
    ),
    rule(
        "module",
        "module-missing",
        r"No module named (?P<module>'[\w.]+'|[\w.]+)",
        r"ModuleNotFoundError",
        r"cannot be directly executed",
    ),
    rule(
        "module-needed",
        "module-missing",
        r"requires the (?P<module>[\w-]+) library but it was not found",
        r"ImportError: (?:Using|Missing optional dependency|Please install|To use)[^\n]*",
        r"(?:^|\W)(?:please|Please) (?:run `?)?pip install",
        type=r"\w*(?:ImportError|ValueError|RuntimeError|PackageNotFoundError|ModuleNotFoundError)?",
        bare=False,
    ),
    rule(
        "import-name",
        "import-failed",
        r"cannot import name",
        r"partially initialized module",
        r"DLL load failed",
        r"Failed to import \S+ because of the following error",
        r"ImportError: ",
        type=r"ImportError|RuntimeError|AttributeError|",
    ),
    rule(
        "program-shell",
        "program-missing",
        r"(?P<program>[^\s:]+): (?:command )?not found\b",
        r"command not found: (?P<zsh>\S+)",
        r"(?:sh|bash)[\w: ]*: (?P<path>[^\s:]*/[^\s:]*): No such file or directory",
        r"env: [‘'\"]?(?P<env>[\w.-]+)[’'\"]?: No such file or directory",
        r"failed to run command .*No such file",
        r"execvp?[^\n]*: No such file or directory",
        r"bad interpreter: No such file",
        r"could not execute (?:a|the) program",
        r"executable file not found in",
        r"cannot execute: required file not found",
        forms=(Form.SHELL,),
        look=unless(r"\\r|syntax error|: (?:cd|pushd|source|\.): "),
    ),
    rule(
        "program-conda-activate",
        "program-missing",
        r"shell has not been properly configured to use 'conda (?:de)?activate'",
        r"Run 'conda init' before 'conda (?:de)?activate'",
        hint=Words(
            'In a script, first: eval "$(conda shell.bash hook)"; or, without activating: conda run -n NAME COMMAND',
            '在脚本中先执行：eval "$(conda shell.bash hook)"；或不激活环境，直接用：conda run -n 环境名 命令',
        ),
    ),
    rule(
        "program-subprocess",
        "program-missing",
        r"No such file or directory: '(?P<program>[^/']+|/[^']*)'",
        type="FileNotFoundError",
        look=lambda found, saying, _: (
            {} if any(f.function in ("_execute_child", "execvpe", "_execvpe") for f in saying.frames) else None
        ),
        bare=False,
    ),
    rule(
        "program-needed",
        "program-missing",
        r"(?P<program>[\w-]+) executables? (?:was |were )?not found",
        r"[Uu]nable to find (?P<tool>\w+) (?:executable|binary)",
        r"make sure the \w+ executables are on your systems' PATH",
        r"Ninja is required to load C\+\+ extensions",
        r"CUDA_HOME (?:environment variable is not set|does not exist)",
        r"executable file not found in",
        r"ExecutableNotFound",
        r"TesseractNotFoundError",
        r"[Ff]ailed to find C compiler",
        r"Couldn't find ffmpeg",
    ),
)
