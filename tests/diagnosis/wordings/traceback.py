"""A traceback as Python prints it, through a library and back to the user's line."""

from __future__ import annotations


def raised(said: str, file: str = "/job/train.py", line: int = 88, within: str = "", function: str = "_call") -> str:
    """``said``: the exception's own lines. ``within`` and ``function``: the library that raised it."""
    library = f'  File "{within}", line 1511, in {function}\n    return self._do(*args, **kwargs)\n' if within else ""
    return (
        "Traceback (most recent call last):\n"
        f'  File "/job/main.py", line 9, in <module>\n    main()\n'
        f'  File "{file}", line {line}, in main\n    step(batch)\n'
        f"{library}{said.rstrip(chr(10))}\n"
    )
