"""``python -m tests.diagnosis.score``: the whole matrix, as a table. Cases that are not right are named."""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from .case import Score, in_noise, judge, of_four_ranks
from .provoked import PROVOKED, is_there, run

COLUMNS = list(Score)


def main() -> int:
    rows: dict[str, Counter[Score]] = {}
    verbose = "-v" in sys.argv
    for case in PROVOKED:
        if not is_there(case.needs):
            print(f"not provoked here, for want of {case.needs}: {case.name}")
            continue
        with tempfile.TemporaryDirectory() as directory:
            made, found = run(case, Path(directory))
            if made is not Score.RIGHT or verbose:
                print(f"{made.value}: provoked {case.name}: {case.id} wanted\n    {found}")
                if made is not Score.RIGHT:
                    print(
                        "    |"
                        " " + (Path(directory) / "log.txt").read_text(errors="replace")[-700:].replace("\n", "\n    | ")
                    )
        rows.setdefault("provoked", Counter())[made] += 1
    try:
        from .wordings import CASES
    except ImportError:
        CASES = []
    for shape, change in (
        ("said", lambda one: one),
        ("said, in noise", in_noise),
        ("said, by one of four ranks", of_four_ranks),
    ):
        began = time.perf_counter()
        for case in CASES:
            if shape.endswith("ranks") and not case.in_ranks:
                continue
            made, found = judge(change(case))
            if made is not Score.RIGHT or verbose:
                print(f"{made.value}: {shape}: {case.name}: {case.id} wanted\n    {found.id}: {found}")
            rows.setdefault(shape, Counter())[made] += 1
        print(f"{shape}: {(time.perf_counter() - began) * 1000 / max(1, len(CASES)):.1f} ms a case")
    print(f"\n{'':28}" + "".join(f"{column.value:>25}" for column in COLUMNS) + f"{'all':>8}")
    for name, counted in rows.items():
        print(f"{name:28}" + "".join(f"{counted[column]:>25}" for column in COLUMNS) + f"{sum(counted.values()):>8}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
