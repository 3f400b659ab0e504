"""What would fail, before anything is fetched or started: checks, a file a subject, each from values to findings.

A check finds what a step would fail at later, and asks for it in the way in which that step will: a target is written
to, a source is listed, the command is looked for in the environment that it will have. :mod:`.checks` is the table,
:mod:`.runner` runs it, all side by side and each with a deadline; :mod:`.quick` is the short form that every run has,
which costs a few system calls and imports nothing else of this package.
"""
