"""A machine with cgroup v2 as production has it, wherever the tests run: user-mode Linux, a kernel that is a process.

Its root is this machine's own file system, read-only, so that no image has to be made: it is up in about a second.
One processor, and slow system calls.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

from tests.lab.stores import LabUnavailable

PROGRAM = "linux.uml"
MEMORY = "384M"

INIT = """#!/bin/sh
mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t tmpfs tmpfs /run && mkdir /run/lab &&
mount -t hostfs -o {directory} none /run/lab && mount -t cgroup2 none /sys/fs/cgroup &&
echo '+memory +pids' >/sys/fs/cgroup/cgroup.subtree_control && cd /run/lab && {{
    env - PATH={path} HOME=/run TMPDIR=/run sh ./script >output 2>&1
    echo $? >status
}}
echo o >/proc/sysrq-trigger
sleep 60
"""


def boot(directory: Path, script: str, timeout: float = 120) -> str:
    """Run a shell script as root on that machine; what it wrote. Its working directory is ``directory``, writable, at
    another path; everything else is as here and read-only, but for /run. Fails with the output if the script fails.

    Raises LabUnavailable where there is no such kernel.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise LabUnavailable(f"lab: {PROGRAM} is missing: apt-get install user-mode-linux")
    if os.geteuid() != 0:
        raise LabUnavailable("lab: a machine whose root is ours needs root")
    (directory / "script").write_text(script)
    init = directory / "init"
    init.write_text(INIT.format(directory=shlex.quote(str(directory)), path=shlex.quote(os.environ["PATH"])))
    init.chmod(0o755)
    words = [f"mem={MEMORY}", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}", f"uml_dir={directory}/"]
    console = ["con=null", "ssl=null", "con0=null,fd:1"]
    with subprocess.Popen(
        [program, *words, *console],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "TMPDIR": "/dev/shm"},  # its memory is a file, which must be mappable as a program
        start_new_session=True,  # it is several processes
    ) as kernel:
        try:
            said, _ = kernel.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as late:
            so_far = (late.output or b"").decode(errors="replace") + _text(directory / "output")
            raise AssertionError(f"the machine did not end within {timeout:.0f} s; it said:\n{so_far}") from late
        finally:
            if kernel.poll() is None:
                os.killpg(kernel.pid, signal.SIGKILL)
    if (
        b"ptrace set fp regs failed" in said
    ):  # a processor with AMX has more registers than Linux 6.1's UML has room for
        raise LabUnavailable("user-mode Linux of this Debian cannot run on this processor: its registers are too many")
    if not (directory / "status").exists():
        raise AssertionError(f"the machine did not get as far as the script:\n{said.decode(errors='replace')}")
    output = _text(directory / "output")
    status = int((directory / "status").read_text())
    assert status == 0, f"status {status}:\n{output}"
    return output


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
