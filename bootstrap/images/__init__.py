"""What an image holds, read without running it, and what would fail in it: the wing behind ``bootstrap check-image``.

:mod:`.tree` is the vocabulary, :mod:`.sources` reads a running root, an exported tar and an OCI or docker archive into
it in one pass, :mod:`.contracts` is what the platforms ask for, and :mod:`.rules` compares the two, with :mod:`.audit`
for what is looked at before a job may start, and :mod:`.command` for the command that is to run.
"""
