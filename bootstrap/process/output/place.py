"""Where the log and the record of this run are on this machine: not another run's, and writable."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from ...ground import log_names
from ...ground.safe_files import NotOurs, is_trusted, open_named, own_directory
from .logfile import LogFile, parts


def free_log_file(log_file: str, run_dir: str, *, named: bool = False) -> tuple[str, str]:
    """The log file and run dir, or others where another run that still goes on has these.

    Two runs on one machine would take each other's log for an earlier attempt's, and deliver the wrong one. A person
    has ``named`` the run dir, or it is derived from the log file's name.
    """
    if os.path.exists(log_file) and not os.path.isfile(log_file):  # /dev/null, which is everybody's
        return log_file, run_dir
    wanted, number = log_file, 1
    while not _lock(run_dir, named):
        number += 1
        log_file = log_names.another(wanted, number)
        run_dir, named = log_names.run_dir(log_file), False
    return log_file, run_dir


def _lock(directory: str, named: bool) -> bool:
    """Lock ``directory`` until this process ends. False only when another process has; where there can be no lock (a
    place that cannot be written, another user's directory, a NAS without locks) there is nobody to be known.
    """
    try:
        handle = own_directory(directory, named=named)
    except OSError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        return not isinstance(error, BlockingIOError)
    return True


def is_free(run_dir: str) -> bool:
    """Whether no run that still goes on is known to have ``run_dir``."""
    handle = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True


def apart_from_our_output(log_file: str) -> tuple[str, str]:
    """The log file, or where our own stdout or stderr is written to it already (``/dev/stdout``, a redirection) one of
    our own, and why: every line would be there twice, and the file might be set aside under our feet.
    """
    try:
        found = os.stat(log_file)
    except OSError:
        return log_file, ""
    for name, file in (("stdout", 1), ("stderr", 2)):
        try:
            same = os.path.samestat(found, os.fstat(file))
        except OSError:  # closed
            continue
        if same and not os.path.samestat(found, os.stat(os.devnull)):
            return _private(f"bootstrap-{os.getpid()}.log"), f"our own {name} is written to it, which has every line"
    return log_file, ""


def writable_log_file(wanted: str) -> tuple[str, str]:
    """``wanted``, or where it cannot be written a file of the same name in a directory of our own, and why.

    Where nothing can be written at all it is ``wanted``: the console has the log, what is delivered its newest part.
    """
    try:
        prepare_log_file(Path(wanted))
    except NotOurs as error:
        refused = str(error.strerror)
    except OSError as error:
        refused = f"{error.strerror} as uid {os.getuid()}{_owner(os.path.dirname(wanted))}"
    else:
        return wanted, ""
    try:
        instead = _private(os.path.basename(wanted))
        prepare_log_file(Path(instead))
    except OSError:
        return wanted, refused
    return instead, refused


def prepare_log_file(path: Path) -> None:
    """Make the file's directory, and set an earlier attempt's log aside: it may never have been delivered.

    So is a file that another user has put there. Raises :class:`OSError`, for a link or a pipe of another user, too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if len(parts(str(path))) > 1:  # killed with its log beyond the limit: its end is in files of their own
        LogFile(str(path)).close()
    there = path
    if path.is_symlink() and is_trusted(path.lstat(), str(path)) and path.is_file():
        there = Path(os.path.realpath(path))
    found = there.lstat() if os.path.lexists(there) else None
    if found is not None and stat.S_ISREG(found.st_mode) and (found.st_size or not is_trusted(found, str(there))):
        number = 1
        while os.path.lexists(aside := there.with_name(log_names.earlier(there.name, number))):
            number += 1
        there.rename(aside)
    os.close(open_named(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))


def safe_run_dir(wanted: str, *, named: bool) -> tuple[str, str]:
    """``wanted``, or where another user's directory or link stands at that name one of our own, and why."""
    try:
        os.close(own_directory(wanted, named=named))
    except NotOurs as error:
        return _private(os.path.basename(wanted)), f"{wanted}: {error.strerror}"
    except OSError:  # a place that cannot be written costs the record, not the job
        pass
    return wanted, ""


def _private(name: str) -> str:
    """A path of this name in a directory of our own."""
    import tempfile  # where somebody has planted a directory under our name, and nowhere else

    directory = os.path.join(tempfile.gettempdir(), f"bootstrap-{os.getuid()}")
    try:
        os.close(own_directory(directory))
    except NotOurs:
        directory = tempfile.mkdtemp(prefix="bootstrap-")
    except OSError:  # then nothing can be written there, as whoever tries will say
        pass
    return os.path.join(directory, name)


def _owner(directory: str) -> str:
    try:
        found = os.stat(directory)
    except OSError:
        return f", {directory} is not there"
    return f", {directory} belongs to uid {found.st_uid}, mode {stat.S_IMODE(found.st_mode):o}"
