"""The packages of other clouds' stores, where the machine has them.

They are large, so they need not live in the tests' own environment: ``BOOTSTRAP_TEST_CLOUDS`` names a Python, of the
same version, that has them (``pip install -r tests/lab/clouds.txt``); else the tests' own is looked at. ``none``, there
and in ``BOOTSTRAP_TEST_AZURITE``: they could not be had, which CI tells at its end.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.lab.stores import LabUnavailable


def with_clouds(patch: pytest.MonkeyPatch, *modules: str) -> None:
    """Have ``modules`` here, and in ``sys.executable``; without one the test is skipped with the reason."""
    _skip_if_not_to_be_had("BOOTSTRAP_TEST_CLOUDS")
    if python := os.environ.get("BOOTSTRAP_TEST_CLOUDS"):
        packages = Path(python).parents[1] / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
        # A bootstrap does not go by PYTHONPATH: what the tests have is named where their Python looks.
        ours = packages / f"of-the-tests-{os.getpid()}"
        ours.write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
        ours.rename(packages / "of-the-tests.pth")
        patch.setattr(sys, "path", [*sys.path, str(packages)])
        patch.setattr(sys, "executable", python)
    for module in modules:
        if find_spec(module) is None:
            pytest.skip(str(LabUnavailable(f"lab: no {module}: BOOTSTRAP_TEST_CLOUDS names a Python that has it")))


def azurite() -> str:
    """The path of Azurite's server for blobs; without it the test is skipped with the reason."""
    _skip_if_not_to_be_had("BOOTSTRAP_TEST_AZURITE")
    if found := os.environ.get("BOOTSTRAP_TEST_AZURITE") or shutil.which("azurite-blob"):
        return found
    pytest.skip(str(LabUnavailable("lab: no Azurite: npm install azurite; BOOTSTRAP_TEST_AZURITE names azurite-blob")))


def _skip_if_not_to_be_had(variable: str) -> None:
    if os.environ.get(variable) == "none":
        pytest.skip(f"{variable}=none: it could not be installed on this machine")
