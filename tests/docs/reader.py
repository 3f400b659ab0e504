"""Somebody who reads the documentation at a machine of their own, and types what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.lab.sharing import ROOT
from tests.lab.stores import Bucket


class Reader:
    """Where somebody reads: an empty directory, `bootstrap` installed; nothing else of this machine's home or temporary
    directory, which are the reader's own (a mount namespace), but for a reader with an engine, whose storage is there.
    """

    def __init__(self, place: Path, bucket: Bucket | None, *, apart: bool = True) -> None:
        self.place, self.apart = place, apart
        self._bucket = bucket
        self.environ = {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": "/home/work" if apart else str(place / "home"),
            **(bucket.store.env() if bucket else {}),
        }
        self.stdin = ""
        for name in ("here", "tmp", "home", "programs"):
            (place / name).mkdir()
        self.here = place / "here"

    @property
    def bucket(self) -> Bucket:
        assert self._bucket is not None
        return self._bucket

    def run(self, block: str, before: str = "", behind: str = "", timeout: float = 280) -> str:
        """What a block prints, standing between other lines; it has to succeed."""
        mounts = ""
        words = ["bash", "-euo", "pipefail", "-c"]
        if self.apart:
            words = ["unshare", "--mount", *words]
            mounts = f"mount --bind {self.place}/tmp /tmp; mount --bind {self.place}/home /home; mkdir -p /home/work"
        script = f"{mounts}\n{before}\n{block}\n{behind}"
        ran = subprocess.run(
            [*words, script],
            cwd=self.here,
            env=self.environ,
            input=self.stdin,
            text=True,
            capture_output=True,
            timeout=timeout,
        )
        assert ran.returncode == 0, f"{block}\n{ran.stdout}{ran.stderr}"
        return ran.stdout + ran.stderr

    def write(self, name: str, text: str) -> None:
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def program(self, name: str, script: str) -> None:
        """A program of that name, in front of all others."""
        path = self.place / "programs" / name
        path.write_text(script)
        path.chmod(0o755)
        self.come_first(str(path.parent))

    def come_first(self, directory: str) -> None:
        """On PATH."""
        if directory not in self.environ["PATH"].split(":"):
            self.environ["PATH"] = f"{directory}:{self.environ['PATH']}"

    def clone(self) -> None:
        """Has just cloned what is committed, and what is about to be; on a machine with a Python and no more."""
        names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                (self.here / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.here / name)
        ours = str(Path(sys.executable).parent)
        self.environ["PATH"] = ":".join(place for place in os.environ["PATH"].split(":") if place != ours)
        self.environ["BOOTSTRAP_PATH_ONLY"] = "1"
