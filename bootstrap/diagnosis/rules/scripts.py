"""What is written into scripts, command lines and configurations."""

from __future__ import annotations

import re

from ..blocks import Form, Saying
from ..machine import Machine
from ..verdict import Kind, RetryAdvice
from .model import cause, rule, unless

CAUSES = (
    cause(
        "arguments-invalid",
        Kind.INPUT,
        RetryAdvice.NO,
        (
            "the command does not accept the arguments that it was given",
            "The bootstrap adds none: compare the job's parameters (--data_url, --train_url) with the script",
        ),
        (
            "命令不接受所给的参数",
            "引导程序不会添加参数：请核对作业参数（--data_url、--train_url）与脚本定义",
        ),
    ),
    cause(
        "config-invalid",
        Kind.INPUT,
        RetryAdvice.NO,
        (
            "a configuration cannot be used",
            "Mend the file or the key that is named, and try it with the script on your own machine",
        ),
        ("配置文件无效", "修正所指出的文件或字段，并先在本地用脚本验证"),
    ),
    cause(
        "syntax-error",
        Kind.PROGRAM,
        RetryAdvice.NO,
        (
            "a script is not in the language of its interpreter",
            "Mend the line, or run it with the Python or shell that it was written for",
        ),
        ("脚本存在语法错误", "修正该行，或使用脚本对应版本的 Python 或 shell 运行"),
    ),
    cause(
        "line-endings",
        Kind.INPUT,
        RetryAdvice.NO,
        (
            "a script has the line ends of Windows (CR LF)",
            "Convert it: sed -i 's/\\r$//' FILE, or git config core.autocrlf input",
        ),
        (
            "脚本使用了 Windows 换行符（CRLF）",
            "转换换行符：sed -i 's/\\r$//' FILE，或设置 git config core.autocrlf input",
        ),
    ),
    cause(
        "variable-missing",
        Kind.INPUT,
        RetryAdvice.NO,
        ("an environment variable that the command needs is not set", "Set it in the job's environment"),
        ("缺少命令所需的环境变量", "请在作业的环境变量中设置"),
    ),
)


def _from_windows(found: re.Match[str], saying: Saying, machine: Machine) -> dict[str, str] | None:
    """A shell that stumbles over its script: look whether it has DOS's line ends."""
    script = re.search(r": (?P<script>[^\s:]+): cannot execute: required file not found", saying.text)
    script = script or re.match(r"^(?P<script>[^\s:]+): (?:line )?\d+: ", saying.text)
    return {} if script and machine.has_dos_lines(script["script"]) else None


RULES = (
    rule(
        "line-ends-said",
        "line-endings",
        r"\$'[^']*\\r[^']*'",
        r"\\r['’]?: (?:command not found|not found|No such file|invalid option|\[Errno)",
        r"\^M(?::|\b)[^\n]*bad interpreter",
        r"\\r: bad interpreter",
        r"(?:sh|bash)[^\n]*\\r[^\n]*(?:invalid option|not found|No such file|syntax)",
        r"^: (?:invalid option|not found|No such file)",
        r"can't open file '[^']*\\r'",
    ),
    rule(
        "line-ends-seen",
        "line-endings",
        r"(?i:syntax error|not found|Illegal option|No such file|invalid option|unexpected)",
        forms=(Form.SHELL,),
        look=_from_windows,
    ),
    rule("arguments", "arguments-invalid", r".", forms=(Form.OPTIONS,)),
    rule(
        "arguments-other",
        "arguments-invalid",
        r"unrecognized arguments: ",
        r"the following arguments are required: ",
        r"Some specified arguments are not used by the HfArgumentParser",
        r"(?:unrecognized|unknown|invalid|Unrecognized|Unknown|Invalid) (?:command[- ]line )?(?:option|flag|"
        r"argument)s?\b",
        r"No such option",
        r"Unknown command line flag",
        r"UnrecognizedFlagError",
        r"IllegalFlagValueError",
        r"The function received no value for the required argument",
        look=unless(r"cuda|CUDA|got an unexpected|expected scalar"),
    ),
    rule(
        "config-json",
        "config-invalid",
        r"JSONDecodeError",
        r"^(?:\w+\.)*JSON5?\w*Error",
        r"is not valid JSON",
        r"not a valid JSON",
        r"invalid JSON",
    ),
    rule(
        "config-yaml",
        "config-invalid",
        r"^(?:ruamel\.)?yaml\.\w+\.\w+Error",
        r"(?:ScannerError|ParserError|ConstructorError|ComposerError|ReaderError)\b",
        r"while (?:scanning|parsing) a (?:block|flow|simple|quoted)",
        r"mapping values are not allowed here",
        r"error parsing YAML",
    ),
    rule(
        "config-hydra",
        "config-invalid",
        r"Could not override ",
        r"Key '[^']*' is not in struct",
        r"MissingConfigException",
        r"MissingMandatoryValue",
        r"ConfigAttributeError",
        r"ConfigKeyError",
        r"ConfigCompositionException",
        r"InterpolationKeyError",
        r"Cannot find primary config",
        r"In '[^']*': Could not",
        r"is not in the \S+ registry\b",  # OpenMMLab's
        r"OverrideParseException",
        r"Error (?:merging|parsing) (?:override )?'",
        r"Error instantiating '",
        r"Error locating target '",
    ),
    rule(
        "config-toml",
        "config-invalid",
        r"(?:TOML|Toml)Decode\w*",
        r"configparser\.\w+",
        r"(?:MissingSectionHeader|NoSection|NoOption|DuplicateOption)Error",
    ),
    rule(
        "config-pydantic",
        "config-invalid",
        r"\d+ validation errors? for \S+(?:\n\S+)?",
        r"jsonschema\.exceptions\.ValidationError",
        r"SchemaError",
        r"dacite\.exceptions",
    ),
    rule(
        "config-deepspeed",
        "config-invalid",
        r"DeepSpeedConfigError",
        r"Check batch related parameters\. train_batch_size is not equal",
        r"(?:Batch|batch) size.*is not equal to micro_batch",
        bare=False,
    ),
    rule(
        "syntax-python",
        "syntax-error",
        r"^(?:SyntaxError|IndentationError|TabError)\b",
        type=r"(?:Syntax|Indentation|Tab)Error",
        look=unless(r"invalid syntax in config|null bytes in config"),
    ),
    rule(
        "syntax-shell",
        "syntax-error",
        r"(?i:syntax error)",
        r"unexpected end of file",
        r"unterminated quoted string",
        r"unexpected EOF while looking for matching",
        r"bad substitution",
        r"\[\[: not found",
        r"Illegal option -o pipefail",
        forms=(Form.SHELL,),
        look=unless(r"^(?:gzip|gunzip|zcat|bzip2|xz|zstd|tar|unzip): "),
        bare=True,
    ),
    rule(
        "variable-shell",
        "variable-missing",
        r": (?P<variable>\w+): unbound variable",
        r": (?P<dash>\w+): parameter not set",
        forms=(Form.SHELL,),
    ),
    rule(
        "variable-python",
        "variable-missing",
        r"environment variable (?P<variable>(?!is )\w+) (?:expected, but not set|is not set|not set)",
        r"^KeyError: '(?P<name>[A-Z][A-Z0-9_]{3,})'",
        look=lambda found, saying, _machine: (
            {}
            if "environment" in saying.text
            or any(f.file.endswith("os.py") or f.file == "<frozen os>" for f in saying.frames)
            else None
        ),
        bare=False,
    ),
)
