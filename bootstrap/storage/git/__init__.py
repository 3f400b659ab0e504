"""``git+https://``, ``git+ssh://``, ``git+file://``: one commit of a repository, read by the git of the image."""
