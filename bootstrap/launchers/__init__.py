"""Job -> argv and environment for this node: a file an engine, a row in ``table.py``. None starts the job itself."""

from .table import AUTO, LAUNCHERS, choices, plan

__all__ = ["AUTO", "LAUNCHERS", "choices", "plan"]
