"""A real process around ``supervise``: ``python -m tests.process.driver JSON``. The tests start, signal and kill it.

It says what it did in the JSON file ``report``: its own pid, and in the end the ending, or the error.
"""

from __future__ import annotations

import ctypes  # imported late by the supervisor, when this process may not be allowed to read it any more
import json
import os
import resource
import signal
import sys
import time
from typing import Any

from bootstrap.errors import BootstrapError
from bootstrap.process.stop.plan import StopPlan
from bootstrap.process.stop.signals import Signals
from bootstrap.process.supervise.launch import Launch
from bootstrap.process.supervise.restarts import supervise_with_restarts


class Quiet:
    def debug(self, event: str, **facts: object) -> None: ...
    def info(self, event: str, **facts: object) -> None: ...
    def warning(self, event: str, **facts: object) -> None: ...
    def error(self, event: str, **facts: object) -> None: ...


class Secrets:
    def __init__(self, *values: str) -> None:
        self._values = values
        self.version = 1

    def values(self) -> tuple[str, ...]:
        return self._values


def main(options: dict[str, Any]) -> int:
    report = options.pop("report")
    uid = options.pop("uid", None)
    if uid is not None:  # after the imports: this user may not be allowed to read them
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # dumpable, as a process is that was started by this user
    plan = StopPlan(options.pop("grace", 20.0))
    secrets = Secrets(*options.pop("secrets")) if "secrets" in options else None
    dawdle = options.pop("dawdle", 0.0)
    processes = options.pop("nproc", None)
    if processes is not None:
        resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
    max_restarts = options.pop("max_restarts", 0)
    environ = {**os.environ, **options.pop("environ", {})}
    with Signals() as signals:
        if dawdle:  # a fetch that looks for a request to stop
            print("fetching", flush=True)
            signals.stop.wait(dawdle)
        try:
            launch = Launch(environ=environ, cwd=os.getcwd(), plan=plan, secrets=secrets, **options)
            ending = supervise_with_restarts(launch, signals, Quiet(), max_restarts=max_restarts)
        except BootstrapError as error:
            said: dict[str, object] = {"error": error.id, "text": str(error)}
            code = error.code
        else:
            code = ending.exit_code
            said = {
                "status": ending.status,
                "signal": ending.signal,
                "asked_by": ending.asked_by.value,
                "notes": ending.notes,
                "signalled": [[one.name, one.signal, one.why, one.pid] for one in ending.signalled],
                "cut_short": ending.cut_short,
                "attempts": ending.attempts,
                "seconds": ending.ended - ending.started,
                "latency": time.time() - ending.ended,
                "kills": ending.out_of_memory.kills if ending.out_of_memory else 0,
                "limit": ending.out_of_memory.limit if ending.out_of_memory else None,
                "peak": ending.out_of_memory.peak if ending.out_of_memory else None,
                "stopped_by": signals.asked_by.value,
            }
    with open(report, "w") as file:
        json.dump(said, file)
    return code


if __name__ == "__main__":
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # not KeyboardInterrupt until Signals is entered
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main(json.loads(sys.argv[1])))
