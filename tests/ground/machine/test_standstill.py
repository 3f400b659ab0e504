"""A process that was stopped knows it afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

PROGRAM = """
import sys
from bootstrap.ground.machine import standstill

standstill.LONG = 2.0
still = standstill.Standstill()
print("waits", flush=True)
sys.stdin.readline()
was_long = still.was_long()
still.begin()
print(was_long, still.was_long())
"""


def test_a_process_that_was_stopped_finds_that_a_step_took_long() -> None:
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
        assert one.stdin is not None and one.stdout is not None
        assert one.stdout.readline() == "waits\n"
        os.kill(one.pid, signal.SIGSTOP)
        one.stdin.write("\n")
        one.stdin.flush()
        time.sleep(2.2)
        os.kill(one.pid, signal.SIGCONT)
        assert one.stdout.read() == "True False\n"
