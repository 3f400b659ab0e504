"""Programs that save when they are asked to stop, as files in a directory, and the ways people start them."""

from __future__ import annotations

import sys
from pathlib import Path

# A training that looks at a flag between its batches, with two workers that know nothing of signals. It raises when
# one of them has died, as PyTorch's DataLoader does, and writes down how often it was asked.
TRAIN = """
import os, signal, subprocess, sys, time
asked = []
{listen}
workers = [subprocess.Popen(["sleep", "600"]) for _ in range(2)]
print("ready", flush=True)
while not asked:
    {batch}
end = time.monotonic() + {saving}
while time.monotonic() < end:
    time.sleep(0.02)
    dead = [worker.pid for worker in workers if worker.poll() is not None]
    if dead:
        raise RuntimeError("DataLoader worker (pid %d) is killed by signal" % dead[0])
with open("saved" + os.environ.get("LOCAL_RANK", ""), "w") as file:
    file.write(str(len(asked)))
print("saved", flush=True)
for worker in workers:
    worker.kill()
    worker.wait()
"""
HANDLER = "signal.signal(signal.SIGTERM, lambda *_: asked.append(1))"
BLOCK = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])"
SIGNALFD = """
import ctypes, select, struct
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
fd = ctypes.CDLL(None).signalfd(-1, struct.pack("Q", 1 << 14) + bytes(120), 0)
"""

# What tini does: every signal is waited for, and passed on to the one child.
INIT = """
import os, signal, subprocess, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGCHLD])
child = subprocess.Popen(sys.argv[1:], preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, []))
while child.poll() is None:
    number = signal.sigwait([signal.SIGTERM, signal.SIGCHLD])
    if number == signal.SIGTERM:
        child.send_signal(number)
sys.exit(child.returncode)
"""

# What `conda run` does: a script in a file, run by a Python that waits for it.
CONDA = "import subprocess, sys; sys.exit(subprocess.call(['bash', 'run.sh']))"

# What torchrun does with TERM: it passes it to the whole group of each rank, and fails.
LAUNCHER = """
import os, signal, subprocess, sys, time
def stop(number, frame):
    for rank in ranks:
        os.killpg(rank.pid, signal.SIGTERM)
    sys.exit(1)
signal.signal(signal.SIGTERM, stop)
ranks = [
    subprocess.Popen(sys.argv[1:], env={**os.environ, "LOCAL_RANK": str(n)}, start_new_session=True) for n in range(2)
]
print("up", flush=True)
sys.exit(max(rank.wait() for rank in ranks))
"""


def write(directory: Path, **files: str) -> None:
    """``train``, ``waits``, ``signalfd``, ``init``, ``conda`` and ``launcher`` as ``.py``; ``files`` as ``.sh``."""
    python = {
        "train": TRAIN.format(listen=HANDLER, batch="time.sleep(0.02)", saving=0.5),
        "waits": TRAIN.format(listen=BLOCK, batch="asked.append(signal.sigwait([signal.SIGTERM]))", saving=0.5),
        "signalfd": TRAIN.format(listen=SIGNALFD, batch="os.read(fd, 128); asked.append(1)", saving=0.5),
        "slow": TRAIN.format(listen=HANDLER, batch="time.sleep(0.02)", saving=1.5),
        "init": INIT,
        "conda": CONDA,
        "launcher": LAUNCHER,
    }
    for name, text in python.items():
        (directory / f"{name}.py").write_text(text)
    for name, text in files.items():
        (directory / f"{name}.sh").write_text(text.replace("PYTHON", sys.executable))
