"""environ -> :class:`~bootstrap.job.PlatformFacts`, a file a platform. Platforms' variables are known here only.

:func:`identify` asks the platforms in order (``table.py``). A new one is a new file with ``recognise`` and ``read``,
and a line in the table.
"""

from .table import PLATFORMS, WRITTEN_BY_PEOPLE, choices, identify, known, salvage

__all__ = ["PLATFORMS", "WRITTEN_BY_PEOPLE", "choices", "identify", "known", "salvage"]
