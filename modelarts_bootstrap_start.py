"""The first of our lines to run, however the bootstrap is started: by the installed command, ``python -m bootstrap``,
the old scripts or the runtime.

Its name is its own, so that no package called ``bootstrap`` on somebody's ``PYTHONPATH`` is found in its place. Before
anything else is imported it sees to it that *our* imports find the standard library and what is installed beside us,
whatever is called the same in the directories that the environment names; and that what the environment tells Python
(``PYTHONINSPECT``, ``PYTHONWARNINGS``, ...) is told to the command's Python and not to ours. The environment itself
stays as it was: it is the command's.
"""

from __future__ import annotations

import os
import sys

# What changes how an interpreter works for good: only one that starts with -E does without.
_FOR_GOOD = (
    *("PYTHONINSPECT", "PYTHONVERBOSE", "PYTHONPROFILEIMPORTTIME", "PYTHONDEVMODE", "PYTHONDEBUG", "PYTHONOPTIMIZE"),
    *("PYTHONASYNCIODEBUG", "PYTHONTRACEMALLOC", "PYTHONMALLOC", "PYTHONMALLOCSTATS", "PYTHONDUMPREFS", "PYTHONCASEOK"),
)

_ZIPPED = f"python{sys.version_info[0]}{sys.version_info[1]}.zip"


def main() -> int:
    """Run the command line; returns the exit code."""
    if sys.argv[1:2] == ["run"]:
        hold_signals()
    start_again_if_told()
    forget_what_was_told()
    keep_to_our_own()
    if sys.argv[1:2] == ["bootstrap.launchers.per_device"]:  # which we start in place of a command
        del sys.argv[1]
        from bootstrap.launchers.per_device import main as per_device

        return per_device()
    from bootstrap.cli import main as command_line

    return command_line()


def hold_signals() -> None:
    """Have signals wait until somebody catches them (:class:`bootstrap.process.stop.signals.Signals`), and again behind
    that, until we have exited. A request to stop is not lost on a process 1, to which the kernel delivers nothing that
    it has no handler for, nor does it end any other one before there is a record, or behind its verdict.
    """
    # built in, and there at once; `signal` is imported from a file
    import _signal  # type: ignore[import-not-found]  # which typeshed does not know

    _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())


def start_again_if_told() -> None:
    """Where the environment tells Python such things, become one that does not listen: this process, 15 ms later."""
    if sys.flags.ignore_environment or not sys.executable:
        return
    if not any(os.environ.get(name) for name in _FOR_GOOD) and not _no_unicode():
        return
    here = os.path.dirname(os.path.abspath(__file__))  # PYTHONPATH may be all that leads there
    run = (
        "import sys; sys.path[0:1] = [sys.argv.pop(1)]; import modelarts_bootstrap_start as ours; sys.exit(ours.main())"
    )
    try:
        os.execv(sys.executable, [sys.executable, "-E", "-X", "utf8", "-c", run, here, *sys.argv[1:]])
    except OSError:  # a machine that refuses: with what we were told, then
        pass


def forget_what_was_told() -> None:
    """What the environment told this interpreter, and can be put right: warnings as errors, bytecode elsewhere."""
    if sys.flags.ignore_environment:
        return
    if os.environ.get("PYTHONWARNINGS"):
        import warnings  # was imported for them

        sys.warnoptions.clear()
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        sys.dont_write_bytecode = False
    if os.environ.get("PYTHONPYCACHEPREFIX"):  # what was compiled at our installation lies beside the source
        sys.pycache_prefix = None


def _no_unicode() -> bool:
    """Whether file names and arguments cannot be written as they are: a locale that is not UTF-8."""
    return sys.getfilesystemencoding().lower().replace("-", "") != "utf8"


def keep_to_our_own() -> None:
    """Have imports look at the standard library first, then beside us, then at the other installed packages, and not at
    all where ``PYTHONPATH`` or the working directory lead. What was imported from there already is forgotten.
    """
    here = os.path.dirname(os.path.abspath(__file__))
    library = os.path.dirname(os.path.abspath(os.__file__))
    named = {os.path.abspath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry}
    standard, others, gone = [], [], []
    for entry in sys.path:
        place = os.path.abspath(entry) if os.path.isabs(entry) else ""  # "": the working directory
        if place in (library, os.path.join(library, "lib-dynload")) or os.path.basename(place) == _ZIPPED:
            standard.append(entry)
        elif not place or (place in named and not _is_installed(place)):
            gone.append(os.path.abspath(entry) if place or _has_directory() else "")
        elif place != here:
            others.append(entry)
    sys.path[:] = [*standard, here, *others]
    ours, theirs = (here + os.sep, library + os.sep), tuple(place + os.sep for place in gone if place)
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if theirs and file.startswith(theirs) and not file.startswith(ours) and name not in ("__main__", __name__):
            del sys.modules[name]


def _is_installed(place: str) -> bool:
    """Whether it is a directory of installed packages of this Python, which somebody has named once more."""
    packages = os.path.basename(place) in ("site-packages", "dist-packages")
    return packages and place.startswith((sys.prefix, sys.base_prefix))


def _has_directory() -> bool:
    try:
        os.getcwd()
    except OSError:  # removed under us
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
