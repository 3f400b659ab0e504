"""Programs of aarch64 machines, run for real: Debian's packages for them, under qemu.

The kernel gives a foreign program to qemu when binfmt_misc says so. That is a setting of the whole machine; but since
Linux 6.7 a user namespace has its own, so nobody else sees what is registered here.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.lab.stores import LabUnavailable

QEMU = "qemu-aarch64-static"
SUITE = "trixie"  # whose Python is the one that Dockerfile.base compiles
PACKAGES = ("base-files", "coreutils", "dash", "gcc", "libc6-dev", "python3.13")
# An ELF file, 64 bits, little endian, EM_AARCH64, executable or shared; F: qemu is opened now, it is not in the root.
HEADER = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
ENTER = """
set -e
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
printf %s "$1" >/proc/sys/fs/binfmt_misc/register
root=$2
shift 2
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do
    mount --bind "$1" "$root$2"
    shift 2
done
shift
exec chroot "$root" "$@"
"""


@dataclass(frozen=True)
class Machine:
    """Debian's files for aarch64; ``/opt/bootstrap`` and ``/mnt`` are there to mount upon."""

    root: Path

    def run(
        self, *argv: str, env: Mapping[str, str] | None = None, mounts: Mapping[Path, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs to the end, as root of a user namespace, in this machine's network."""
        binds = [word for source, target in (mounts or {}).items() for word in (str(source), target)]
        return subprocess.run(
            [*_unshared(), "sh", "-c", ENTER, "sh", _handler(), str(self.root), *binds, "--", *argv],
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **(env or {})},
            text=True,
            capture_output=True,
            timeout=300,
        )


def machine(directory: Path) -> Machine:
    """The files are kept in ``directory`` from run to run. Raises LabUnavailable."""
    if platform.machine() == "aarch64":
        raise LabUnavailable("this machine is an aarch64 one itself")
    if not shutil.which(QEMU):
        raise LabUnavailable(f"lab: {QEMU} is missing: apt-get install qemu-user-static")
    mount = [*_unshared(), "mount", "-t", "binfmt_misc", "none", "/proc/sys/fs/binfmt_misc"]
    tried = subprocess.run(mount, text=True, capture_output=True)
    if tried.returncode:
        raise LabUnavailable(f"no binfmt_misc of one's own here, as Linux has it since 6.7: {tried.stderr.strip()}")
    key = hashlib.sha256(" ".join([SUITE, *PACKAGES]).encode()).hexdigest()[:12]
    root = directory / f"aarch64-{key}"
    with (directory / "aarch64.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            fresh = root.with_suffix(".part")
            shutil.rmtree(fresh, ignore_errors=True)
            words = ["--quiet", "--architectures=arm64", "--variant=extract", f"--include={','.join(PACKAGES)}"]
            made = subprocess.run(["mmdebstrap", *words, SUITE, str(fresh)], text=True, capture_output=True)
            if made.returncode:
                raise LabUnavailable(f"lab: no packages for aarch64: {' '.join(made.stderr.split()[-40:])}")
            for place in ("opt/bootstrap", "mnt"):
                (fresh / place).mkdir(parents=True, exist_ok=True)
            fresh.rename(root)
        os.utime(root)  # for housekeeping
    return Machine(root)


def _unshared() -> list[str]:
    return ["unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"]


def _handler() -> str:
    return f":aarch64:M::{HEADER}:{MASK}:{shutil.which(QEMU)}:F"
