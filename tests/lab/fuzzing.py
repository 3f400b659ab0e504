"""Fuzzing of what reads bytes from outside: some seconds in every run of the suite, as long as one likes by a command.

scripts/fuzz [TIMES [PYTEST OPTIONS ...]]    # TIMES as many examples as the suite has (default: 50)
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

TIMES = "BOOTSTRAP_TEST_FUZZ"


def fuzz(examples: int) -> Callable[[Any], Any]:
    """For a ``@given`` test: so many examples, times what the command asks for."""
    many = examples * int(os.environ.get(TIMES, "1"))
    chosen = settings(max_examples=many, deadline=None, suppress_health_check=[HealthCheck.too_slow])

    def decorate(test: Any) -> Any:
        return pytest.mark.fuzz(chosen(test))

    return decorate
