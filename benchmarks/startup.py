"""What comes before a command's first instruction and behind its last, of one installation or of several side by side.

    python -m benchmarks.startup                              the `bootstrap` beside this Python
    python -m benchmarks.startup OLD/bin/bootstrap NEW/bin/bootstrap --rounds 25
    python -m benchmarks.startup --modules                    what is imported before the command, the dearest first

Whole processes, all contestants in turn in every round, medians. ``date`` tells when the command runs. Local code is a
directory of 20 files, which the old script copies and we copy and verify. ``from a store`` has code, log and an output
in a store (SeaweedFS) that thinks 50 ms before it answers; ``answers`` are those that the job waited for one behind
the other, before the command and behind it. The processor's seconds (``cpu``) hardly depend on what else a machine
does, those of a clock (``start``, ``end``) do: on a busy one believe the first only, and the least of several runs.
"""

from __future__ import annotations

import argparse
import compileall
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import bootstrap
from tests.lab.stores import Bucket, running_seaweedfs
from tests.lab.thinker import Thinker, one_behind_the_other

DATE = "exec date +%s%N"
RUN = "NUMBER"  # of the run, in a line: what an earlier attempt has left would have to be looked at
THINKS = 0.05  # seconds before the store begins to answer
OURS = Path(sys.executable).with_name("bootstrap")


class Took(NamedTuple):
    """Milliseconds: to the command's first instruction, from its end to ours, of the processor in all; and answers of
    a store that were waited for one behind the other, before the command and behind it.
    """

    start: float
    end: float
    cpu: float
    before: float = 0
    behind: float = 0


class Contestant(NamedTuple):
    """A shell line, in an environment; its store, if it has one."""

    line: str
    environ: Mapping[str, str] = {}
    store: Thinker | None = None


def contestants(directory: Path, programs: list[Path], thinker: Thinker, bucket: Bucket) -> dict[str, Contestant]:
    """By name: the command alone, below the old script, and below each of the programs."""
    code = directory / "code"
    for number in range(20):
        path = code / f"package{number % 4}" / f"module{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"print({number})\n" * 300)
    bucket.put("code/train.py", "print(1)\n")
    environ = {**bucket.store.env(), "S3_ENDPOINT": f"http://127.0.0.1:{thinker.port}"}
    old = directory / "run_train.sh"
    old.write_text(
        f"""cd {directory}; mkdir -p job; cp -r code job/; export PYTHONUNBUFFERED=1
        mkdir -p logs; touch logs/old; tail -F logs/old 2>/dev/null & tail=$!
        stdbuf -oL -eL "$@" 2>&1 | cat >>logs/old; status=${{PIPESTATUS[0]}}; cat logs/old; kill $tail; exit $status
        """
    )
    found = {"bare": Contestant(DATE), "run_train.sh-like, local code": Contestant(f"bash {old} date +%s%N")}
    places = ["--log-file", str(directory / "log"), "--run-dir", str(directory / "run")]
    places += ["--job-dir", str(directory / "job")]
    remote = ["--code", bucket.url("code/", "obs"), "--log", bucket.url(f"logs-{RUN}/", "obs")]
    remote += ["--output", f"out={bucket.url(f'models-{RUN}/', 'obs')}"]
    for program in programs:
        name = str(program) if len(programs) > 1 else "ours"
        ours = [str(program), "run", "--quiet", *places]
        command = ["--", "sh", "-c"]
        found[name] = Contestant(shlex.join([*ours, *command, DATE]))
        found[f"{name}, local code"] = Contestant(shlex.join([*ours, "--code", str(code), *command, DATE]))
        writes = f"mkdir -p out; echo weights >out/model.pt; {DATE}"
        found[f"{name}, from a store"] = Contestant(shlex.join([*ours, *remote, *command, writes]), environ, thinker)
    return found


def once(one: Contestant, directory: Path) -> Took:
    """One run, in places that no run before it has used."""
    for name in ("log", "run", "job", "logs"):
        path = directory / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
    if one.store is not None:
        one.store.asked.clear()
    begin = time.time_ns()
    line = one.line.replace(RUN, str(begin))
    process = subprocess.Popen(["bash", "-c", line], stdout=subprocess.PIPE, env={**os.environ, **one.environ})
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    end = time.time_ns()
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{line} ended with {process.returncode}"
    command = int(said.split()[-1])
    cpu = (used.ru_utime + used.ru_stime) * 1e3
    asked = one.store.asked if one.store is not None else []
    moment = time.monotonic() - (time.time_ns() - command) / 1e9  # the command's, by the clock of `asked`
    before = one_behind_the_other([each for each in asked if each.began < moment])
    behind = one_behind_the_other([each for each in asked if each.began >= moment])
    return Took((command - begin) / 1e6, (end - command) / 1e6, cpu, len(before), len(behind))


def compare(found: Mapping[str, Contestant], directory: Path, rounds: int) -> None:
    seen: dict[str, list[Took]] = {name: [] for name in found}
    for _ in range(rounds):
        for name, one in found.items():
            seen[name].append(once(one, directory))
    medians = {
        name: Took(*(statistics.median(part) for part in zip(*took, strict=True))) for name, took in seen.items()
    }
    bare = medians["bare"]
    width = max(map(len, medians))
    print(f"{f'medians of {rounds} rounds, ms':{width}}   start  + bare     end  + bare     cpu   least  answers")
    for name, median in medians.items():
        least = min(took.cpu for took in seen[name])
        more = f"{median.start:7.1f} {median.start - bare.start:+7.1f} {median.end:7.1f} {median.end - bare.end:+7.1f}"
        answers = f"{median.before:4.0f} + {median.behind:.0f}" if found[name].store is not None else ""
        print(f"{name:{width}} {more} {median.cpu:7.1f} {least:7.1f} {answers}".rstrip())


def modules(program: Path, most: int = 40) -> None:
    """What `run -- true` imports, with the milliseconds of each module by itself: the shortest of five runs."""
    best: dict[str, int] = {}
    python = program.with_name("python")
    for _ in range(5):
        told = subprocess.run(
            [python, "-X", "importtime", "-m", "bootstrap", "run", "--", "true"], capture_output=True, text=True
        ).stderr
        for line in told.splitlines():
            own, _, name = line.removeprefix("import time:").split("|") if line.count("|") == 2 else ("", "", "")
            if own.strip().isdigit():
                best[name.strip()] = min(int(own), best.get(name.strip(), int(own)))
    print(f"{len(best)} modules, {sum(best.values()) / 1e3:.1f} ms under the eyes of -X importtime")
    for name, least in sorted(best.items(), key=lambda item: -item[1])[:most]:
        print(f"{least / 1e3:8.2f}  {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", type=Path, default=[OURS])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--modules", action="store_true")
    options = parser.parse_args()
    compileall.compile_dir(Path(bootstrap.__file__).parent, quiet=1)  # as pip does with what it installs
    if options.modules:
        modules(options.programs[0])
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as temporary:
        directory = Path(temporary)
        with running_seaweedfs(directory / "store") as store, Thinker(store.endpoint, THINKS) as thinker:
            found = contestants(directory, options.programs, thinker, store.make_bucket())
            compare(found, directory, options.rounds)


if __name__ == "__main__":
    main()
