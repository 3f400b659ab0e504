"""What the nodes' conversation costs as their number grows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.peers import one_round

ROOT = Path(__file__).parents[2]


def test_a_node_more_costs_node_0_about_as_much_as_any_other() -> None:
    few, many = (sum(cpu for cpu, _ in one_round(size)) / size for size in (16, 256))
    assert many < 8 * few + 0.002, f"{few * 1000:.2f} ms a node with 16, {many * 1000:.2f} ms with 256"
    assert many * 256 < 10, "seconds of the server for all of it, on the slowest of machines"


def test_the_benchmark_prints_a_line_for_each_number_of_nodes() -> None:
    argv = [sys.executable, "-m", "benchmarks.peers", "--nodes", "2", "4", "--rounds", "1"]
    told = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120).stdout
    assert [line.split()[0] for line in told.splitlines()[-2:]] == ["2", "4"]
