"""Causes provoked for real: each is a command that fails in its own way on any Linux machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bootstrap.diagnosis import Facts, Machine, Verdict, explain, read_end
from bootstrap.job import Ending

from .case import Case, Score, score

SH = "/bin/sh"
BASH = "bash"


@dataclass(frozen=True)
class Provoked:
    """``files`` are written into the directory first, in bytes where their line ends matter. ``mount`` is a tmpfs, with
    its options, at the directory ``disk`` of the command's own mount namespace (or where it says). ``uid`` is who runs it.
    """

    name: str
    id: str
    argv: Sequence[str]
    seen: str = ""
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    mount: str = ""
    at: str = "disk"
    uid: int = 0
    needs: str = ""
    compile: Sequence[Sequence[str]] = ()
    hint: str = ""


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def script(text: str) -> dict[str, str | bytes]:
    return {"train.py": text}


RUN = (sys.executable, "train.py")
LIMIT = "import resource as r; r.setrlimit(r.RLIMIT_{0}, ({1}, {1}))\n"
SPAWN = "import multiprocessing as m\n"

PROVOKED = [
    # --- packages and programs
    Provoked("a module", "module-missing", RUN, "No module named 'apex_not_here'", script("import apex_not_here\n")),
    Provoked(
        "python -m", "module-missing", (sys.executable, "-m", "not_here_at_all"), "No module named not_here_at_all"
    ),
    Provoked(
        "a name of a module", "import-failed", RUN, "cannot import name 'no_such'", script("from json import no_such\n")
    ),
    Provoked(
        "a file that shadows a package",
        "import-failed",
        RUN,
        "partially initialized module",
        {
            "train.py": "import statistics\nstatistics.mean([1])\n",
            "statistics.py": "import train\nimport statistics\nprint(statistics.mean)\n",
        },
        hint="statistics.py",
    ),
    Provoked(
        "a library", "library-missing", python("import ctypes; ctypes.CDLL('libnot_here.so.3')"), "libnot_here.so.3"
    ),
    Provoked(
        "a program's library",
        "library-missing",
        ("./main",),
        "libfoo.so: cannot open shared object file",
        {"foo.c": "int foo(void) { return 1; }\n", "main.c": "int foo(void); int main(void) { return foo(); }\n"},
        needs="gcc",
        compile=[
            ("gcc", "-shared", "-o", "libfoo.so", "foo.c"),
            ("gcc", "-o", "main", "main.c", "-L.", "-lfoo"),
            ("rm", "libfoo.so"),
        ],
    ),
    Provoked(
        "an undefined symbol",
        "packages-mismatch",
        python("import ctypes; ctypes.CDLL('./libfoo.so', mode=2)"),
        "undefined symbol: not_there",
        {"foo.c": "int not_there(void); int foo(void) { return not_there(); }\n"},
        needs="gcc",
        compile=[("gcc", "-shared", "-fPIC", "-o", "libfoo.so", "foo.c")],
    ),
    Provoked(
        "a program of a shell",
        "program-missing",
        (BASH, "-c", "nvcc_not_here --version"),
        "nvcc_not_here: command not found",
    ),
    Provoked(
        "a program of sh",
        "program-missing",
        (SH, "run.sh"),
        "deepspeed_not_here",
        {"run.sh": "deepspeed_not_here train.py\n"},
    ),
    Provoked(
        "a program of Python",
        "program-missing",
        RUN,
        "ffmpeg_not_here",
        script("import subprocess\nsubprocess.run(['ffmpeg_not_here', '-i'])\n"),
    ),
    Provoked(
        "a script of a shell", "program-missing", (BASH, "-c", "./run_me.sh"), "./run_me.sh: No such file or directory"
    ),
    Provoked(
        "another architecture",
        "architecture-wrong",
        (BASH, "-c", "./tool"),
        "Exec format error",
        {"tool": b"\x7fELF\x02\x01\x01" + b"\0" * 9 + b"\x02\0\xb7\0\x01\0\0\0" + b"\0" * 60},
        compile=[("chmod", "+x", "tool")],
    ),
    # --- scripts
    Provoked(
        "Python 2",
        "syntax-error",
        RUN,
        "Missing parentheses in call to 'print'",
        script('print "loss", 1\n'),
        hint="Python 2",
    ),
    Provoked("an indentation", "syntax-error", RUN, "IndentationError", script("def f():\nreturn 1\n")),
    Provoked(
        "a syntax error in a module",
        "syntax-error",
        RUN,
        "invalid syntax",
        {"train.py": "import model\n", "model.py": "x = = 1\n"},
    ),
    Provoked(
        "a shell's syntax", "syntax-error", (BASH, "run.sh"), "syntax error", {"run.sh": "if true; then\necho x\n"}
    ),
    Provoked(
        "bash's syntax in sh", "syntax-error", (SH, "run.sh"), "yntax error", {"run.sh": "a=(1 2 3)\necho ${a[1]}\n"}
    ),
    Provoked("CR LF in bash", "line-endings", (BASH, "run.sh"), "", {"run.sh": b"set -e\r\npython train.py\r\n"}),
    Provoked(
        "CR LF in bash, a command", "line-endings", (BASH, "run.sh"), "", {"run.sh": b"ls_not_here\r\n\r\nexit 3\r\n"}
    ),
    Provoked(
        "CR LF in bash, a loop",
        "line-endings",
        (BASH, "run.sh"),
        "",
        {"run.sh": b"for i in 1 2\r\ndo\r\necho $i\r\ndone\r\n"},
    ),
    Provoked(
        "CR LF in sh",
        "line-endings",
        (SH, "run.sh"),
        "",
        {"run.sh": b"set -e\r\nfor i in 1 2; do\r\necho $i\r\ndone\r\n"},
    ),
    Provoked(
        "CR LF in the first line",
        "line-endings",
        (BASH, "-c", "./run.sh"),
        "",
        {"run.sh": b"#!/bin/bash\r\necho\r\n"},
        compile=[("chmod", "+x", "run.sh")],
    ),
    Provoked(
        "CR LF behind env",
        "line-endings",
        (BASH, "-c", "./run.py"),
        "",
        {"run.py": b"#!/usr/bin/env python3\r\nprint(1)\r\n"},
        compile=[("chmod", "+x", "run.py")],
    ),
    Provoked(
        "CR LF in front of a file's name",
        "line-endings",
        (BASH, "run.sh"),
        "",
        {"run.sh": f"{sys.executable} train.py\r\n".encode(), "train.py": "print(1)"},
    ),
    Provoked(
        "an unset variable",
        "variable-missing",
        (BASH, "run.sh"),
        "MASTER_PORT_X: unbound variable",
        {"run.sh": "set -u\necho $MASTER_PORT_X\n"},
    ),
    Provoked(
        "a variable of Python",
        "variable-missing",
        RUN,
        "DATA_ROOT_X",
        script("import os\nroot = os.environ['DATA_ROOT_X']\n"),
    ),
    # --- arguments and configurations
    Provoked(
        "an unknown argument",
        "arguments-invalid",
        (*RUN, "--data_url=s3://x/", "--lr", "1"),
        "unrecognized arguments: --data_url=s3://x/",
        script("import argparse\np = argparse.ArgumentParser()\np.add_argument('--lr')\np.parse_args()\n"),
    ),
    Provoked(
        "a missing argument",
        "arguments-invalid",
        RUN,
        "the following arguments are required: --lr",
        script(
            "import argparse\np = argparse.ArgumentParser()\np.add_argument('--lr', required=True)\np.parse_args()\n"
        ),
    ),
    Provoked(
        "a wrong value",
        "arguments-invalid",
        (*RUN, "--lr", "fast"),
        "invalid float value: 'fast'",
        script("import argparse\np = argparse.ArgumentParser()\np.add_argument('--lr', type=float)\np.parse_args()\n"),
    ),
    Provoked(
        "JSON",
        "config-invalid",
        RUN,
        "JSONDecodeError",
        {**script("import json\njson.load(open('c.json'))\n"), "c.json": '{"lr": 0.1,}\n'},
    ),
    Provoked(
        "YAML",
        "config-invalid",
        RUN,
        "yaml",
        {**script("import yaml\nyaml.safe_load(open('c.yaml'))\n"), "c.yaml": "a: 1\n b: 2\n"},
    ),
    Provoked(
        "an INI file",
        "config-invalid",
        RUN,
        "MissingSectionHeaderError",
        {**script("import configparser\nconfigparser.ConfigParser().read('c.ini')\n"), "c.ini": "lr = 1\n"},
    ),
    # --- files
    Provoked(
        "a file",
        "file-missing",
        RUN,
        "trian.csv",
        {**script("open('data/trian.csv')\n"), "data/train.csv": ""},
        hint="data/train.csv",
    ),
    Provoked(
        "a file's directory",
        "file-missing",
        RUN,
        "dataset/train.csv",
        {**script("open('dataset/train.csv')\n"), "datasets/train.csv": ""},
        hint="datasets/train.csv",
    ),
    Provoked(
        "a script",
        "file-missing",
        (BASH, "-c", f"{sys.executable} trian.py"),
        "trian.py",
        script("print(1)\n"),
        hint="train.py",
    ),
    Provoked("a file of cat", "file-missing", (BASH, "-ec", "cat data/part-0001.txt; echo no"), "part-0001.txt"),
    Provoked(
        "a URL as a path",
        "url-used-as-path",
        RUN,
        "obs://bucket/data/x.csv",
        script("open('obs://bucket/data/x.csv')\n"),
    ),
    Provoked(
        "rights to execute",
        "permission-denied",
        (BASH, "-c", "./run.sh"),
        "./run.sh: Permission denied",
        {"run.sh": "#!/bin/sh\n"},
    ),
    Provoked(
        "rights to write",
        "permission-denied",
        python("open('/proc/1/root_x/y', 'w')" if os.getuid() else "open('/etc/shadow')"),
        "Permission denied",
        uid=65534,
    ),
    Provoked(
        "a disk for reading only",
        "read-only",
        python("open('disk/model.pt', 'w')"),
        "Read-only file system",
        mount="ro",
    ),
    # --- disks and limits
    Provoked(
        "a full disk",
        "disk-full",
        python("f = open('disk/model.pt', 'wb', 0)\nfor _ in range(99): f.write(b'x' * 10000)"),
        "No space left on device",
        mount="size=64k",
    ),
    Provoked(
        "a full disk of cp",
        "disk-full",
        (BASH, "-ec", "cp /bin/bash disk/"),
        "No space left on device",
        mount="size=64k",
    ),
    Provoked(
        "a full disk of a shell",
        "disk-full",
        (BASH, "-ec", "head -c 200000 /dev/zero > disk/a || printf '%20000s' x > disk/b"),
        "No space left on device",
        mount="size=64k",
    ),
    Provoked(
        "no inodes",
        "inodes-used-up",
        python("import os\nfor n in range(9): open(os.path.abspath(f'disk/{n}'), 'w')"),
        "No space left on device",
        mount="size=1m,nr_inodes=4",
    ),
    Provoked(
        "full shared memory",
        "bus-error",
        python(
            "from multiprocessing.shared_memory import SharedMemory as S\ns = S(create=True, size=1 << 20)\nfor n in range(1 << 20): s.buf[n] = 1"
        ),
        "",
        mount="size=64k",
        at="/dev/shm",
    ),
    Provoked(
        "a segment of shared memory",
        "shared-memory-full",
        python(
            "import os\nfd = os.open('/dev/shm/torch_1', os.O_CREAT | os.O_RDWR)\ntry: os.posix_fallocate(fd, 0, 1 << 20)\nexcept OSError as e: raise OSError(e.errno, e.strerror, '/dev/shm/torch_1')"
        ),
        "/dev/shm/torch_1",
        mount="size=64k",
        at="/dev/shm",
    ),
    Provoked(
        "open files",
        "open-files-used-up",
        python(LIMIT.format("NOFILE", 16) + "kept = [open('/dev/null') for _ in range(99)]"),
        "Too many open files",
    ),
    Provoked(
        "threads",
        "processes-used-up",
        python(
            LIMIT.format("NPROC", 1) + "import threading\nfor _ in range(99): threading.Thread(target=print).start()"
        ),
        "can't start new thread",
        uid=65534,
    ),
    Provoked("processes", "processes-used-up", (BASH, "-c", "ulimit -u 1; ls / | cat; exit 1"), "fork", uid=65534),
    Provoked(
        "processes of Python",
        "processes-used-up",
        python(LIMIT.format("NPROC", 1) + "import os\nos.fork()"),
        "Resource temporarily unavailable",
        uid=65534,
    ),
    Provoked("a file's size", "file-too-large", (BASH, "-c", "ulimit -f 1; head -c 100000 /dev/zero > big"), ""),
    Provoked(
        "a file's size in Python",
        "file-too-large",
        python(
            LIMIT.format("FSIZE", 9000) + "open('big', 'wb', 0).write(b'x' * 9001); open('big', 'ab', 0).write(b'x')"
        ),
        "File too large",
    ),
    Provoked(
        "processor time",
        "cpu-time-used-up",
        python("import resource as r; r.setrlimit(r.RLIMIT_CPU, (1, 9))\nwhile True: pass"),
        "",
    ),
    # --- memory
    Provoked("memory", "memory-error", python("x = bytearray(1 << 50)"), "MemoryError"),
    Provoked(
        "memory of a mapping",
        "memory-error",
        python(LIMIT.format("AS", 1 << 28) + "import mmap\nmmap.mmap(-1, 1 << 30)"),
        "Cannot allocate memory",
    ),
    Provoked(
        "memory of C++",
        "memory-error",
        ("./main",),
        "std::bad_alloc",
        {
            "main.cc": "#include <vector>\n#include <cstdlib>\nint main(int c, char **v) { std::vector<char> x((size_t)c << 46); return x[7]; }\n"
        },
        needs="g++",
        compile=[("g++", "-o", "main", "main.cc")],
    ),
    Provoked(
        "a worker of a pool",
        "worker-killed",
        RUN,
        "process pool was terminated abruptly",
        script(
            "import os, concurrent.futures as c\nif __name__ == '__main__':\n    with c.ProcessPoolExecutor(1) as pool: pool.submit(os._exit, 9).result()\n"
        ),
    ),
    # --- ends of processes
    Provoked(
        "a fault with faulthandler",
        "segmentation-fault",
        RUN,
        "train.py:4",
        script(
            "import faulthandler, ctypes\nfaulthandler.enable()\ndef forward():\n    ctypes.string_at(1)\nforward()\n"
        ),
    ),
    Provoked("a fault", "segmentation-fault", RUN, "", script("import ctypes\nctypes.string_at(1)\n")),
    Provoked(
        "a fault behind a shell",
        "segmentation-fault",
        (BASH, "-c", f"{sys.executable} train.py; exit $?"),
        "",
        script("import ctypes\nctypes.string_at(1)\n"),
    ),
    Provoked("an abort", "aborted", python("import os; os.abort()"), ""),
    Provoked(
        "an exception of C++",
        "aborted",
        ("./main",),
        "no such operator",
        {"main.cc": '#include <stdexcept>\nint main() { throw std::runtime_error("no such operator"); }\n'},
        needs="g++",
        compile=[("g++", "-o", "main", "main.cc")],
    ),
    Provoked(
        "an assertion of C",
        "assertion",
        ("./main",),
        "Assertion `n > 3' failed",
        {"main.c": "#include <assert.h>\nint main(int n, char **v) { assert(n > 3); }\n"},
        needs="gcc",
        compile=[("gcc", "-o", "main", "main.c")],
    ),
    Provoked(
        "a heap that is broken",
        "aborted",
        ("./main",),
        "double free",
        {"main.c": "#include <stdlib.h>\nint main(void) { void *p = malloc(9999); free(p); free(p); return 0; }\n"},
        needs="gcc",
        compile=[("gcc", "-w", "-o", "main", "main.c")],
    ),
    Provoked(
        "a division in C",
        "floating-point-fault",
        ("./main",),
        "",
        {"main.c": "int main(int n, char **v) { volatile int z = 0; return n / z; }\n"},
        needs="gcc",
        compile=[("gcc", "-w", "-o", "main", "main.c")],
    ),
    Provoked("a kill", "killed-from-outside", (BASH, "-c", "kill -9 $$"), ""),
    Provoked("a kill behind a shell", "killed-from-outside", (BASH, "-c", "sleep 30 & kill -9 $!; wait $!"), ""),
    Provoked(
        "an interruption",
        "interrupted",
        python("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nimport time; time.sleep(9)"),
        "KeyboardInterrupt",
    ),
    Provoked("timeout(1)", "timed-out", ("timeout", "0.1", "sleep", "9"), ""),
    Provoked("without a word", "ended-silently", (BASH, "-c", "echo epoch 1; exit 1"), "epoch 1"),
    Provoked(
        "a word",
        "command-failed",
        (BASH, "-c", "echo epoch 1; echo 'error: the data set is empty' >&2; exit 1"),
        "the data set is empty",
    ),
    # --- Python
    Provoked(
        "a key", "python-exception", RUN, "KeyError: 'labels'", script("def main():\n    return {}['labels']\nmain()\n")
    ),
    Provoked(
        "a key, of a wrapper",
        "python-exception",
        (*python("import subprocess, sys; subprocess.run([sys.executable, 'train.py'], check=True)"),),
        "KeyError: 'labels' (",
        script("{}['labels']\n"),
    ),
    Provoked(
        "a type",
        "python-exception",
        RUN,
        "TypeError: forward() got an unexpected",
        script("def forward(x): ...\nforward(mask=1)\n"),
    ),
    Provoked(
        "an encoding",
        "python-exception",
        RUN,
        "UnicodeDecodeError",
        {**script("open('x', encoding='ascii').read()\n"), "x": "数据"},
    ),
    Provoked("an assertion", "assertion", RUN, "AssertionError: batch 3", script("assert 3 > 4, 'batch 3'\n")),
    Provoked("a recursion", "stack-overflow", RUN, "maximum recursion depth", script("def f(): return f()\nf()\n")),
    Provoked(
        "a lambda for a worker",
        "not-picklable",
        RUN,
        "ickle",
        script(SPAWN + "if __name__ == '__main__':\n    m.get_context('spawn').Process(target=lambda: 1).start()\n"),
    ),
    Provoked(
        "a lock for a pool",
        "not-picklable",
        RUN,
        "pickle '_thread.lock'",
        script(
            "import threading, concurrent.futures as c\nif __name__ == '__main__':\n    c.ProcessPoolExecutor(1).submit(print, threading.Lock()).result()\n"
        ),
    ),
    Provoked(
        "no guard",
        "main-not-guarded",
        RUN,
        "",
        script(
            SPAWN
            + "m.set_start_method('spawn')\np = m.Process(target=print)\np.start()\np.join()\nraise SystemExit(p.exitcode)\n"
        ),
    ),
    Provoked(
        "a loss", "loss-nan", RUN, "Loss is nan", script("raise FloatingPointError('Loss is nan, stopping training')\n")
    ),
    Provoked(
        "a loss that is told",
        "loss-nan",
        RUN,
        "Loss is nan",
        script("import sys\nprint('Loss is nan, stopping training')\nsys.exit(1)\n"),
    ),
    Provoked(
        "a pickle that is cut",
        "checkpoint-corrupt",
        RUN,
        "UnpicklingError",
        {
            **script("import pickle\npickle.load(open('model.ckpt', 'rb'))\n"),
            "model.ckpt": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00]",
        },
    ),
    Provoked(
        "an archive that is cut",
        "data-corrupt",
        RUN,
        "Compressed file ended",
        {**script("import gzip\ngzip.open('d.gz').read()\n"), "d.gz": __import__("gzip").compress(b"x" * 9999)[:40]},
    ),
    Provoked(
        "another format",
        "data-corrupt",
        RUN,
        "Not a gzipped file",
        {**script("import gzip\ngzip.open('d.gz').read()\n"), "d.gz": b"<html>"},
    ),
    Provoked(
        "caught, then a key",
        "python-exception",
        RUN,
        "KeyError: 'x'",
        script("try: bytearray(1 << 50)\nexcept MemoryError:\n    {}['x']\n"),
    ),
    Provoked(
        "printed, then a key",
        "python-exception",
        RUN,
        "KeyError: 'x'",
        script(
            "import traceback\ntry: bytearray(1 << 50)\nexcept MemoryError: traceback.print_exc()\nprint('again, with less')\n{}['x']\n"
        ),
    ),
    Provoked(
        "a cause",
        "file-missing",
        RUN,
        "vocab.txt",
        script("try: open('vocab.txt')\nexcept OSError as error: raise RuntimeError('no tokenizer') from error\n"),
    ),
    Provoked(
        "logged, then exit",
        "file-missing",
        RUN,
        "vocab.txt",
        script(
            "import logging, sys\ntry: open('vocab.txt')\nexcept OSError: logging.exception('training failed'); sys.exit(1)\n"
        ),
    ),
    Provoked(
        "a bar in front",
        "python-exception",
        RUN,
        "ValueError: no",
        script(
            "import sys\nfor n in range(9): sys.stderr.write(f'\\r{n}%|###   | {n}/9 [00:00<00:01, 3.3it/s]')\nraise ValueError('no')\n"
        ),
    ),
    # --- the network
    Provoked(
        "a port",
        "address-in-use",
        RUN,
        "Address already in use",
        script("import socket\na = socket.create_server(('127.0.0.1', 0))\nsocket.create_server(a.getsockname())\n"),
    ),
    Provoked(
        "a name",
        "name-unresolved",
        python("import socket; socket.create_connection(('nowhere.invalid', 80))"),
        "gaierror",
    ),
    Provoked(
        "nobody listens",
        "network-unreachable",
        python("import socket; socket.create_connection(('127.0.0.1', 1))"),
        "Connection refused",
    ),
    Provoked(
        "a proxy",
        "proxy-failed",
        python("import requests; requests.get('https://example.invalid/')"),
        "ProxyError",
        environ={"https_proxy": "http://127.0.0.1:1"},
        needs="requests",
    ),
]


def run(case: Provoked, directory: Path) -> tuple[Score, Verdict]:
    """Provoke it, and diagnose what it left."""
    for name, content in case.files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for argv in case.compile:
        subprocess.run(argv, cwd=directory, check=True, capture_output=True)
    (directory / "disk").mkdir()
    argv = list(case.argv)
    if case.uid and os.getuid() == 0:
        directory.chmod(0o777)
        argv = ["setpriv", f"--reuid={case.uid}", "--clear-groups", *argv]
    log = directory / "log.txt"
    environ = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        **case.environ,
    }
    if case.mount:  # the machine is looked at while the disk is there, as in a container
        return _in_namespace(case, argv, directory, environ)
    with log.open("wb") as out:
        done = subprocess.run(argv, cwd=directory, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    found = explain(Facts(_ending(done.returncode), read_end(str(log)), Machine(str(directory), str(directory))))
    return _scored(case, found), found


def _in_namespace(
    case: Provoked, argv: list[str], directory: Path, environ: Mapping[str, str]
) -> tuple[Score, Verdict]:
    """The command and the diagnosis inside one mount namespace of their own."""
    import pickle

    code = "import os, pickle, subprocess, sys\nfrom bootstrap.diagnosis import Facts, Machine, explain, read_end\nfrom tests.diagnosis.provoked import _ending\nargv, directory, out = sys.argv[2:], sys.argv[1], sys.argv[1] + '/log.txt'\nwith open(out, 'wb') as log: done = subprocess.run(argv, cwd=directory, stdin=0, stdout=log, stderr=log)\nfound = explain(Facts(_ending(done.returncode), read_end(out), Machine(directory, directory)))\nsys.stdout.buffer.write(pickle.dumps(found))\n"
    place = case.at if case.at.startswith("/") else str(directory / case.at)
    mount = f'mount -t tmpfs -o {case.mount} tmpfs "{place}" && exec "$@"'
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [
            "unshare",
            *([] if os.getuid() == 0 else ["-r"]),
            "-m",
            "sh",
            "-c",
            mount,
            "sh",
            sys.executable,
            "-c",
            code,
            str(directory),
            *argv,
        ],
        cwd=root,
        env=environ,
        capture_output=True,
    )
    if done.returncode:
        raise AssertionError(done.stderr.decode())
    found: Verdict = pickle.loads(done.stdout)
    return _scored(case, found), found


def _ending(code: int) -> Ending:
    return Ending(code) if code >= 0 else Ending(None, -code)


def _scored(case: Provoked, found: Verdict) -> Score:
    made = score(Case(case.name, case.id, "", case.seen), found)
    if made is Score.RIGHT and case.hint and case.hint not in found.remedy.en:
        return Score.USELESS
    return made


def is_there(need: str) -> bool:
    """Whether what a case needs beyond Python is on this machine: a program, or a package."""
    if not need:
        return True
    from importlib.util import find_spec

    return shutil.which(need) is not None or find_spec(need) is not None
