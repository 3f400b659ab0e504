"""Real training engines, where the machine has them.

They are large, so they need not live in the tests' own environment: ``BOOTSTRAP_TEST_ENGINES`` names a Python that has
them (``pip install -r tests/lab/engines.txt``); else the tests' own is looked at.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys

import pytest

from tests.lab.stores import LabUnavailable


@functools.cache
def _has(python: str, module: str) -> bool:
    find = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([python, "-c", find], capture_output=True, check=False).returncode == 0


def python_with(module: str) -> str:
    """A Python that can import ``module``; without one the test is skipped with the reason."""
    for python in (os.environ.get("BOOTSTRAP_TEST_ENGINES", ""), sys.executable):
        if python and _has(python, module):
            return python
    pytest.skip(str(LabUnavailable(f"no Python with {module}: set BOOTSTRAP_TEST_ENGINES to one that has it")))


def program(name: str, package: str) -> str:
    """The path of a program; without it the test is skipped with the reason."""
    if found := shutil.which(name):
        return found
    pytest.skip(str(LabUnavailable(f"no {name}: install the Debian package {package}")))
