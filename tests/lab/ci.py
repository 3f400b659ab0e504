"""Under ``CI=true`` a lab that could not be set up is a failure: there the lab is part of the promise.

At a desk such a test is skipped with its reason, which begins with ``lab:``.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        longrepr: Any = report.longrepr
        reason = str(longrepr[2]) if isinstance(longrepr, tuple) else ""
        if reason.removeprefix("Skipped: ").startswith("lab:"):
            report.outcome = "failed"
            report.longrepr = f"CI must have the lab, but {item.nodeid} was skipped: {reason}"
    return report
