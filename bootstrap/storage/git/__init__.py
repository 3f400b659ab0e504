"""``git+https://``, ``git+ssh://``, ``git+file://``: one commit of a repository, read by the git of the image."""

WITHOUT_SUBMODULES = "submodules=no"
"""What stands behind the # of a URL whose submodules nobody wants."""
