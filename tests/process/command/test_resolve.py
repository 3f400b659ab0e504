"""From argv to what is executed: as a shell would, and with a useful word when it cannot be."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap.errors import CommandNotExecutable, CommandNotFound, UsageError
from bootstrap.ground.argv import script_of
from bootstrap.process.command import elf
from bootstrap.process.command.resolve import Executable, resolve, shown, without_redirections

ROOT = Path(__file__).parents[3]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "code" / "tools").mkdir(parents=True)
    (tmp_path / "code" / "train.py").write_text("print('training')\n")
    (tmp_path / "code" / "run.sh").write_text("echo run\n")
    (tmp_path / "bin").mkdir()
    return tmp_path


def program(path: Path, text: str = "#!/bin/sh\necho $0\n", mode: int = 0o755) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def find(
    work: Path, *argv: str, path: str | None = None, line_buffered: bool = False, below_shells: bool = False
) -> Executable:
    environ = {"PATH": f"{work}/bin:/usr/bin:/bin" if path is None else path}
    return resolve(argv, cwd=str(work), environ=environ, line_buffered=line_buffered, below_shells=below_shells)


# --- found -----------------------------------------------------------------------------------------------------------


def test_a_name_is_looked_for_on_the_commands_path(work: Path) -> None:
    file = program(work / "bin" / "train")
    assert find(work, "train", "--lr", "0.1") == Executable(("train", "--lr", "0.1"), str(file))


def test_a_path_is_relative_to_the_working_directory(work: Path) -> None:
    program(work / "code" / "train")
    assert find(work, "code/train").executable == f"{work}/code/train"


def test_an_executable_further_down_the_path_goes_before_one_that_is_not(work: Path) -> None:
    program(work / "bin" / "env", mode=0o644)
    assert find(work, "env").executable == "/usr/bin/env"


def test_a_script_without_an_interpreter_line_is_run_by_sh(work: Path) -> None:
    program(work / "bin" / "old", "echo old $1\n")
    resolved = find(work, "old", "way")
    assert resolved.argv == ("/bin/sh", f"{work}/bin/old", "way")
    assert subprocess.run(resolved.argv, stdout=subprocess.PIPE, check=True).stdout == b"old way\n"


def test_arguments_are_never_touched(work: Path) -> None:
    words = ("echo", "a b; rm -rf /", "$HOME", "*", "", "2>&1", "x")
    assert find(work, *words).argv == words


# --- redirections ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("redirection", ["2>&1", "2&>1"])
def test_a_literal_redirection_at_the_end_is_dropped_and_explained(work: Path, redirection: str) -> None:
    assert find(work, "echo", redirection).argv == ("echo",)
    resolved = find(work, "echo", "x", redirection)
    assert resolved.argv == ("echo", "x")
    assert redirection in resolved.warnings[0]
    assert "bash -c" in resolved.warnings[0]


@pytest.mark.parametrize("words", [("echo", "2>&1", "x"), ("2>&1",), ("echo", "> log"), ("echo", "x2>&1")])
def test_nothing_else_is_dropped(words: tuple[str, ...]) -> None:
    assert without_redirections(words) == (words, ())


FILE_1 = """
import json, sys
from bootstrap.process.command.resolve import without_redirections
told = [without_redirections(line.split()) for line in ("echo x 2", "echo 2 x", "echo x", "2")]
json.dump(told, open("told", "w"))
"""


@pytest.mark.parametrize(
    ("out", "err", "dropped"), [("1", "1", True), ("1", "other", False), ("log", "log", False), ("", "", False)]
)
def test_a_2_at_the_end_is_dropped_where_a_shell_has_read_2_and_a_file_1(
    work: Path, out: str, err: str, dropped: bool
) -> None:
    opened = [(work / file).open("ab") if file else subprocess.PIPE for file in (out, err)]
    command, environ = [sys.executable, "-c", FILE_1], {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=work, check=True, env=environ, stdout=opened[0], stderr=opened[1])
    (words, warnings), *others = json.loads((work / "told").read_text())
    assert words == (["echo", "x"] if dropped else ["echo", "x", "2"])
    assert ["a file named 1" in warning for warning in warnings] == [True] * dropped
    assert others == [[["echo", "2", "x"], []], [["echo", "x"], []], [["2"], []]]


# --- not found, not executable ---------------------------------------------------------------------------------------


def test_no_command_is_a_usage_error(work: Path) -> None:
    for argv in ([], [""]):
        with pytest.raises(UsageError, match="no command"):
            find(work, *argv)


def test_an_unknown_name_is_127_and_names_what_is_near(work: Path) -> None:
    program(work / "bin" / "deepspeed")
    with pytest.raises(CommandNotFound, match="deepspeed") as caught:
        find(work, "deepsped")
    assert caught.value.code == 127


def test_a_path_that_misses_its_last_directory_is_told_where_the_file_is(work: Path) -> None:
    with pytest.raises(CommandNotFound, match=r"code/train\.py") as caught:
        find(work, "/nowhere/train.py")
    assert "NAME/" in caught.value.remedy


def test_a_script_that_an_interpreter_is_given_must_exist(work: Path) -> None:
    with pytest.raises(CommandNotFound, match=r"code/train\.py"):
        find(work, sys.executable, "-u", "train.py", "--epochs", "3")
    with pytest.raises(CommandNotFound, match=r"code/train\.py"):
        find(work, sys.executable, "code/trian.py")
    with pytest.raises(CommandNotFound, match=r"code/run\.sh"):
        find(work, "bash", "run.sh")


@pytest.mark.parametrize(
    "argv",
    [
        ("python3 code/train.py --lr 0.1",),
        ("cd", "code", "&&", "python3", "train.py"),
        ("OMP_NUM_THREADS=4", "python3", "code/train.py"),
        ("source", "env.sh"),
        ("set", "-e"),
        ("wait",),
        ("if", "true"),
        ("unset", "X"),
        (sys.executable, "${MA_JOB_DIR}/code/train.py"),
    ],
    ids=lambda argv: argv[0].rpartition("/")[2],
)
def test_what_only_a_shell_would_understand_is_told_that_there_is_none(work: Path, argv: tuple[str, ...]) -> None:
    with pytest.raises(CommandNotFound) as caught:
        find(work, *argv)
    assert "no shell reads the command" in caught.value.remedy and "bash -c" in caught.value.remedy


@pytest.mark.parametrize("tool", ["conda", "mamba", "micromamba"])
def test_to_activate_an_environment_there_is_an_option(work: Path, tool: str) -> None:
    with pytest.raises(CommandNotFound, match=f"{tool} activate is no program") as caught:
        find(work, tool, "activate", "work")
    assert "--conda-env NAME" in caught.value.remedy


@pytest.mark.parametrize(("name", "other"), [("nosuch", "touch"), ("source", "gresource"), ("set", "tset")])
def test_a_name_that_is_only_a_little_alike_is_not_named(work: Path, name: str, other: str) -> None:
    program(work / "bin" / other)
    with pytest.raises(CommandNotFound) as caught:
        find(work, name)
    assert other not in str(caught.value)


def test_of_names_that_are_near_the_same_stands_first_and_the_shallow_before_the_deep(work: Path) -> None:
    for name in ("z/eval.py", "a/b/eval.py", "a/eval.py", "a/b/c/eval.py", ".git/eval.py", "eval1.py", "a/eval2.py"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).touch()
    with pytest.raises(CommandNotFound) as caught:
        find(work, sys.executable, "eval.py")
    assert list((caught.value.facts["nearest"])[:3]) == ["a/eval.py", "z/eval.py", "a/b/eval.py"]
    assert sorted(list(caught.value.facts["nearest"])[3:]) == ["a/eval2.py", "eval1.py"]


def test_at_most_five_are_named(work: Path) -> None:
    for number in range(4):
        (work / f"eval{number}.py").touch()
        (work / f"code/{number}").mkdir()
        (work / f"code/{number}/eval.py").touch()
    with pytest.raises(CommandNotFound) as caught:
        find(work, sys.executable, "eval.py")
    assert [name.startswith("code/") for name in caught.value.facts["nearest"]] == [True] * 3 + [False] * 2


def test_for_a_python_that_is_not_there_the_newest_others_are_named(work: Path) -> None:
    for name in ("python2", "python3.9", "python3.12", "python3", "pythonic"):
        program(work / "bin" / name)
    with pytest.raises(CommandNotFound) as caught:
        find(work, "python", path=f"{work}/bin:/absent")
    assert list((caught.value.facts["nearest"])[:3]) == ["python3", "python3.12", "python3.9"]
    assert caught.value.remedy.startswith("write python3 if that is meant")


def test_a_job_directory_that_is_not_there_has_no_names(work: Path) -> None:
    with pytest.raises(CommandNotFound, match="nothing of a similar name"):
        resolve(["zzzzqqqqxxxx"], cwd=str(work), environ={}, job_dir=str(work / "absent"))


def test_nothing_near_is_said_too(work: Path) -> None:
    with pytest.raises(CommandNotFound, match="nothing of a similar name"):
        find(work, "zzzzqqqqxxxx")


@pytest.mark.parametrize(
    ("name", "remedy"), [("code/train.py", "python code/train.py"), ("code/run.sh", "bash code/run.sh")]
)
def test_a_script_that_is_not_executable_is_126_with_its_interpreter(work: Path, name: str, remedy: str) -> None:
    with pytest.raises(CommandNotExecutable) as caught:
        find(work, name, "--x")
    assert caught.value.code == 126
    assert f"{remedy} --x" in caught.value.remedy


def test_python_code_without_an_interpreter_line_is_not_given_to_a_shell(work: Path) -> None:
    (work / "code" / "train.py").chmod(0o755)
    with pytest.raises(CommandNotExecutable, match=r"python code/train\.py"):
        find(work, "code/train.py")


def test_a_directory_is_126(work: Path) -> None:
    with pytest.raises(CommandNotExecutable, match="directory"):
        find(work, "code/tools")


def test_a_missing_interpreter_is_126_and_named(work: Path) -> None:
    program(work / "bin" / "train", "#!/opt/conda/bin/python\n")
    with pytest.raises(CommandNotExecutable, match="/opt/conda/bin/python"):
        find(work, "train")


def test_lines_that_end_as_on_windows_are_126_and_explained(work: Path) -> None:
    program(work / "bin" / "train", "#!/bin/bash\r\necho x\r\n")
    with pytest.raises(CommandNotExecutable, match="Windows"):
        find(work, "train")


def test_a_file_without_the_execute_bit_names_its_mode(work: Path) -> None:
    program(work / "bin" / "train", mode=0o644)
    with pytest.raises(CommandNotExecutable, match="0644"):
        find(work, "train")


# --- which file an interpreter reads ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "script"),
    [
        ("python train.py", "train.py"),
        ("/opt/conda/bin/python3.11 -u -X dev train.py --x", "train.py"),
        ("python -Xdev -Wignore -B train.py", "train.py"),
        ("python -uB train.py", "train.py"),
        ("python -m torch.distributed.run train.py", None),
        ("python -um pkg", None),
        ("python -c code x.py", None),
        ("python - x.py", None),
        ("python", None),
        ("python --version", None),
        ("python -V", None),
        ("python --check-hash-based-pycs always train.py", "train.py"),
        ("bash run.sh a", "run.sh"),
        ("bash -ex run.sh", "run.sh"),
        ("bash -euo pipefail run.sh", "run.sh"),
        ("bash +x -O extglob run.sh", "run.sh"),
        ("bash --norc --rcfile x run.sh", "run.sh"),
        ("bash -- run.sh", "run.sh"),
        ("bash -lc 'echo x'", None),
        ("bash -s x", None),
        ("sh -c true", None),
        ("torchrun train.py", None),
        ("env python train.py", None),
    ],
)
def test_the_script_of_an_interpreter(line: str, script: str | None) -> None:
    assert script_of(line.split()) == script


def test_real_interpreters_agree_about_their_options(work: Path) -> None:
    """Each line below runs; so none of them may be refused."""
    for line in (
        [sys.executable, "-X", "utf8", "-W", "ignore", "-uBs", "code/train.py"],
        [sys.executable, "-um", "this"],
        [sys.executable, "-c", "pass", "nofile"],
        ["bash", "-euo", "pipefail", "code/run.sh"],
        ["bash", "+x", "-O", "extglob", "--", "code/run.sh"],
        ["bash", "-c", "true", "nofile"],
        ["sh", "-ec", "true"],
    ):
        find(work, *line)
        assert subprocess.run(line, cwd=work, stdout=subprocess.DEVNULL).returncode == 0, line


def test_a_shell_finds_its_script_on_path_too(work: Path) -> None:
    program(work / "bin" / "launch.sh")
    find(work, "bash", "launch.sh")


# --- line buffering --------------------------------------------------------------------------------------------------


def test_a_program_that_is_not_python_writes_line_by_line_and_keeps_its_argv(work: Path) -> None:
    resolved = find(work, "bash", "-c", "tr '\\0' ' ' </proc/$$/cmdline", line_buffered=True, below_shells=True)
    assert resolved.argv[1:3] == ("-oL", "-eL")
    seen = subprocess.run(resolved.argv, executable=resolved.executable, stdout=subprocess.PIPE, check=True).stdout
    assert seen.startswith(b"bash -c tr")


@pytest.mark.parametrize("command", ["python", "python3", "train"])
def test_python_is_spared(work: Path, command: str) -> None:
    program(work / "bin" / command, "#!/usr/bin/env python3\n")
    assert find(work, command, line_buffered=True).argv == (command,)


@pytest.mark.parametrize("argv", [["bash", "-c", "true"], ["sh", "code/run.sh"], ["code/tools/a"], ["code/tools/b"]])
def test_what_a_shell_starts_is_spared_unless_somebody_asks(work: Path, argv: list[str]) -> None:
    """stdbuf's preload is inherited: each stage of a pipeline would write line by line, musl's programs would fail."""
    program(work / "code/tools/a", "#!/bin/bash\n")
    program(work / "code/tools/b", "echo no interpreter is named\n")
    assert "-oL" not in find(work, *argv, line_buffered=True).argv
    assert "-oL" in find(work, *argv, line_buffered=True, below_shells=True).argv


@pytest.mark.parametrize(
    "argv",
    [
        ["env", "A=1", "bash", "-c", "true"],
        ["timeout", "--foreground", "60", "sh", "-c", "true"],
        ["nice", "-n", "5", "nohup", "code/tools/a"],
        ["env", "-u", "B", "python3", "x.py"],
    ],
)
def test_what_stands_behind_a_wrapper_is_what_counts(work: Path, argv: list[str]) -> None:
    program(work / "code/tools/a", "#!/bin/bash\n")
    program(work / "bin/python3", "#!/bin/sh\n")
    assert "-oL" not in find(work, *argv, line_buffered=True).argv
    assert "-oL" in find(work, *argv[:-3], "sed", "-n", "p", line_buffered=True).argv


@pytest.mark.parametrize("name", ["find", "script", "su", "git", "gosu", "perl", "ninja"])
def test_what_starts_others_and_what_has_buffers_of_its_own_is_spared(work: Path, name: str) -> None:
    shutil.copy("/bin/true", work / "bin" / name)
    assert find(work, name, "-x", line_buffered=True).argv == (name, "-x")


HELLO = '#include <stdio.h>\nint main(void) { puts("hello"); return 3; }\n'


@pytest.mark.parametrize(
    "compiler, ends",
    [
        (["musl-gcc"], "symbol not found"),
        (["gcc", "-fsanitize=address"], "ASan runtime does not come first"),
        (["gcc", "-static"], ""),
    ],
)
def test_a_program_that_nothing_can_be_preloaded_into_has_nothing_preloaded(
    work: Path, compiler: list[str], ends: str
) -> None:
    if shutil.which(compiler[0]) is None:
        pytest.skip(f"lab: there is no {compiler[0]}")
    (work / "hello.c").write_text(HELLO)
    subprocess.run([*compiler, "-o", work / "code/hello", work / "hello.c"], check=True)
    told = subprocess.run(["stdbuf", "-oL", work / "code/hello"], text=True, capture_output=True)
    assert ends in told.stderr, "what stdbuf does to it"
    for argv in (["code/hello"], ["env", "A=1", "code/hello"], ["timeout", "9", "code/hello"]):
        resolved = find(work, *argv, line_buffered=True)
        assert "-oL" not in resolved.argv
        run = subprocess.run(resolved.argv, executable=resolved.executable, cwd=work, text=True, capture_output=True)
        assert (run.returncode, run.stdout, run.stderr) == (3, "hello\n", "")


@pytest.mark.parametrize("damage", [b"", bytes(60), b"\xff" * 60, b"\x40" + bytes(23) + b"\xff" * 36])
def test_a_damaged_program_is_the_kernels_affair(work: Path, damage: bytes) -> None:
    file = work / "code/damaged"
    file.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(11) + b"\x3e\0" + damage)
    file.chmod(0o755)
    assert find(work, "code/damaged", line_buffered=True).argv[-1] == "code/damaged"


def test_a_program_whose_table_of_names_is_cut_is_damaged(work: Path) -> None:
    found = bytearray(Path(shutil.which("sed") or "").read_bytes())
    table, count = struct.unpack_from("<Q", found, 32)[0], struct.unpack_from("<H", found, 56)[0]
    headers = [struct.unpack_from("<IIQQQQQQ", found, table + 56 * number) for number in range(count)]
    (dynamic,) = (offset for kind, _, offset, *_ in headers if kind == 2)
    entry = next(at for at in range(dynamic, len(found), 16) if struct.unpack_from("<Q", found, at)[0] == 10)
    struct.pack_into("<Q", found, entry + 8, 1)  # DT_STRSZ: one byte is left
    (work / "code/sed").write_bytes(found)
    assert elf.read(str(work / "code/sed")) is None
    assert elf.read(shutil.which("sed") or "") is not None


def test_an_image_without_stdbuf_does_without(work: Path) -> None:
    program(work / "bin" / "train")
    assert find(work, "train", path=f"{work}/bin", line_buffered=True).argv == ("train",)


def test_output_of_a_c_program_comes_line_by_line(work: Path) -> None:
    resolved = find(work, "sed", "-n", "p", line_buffered=True)
    with subprocess.Popen(resolved.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"one\n")
        process.stdin.flush()
        assert os.read(process.stdout.fileno(), 100) == b"one\n"  # a full buffer would wait for 4096 bytes


# --- words that only a shell would read ------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["|", "||", "&&", ";", ">", ">>", "<", "&", "2>err.txt", ">log", "2>&1", "|&"])
def test_a_word_of_the_shells_is_an_argument_and_said_to_be_one(work: Path, word: str) -> None:
    program(work / "bin" / "train")
    resolved = find(work, "train", "--lr", "0.1", word, "tee", "log.txt")
    assert resolved.argv == ("train", "--lr", "0.1", word, "tee", "log.txt"), "and reaches the program unchanged"
    (warning,) = resolved.warnings
    assert f"{word!r} is an argument of train" in warning and "bash -c 'train --lr 0.1" in warning


@pytest.mark.parametrize(
    "word", ["$(LR)", "--lr=${LR}", "$MASTER_ADDR:$MASTER_PORT", "$HOME/data", "`date`", "x-$(date).log"]
)
def test_a_variable_that_nobody_has_replaced_is_an_argument_and_said_to_be_one(work: Path, word: str) -> None:
    """Kubernetes leaves ``$(X)`` as it is where there is no such variable."""
    program(work / "bin" / "train")
    resolved = find(work, "train", word)
    assert resolved.argv == ("train", word), "and reaches the program unchanged"
    (warning,) = resolved.warnings
    assert f"{word!r} is an argument of train" in warning


@pytest.mark.parametrize(
    "argv",
    [
        ("bash", "-c", "$RUN"),
        ("awk", "{print $NF}", "x"),
        ("grep", "-c", "^$HOME", "x"),
        ("echo", "a$", "$1", "US$", "print $x", "$(a b)", "'$HOME'"),
        ("bash", "-c", "a | b && c > d; e"),
        ("find", ".", "-name", "x", "-exec", "rm", "{}", ";"),
        ("expr", "1", "<", "2"),
        ("echo", "a|b", "->", "=>", "<pad>", "--x=>y", "a;b", ">=1.0"),
    ],
)
def test_what_merely_looks_like_it_is_nobodys_business(work: Path, argv: tuple[str, ...]) -> None:
    assert find(work, *argv, path="/usr/bin:/bin").warnings == ()


def test_a_command_is_shown_as_a_shell_would_need_it_with_secrets_masked_before_they_are_quoted() -> None:
    def mask(word: str) -> str:
        return word.replace("it's secret", "***")

    argv = ["python", "a b.py", "--note=$HOME", "--key", "it's secret", "2>&1"]
    assert shown(argv, mask) == "python 'a b.py' '--note=$HOME' --key '***'"
