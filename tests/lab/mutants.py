"""Which small bugs would the tests of a room miss? Mutants of a file are tried one by one, the survivors printed.

    python -m tests.lab.mutants bootstrap/process/stop/plan.py tests/process/stop
    python -m tests.lab.mutants bootstrap/platforms tests/platforms --most 60 --seed 7

The mutants are cosmic-ray's (the extra ``mutants``). They are made in a clone of the committed tree with an environment
of its own, since the tests start the installed command as well; ``--directory`` keeps it for the next time. A mutant
that lives is a place to look at, not a verdict: some change nothing that anybody could see. Tried are those that
somebody could have written by mistake: a plus for a minus, ``<`` for ``<=``, ``or`` for ``and``, one more or less, a
loop that does nothing; not ``a ** b`` for a path's ``a / b``, and nothing in annotations and decorators.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CONFIG = """[cosmic-ray]
module-path = {modules}
timeout = {timeout}
excluded-modules = []
test-command = {command}
[cosmic-ray.distributor]
name = "local"
"""
_ROWS = ("work_items", "mutation_specs", "work_results")
_MISTAKES = {
    "ReplaceBinaryOperator": (
        "Add_Sub", "Sub_Add", "Mul_Div", "FloorDiv_Mul", "Mod_FloorDiv", "LShift_RShift", "RShift_LShift",
        "BitAnd_BitOr", "BitOr_BitAnd",
    ),
    "ReplaceComparisonOperator": (
        "Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is", "In_NotIn", "NotIn_In",
        "Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Lt_Gt", "Gt_Lt", "LtE_GtE", "GtE_LtE",
    ),
}  # fmt: skip
"""Of the operators that are replaced by any other: the pairs that are taken for each other."""


def main() -> int:
    arguments = _arguments()
    with ExitStack() as stack:
        place = Path(arguments.directory or stack.enter_context(tempfile.TemporaryDirectory(prefix="mutants-")))
        python = prepared(place / "clone")
        tests = [str(python), "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *arguments.tests]
        began = time.monotonic()
        if subprocess.run(tests, cwd=place / "clone").returncode:
            print("the tests fail without any mutant, too")
            return 2
        timeout = 10 + 3 * (time.monotonic() - began)
        session, config = place / "session.sqlite", place / "config.toml"
        session.unlink(missing_ok=True)
        command = json.dumps(" ".join(tests))
        config.write_text(CONFIG.format(modules=json.dumps([arguments.source]), timeout=timeout, command=command))
        cosmic_ray(place, "init", str(config), str(session))
        left = sample(session, place / "clone", arguments.most, arguments.seed)
        print(f"{left} mutants of {arguments.source}", file=sys.stderr)
        cosmic_ray(place, "exec", str(config), str(session))
        return told(list(results(session)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.mutants", description=__doc__)
    parser.add_argument("source", help="a file or a directory of the package")
    parser.add_argument("tests", nargs="+", help="what pytest is to run for each")
    parser.add_argument("--most", type=int, default=40, help="how many mutants, drawn by chance (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of that chance")
    parser.add_argument("--directory", help="where the clone and its environment are kept")
    return parser.parse_args()


def prepared(clone: Path) -> Path:
    """A clone of HEAD with an environment of its own; its Python."""
    if not clone.exists():
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    subprocess.run(["git", "fetch", "-q", "origin"], cwd=clone, check=True)
    subprocess.run(["git", "checkout", "-q", "-f", "--detach", head.strip()], cwd=clone, check=True)
    make = '. scripts/venv.sh; test_venv "$(find_python)"'
    made = subprocess.run(["bash", "-c", make], cwd=clone, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    python = clone / made / "bin" / "python"
    wanted = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "-e", ".[mutants]"]
    subprocess.run(wanted, cwd=clone, check=True)
    return python


def cosmic_ray(place: Path, *words: str) -> None:
    program = place / "clone" / ".venv" / "bin" / "cosmic-ray"
    subprocess.run([str(program), *words], cwd=place / "clone", check=True)


def sample(session: Path, root: Path, most: int, seed: int) -> int:
    """Keep ``most`` of the session's mutants that are likely mistakes; how many are left."""
    with closing(sqlite3.connect(session)) as database, database:
        # In an order of theirs: ids are made up anew each time, and one seed is to draw the same mutants of one source.
        query = "SELECT job_id, module_path, operator_name, start_pos_row, start_pos_col FROM mutation_specs"
        query += " ORDER BY module_path, operator_name, operator_args, occurrence"
        every = list(database.execute(query))
        unseen = {path: set(unseen_in((root / path).read_text())) for path in {row[1] for row in every}}
        jobs = [
            job
            for job, path, operator, *place in every
            if likely(operator) and not any(begin <= tuple(place) < end for begin, end in unseen[path])
        ]
        chosen = set(random.Random(seed).sample(jobs, min(most, len(jobs))))
        for job in {row[0] for row in every} - chosen:
            for table in _ROWS:
                database.execute(f"DELETE FROM {table} WHERE job_id = ?", (job,))
        return len(chosen)


Span = tuple[tuple[int, int], tuple[int, int]]


def unseen_in(source: str) -> Iterator[Span]:
    """Where a mutant is no mistake that could be seen, by line and column: annotations, which are never evaluated here;
    decorators (``frozen=True``); stars and bars of argument lists, which the tool takes for operators.
    """
    for node in ast.walk(ast.parse(source)):
        decorators = getattr(node, "decorator_list", ())
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None), *decorators):
            if isinstance(part, ast.expr) and part.end_lineno is not None and part.end_col_offset is not None:
                yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)
        if isinstance(node, ast.Starred):
            yield (node.lineno, node.col_offset), (node.lineno, node.col_offset + 1)
    for line, text in enumerate(source.splitlines(), 1):  # a star with a space behind it is a product
        for star in re.finditer(r"(?<=[(\s{])\*{1,2}(?=[\w,({])", text):
            yield (line, star.start()), (line, star.end())


def likely(operator: str) -> bool:
    """Whether somebody could have written what this operator of cosmic-ray's makes."""
    kind, _, pair = operator.rpartition("/")[2].partition("_")
    return kind != "RemoveDecorator" and (kind not in _MISTAKES or pair in _MISTAKES[kind])


def results(session: Path) -> Iterator[dict[str, Any]]:
    with closing(sqlite3.connect(session)) as database:
        database.row_factory = sqlite3.Row
        query = "SELECT * FROM mutation_specs NATURAL JOIN work_results ORDER BY module_path, start_pos_row"
        yield from (dict(row) for row in database.execute(query))


def told(found: list[dict[str, Any]]) -> int:
    alive = [one for one in found if "SURVIVED" in str(one["test_outcome"]).upper()]
    for one in alive:
        print(f"\n{one['module_path']}:{one['start_pos_row']} {one['operator_name'].rpartition('/')[2]}")
        changed = [
            line for line in str(one["diff"]).splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")
        ]
        print("\n".join(f"    {line}" for line in changed))
    print(f"\n{len(found) - len(alive)} of {len(found)} mutants were noticed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
