"""Symbolic links in object stores, which know none: ``NAME.rclonelink`` is an object whose content is a link's target.

The form is that of ``rclone --links``, so that either can make links of what the other has recorded; unlike metadata,
it is in the listing and survives every copy. A link that leads out of its tree is neither recorded nor made: wherever
a tree lands, what is outside is somebody else's.
"""

from __future__ import annotations

import os
from typing import Literal

SUFFIX = ".rclonelink"

LinkPolicy = Literal["follow", "all", "record", "skip"]
"""What becomes of symbolic links on their way to a store: what they lead to is sent in their place, if it is in the
tree ("follow") or wherever it is ("all"); they are recorded, or left out.
"""


def target_of(root: str, name: str) -> str:
    """What to record for the link ``name`` in the tree ``root``; an empty string if it leads out of it.

    As it is written, where that means the same wherever the tree is; else made relative to the link's directory. No
    directory above the link is a link itself.
    """
    link = os.path.join(root, name)
    text = os.readlink(link)
    if stays_inside(text, name):
        return text
    top, real = os.path.realpath(root), os.path.realpath(link)
    if real != top and not real.startswith(top + os.sep):
        return ""
    text = os.path.relpath(real, os.path.realpath(os.path.dirname(link)))
    return text if stays_inside(text, name) else ""


def stays_inside(text: str, name: str) -> bool:
    """Whether a link at ``name`` with the target ``text`` stays in the tree, whatever other such links are in it.

    ``..`` leads up only at the beginning, where it is real directories that are left: behind another name it could
    leave the directory that a second link leads to.
    """
    parts = [part for part in text.split("/") if part not in ("", ".")]
    up = 0
    while up < len(parts) and parts[up] == "..":
        up += 1
    plain = bool(text) and not text.startswith("/") and "\0" not in text and ".." not in parts[up:]
    return plain and up <= name.count("/")


def is_record(path: str) -> bool:
    """Whether the path is that of a recorded link."""
    return path.endswith(SUFFIX) and not path.endswith("/" + SUFFIX) and path != SUFFIX
