"""One training job from boot to exit, on this machine, against a real object store.

A bucket holds a small program that learns something real; an environment like ModelArts' old one names the bucket;
``bootstrap run`` does the rest. Started by ``scripts/demo``; with ``--keep`` the files stay for you to look at.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.lab.stores import Bucket, Store, running_seaweedfs

HERE = Path(__file__).resolve().parent
COMMAND = ("python3", "code/train.py")
EXPLANATION = """\
  In seven steps: identify, unlock, connect, fetch, launch, deliver, conclude. Lines that begin with a time are the
  bootstrap's, on stderr; all others are the program's own, byte for byte, as they come.
"""


def heading(text: str) -> None:
    bold, off = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else ("", "")
    print(f"\n{bold}{text}{off}", flush=True)


def fill(bucket: Bucket) -> None:
    for source in sorted((HERE / "code").glob("*.py")):
        bucket.put(f"project/code/{source.name}", source.read_bytes())
        print(f"  {bucket.url(f'project/code/{source.name}')}")


def environment(store: Store, bucket: Bucket, home: Path) -> dict[str, str]:
    """What a container of ModelArts' old version finds when it boots, with nothing of this terminal's in it."""
    python = os.path.dirname(os.path.realpath(sys.executable))
    return {
        "HOME": str(home),
        "PATH": f"{python}:{os.defpath}",
        "DLS_APP_URL": bucket.url("project/code/"),
        "DLS_TRAIN_URL": bucket.url("project/output/"),
        "DLS_UPLOAD_LOG_OBS_DIR": bucket.url("project/log/"),
        "DLS_JOB_ID": "demo",
        "DLS_DLKS_JOB_ID": "demo",
        "DLS_USE_DOWNLOADER": "true",
        "DLS_USE_UPLOADER": "true",
        "DLS_TASK_INDEX": "0",
        "DLS_TASK_NUMBER": "1",
        "BOOTSTRAP_LOG_FILE": str(home / "dls-task-0.log"),
        **store.env(),
    }


def train(environ: dict[str, str]) -> int:
    """``bootstrap run`` as a container's entry point would start it; what is typed here (Ctrl-C) reaches it too."""
    argv = [str(Path(sys.executable).parent / "bootstrap"), "run", "--", *COMMAND]
    return subprocess.run(argv, env=environ, cwd=environ["HOME"]).returncode


def show_results(bucket: Bucket, home: Path) -> None:
    heading("What the bucket holds now")
    answer = bucket.client.list_objects_v2(Bucket=bucket.name)
    for item in answer["Contents"]:
        print(f"  {item['Size']:>9,} bytes  {bucket.url(item['Key'])}")
    logs = [key for key in bucket.list("project/log/") if key.endswith(".log")]
    for key in logs:
        same = bucket.get(key) == (home / "dls-task-0.log").read_bytes()
        print(f"\n  The delivered log is {'the same, byte for byte, as' if same else 'NOT the same as'} the local one.")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--keep", action="store_true", help="leave the files behind and say where they are")
    keep = parser.parse_args().keep
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that what follows is cleaned up
    directory = Path(tempfile.mkdtemp(prefix="bootstrap-demo-"))
    started = time.monotonic()
    try:
        heading("A real object store: SeaweedFS, out of a Python wheel")
        with running_seaweedfs(directory / "store") as store:
            print(f"  listens at {store.endpoint} after {time.monotonic() - started:.1f} s")
            heading("A bucket with a small training program")
            bucket = store.make_bucket("demo")
            fill(bucket)

            heading("The environment of a container, as ModelArts (old version) sets it")
            home = directory / "home"
            home.mkdir()
            environ = environment(store, bucket, home)
            for name, value in environ.items():
                print(f"  {name}={'*' * 8 if 'SECRET' in name else value}")

            heading(f"$ bootstrap run -- {' '.join(COMMAND)}")
            print(EXPLANATION, flush=True)
            status = train(environ)
            print(f"\n  exit code {status}")
            show_results(bucket, home)
            if keep:
                for key, content in bucket.tree().items():
                    path = directory / "bucket" / key
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
    finally:
        if keep:
            heading("Kept for you")
            print(f"  {directory}/home    job directory, log, run record\n  {directory}/bucket  what was in the bucket")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    heading(
        f"Done in {time.monotonic() - started:.0f} s" + ("" if keep else "; nothing is left behind (--keep keeps it)")
    )
    return status


if __name__ == "__main__":
    sys.exit(main())
