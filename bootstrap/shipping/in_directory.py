"""The plain names in a log directory that is one (a NAS mount, a volume), where a log grows under its name.

Nothing is lost, whatever the order in which several attempts begin and end, by what is so at every moment:

- Each attempt has a number that no other has, claimed by the directory of its parts. Names with that number are its
  own: nobody else writes there, so that nothing must tell whose a file is (a copy has another inode, and some file
  systems give a file a new one with each look).
- All that is delivered is written under such a name, and gets its plain name by a rename.
- Plain names change in one place, :meth:`InDirectory._decide`, and by one attempt at a time (:mod:`.turns`): the one
  that began last has them. What another has left there gets that one's number by a rename, so that who is writing to it
  goes on writing to it.
- A claim is taken back when the record is there, which tells when its attempt began; one that was killed leaves it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from ..errors import BootstrapError
from ..ground import log_names
from ..ground.log_names import TURN, AttemptDirectory
from ..ground.safe_files import read_own
from ..process.output.place import is_free
from ..reporting.record import LONGEST_RECORD
from ..storage.local.staging import is_unfinished
from .succession import Succession, began_in
from .turns import Turns

T = TypeVar("T")


class InDirectory(Succession):
    """One attempt among those with one log directory, which is a local path."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._there = self._target.local
        self._turns = Turns(self._there / (log_names.parts(self._names[0]) + TURN))
        self._is_claimed = False
        self._was_replaced = False
        self._keeps = False  # names that are its own, for want of a turn
        self._plain: set[str] = set()  # the plain names under which something of ours is

    def begin(self, log_file: Path) -> None:
        try:
            self._by_the_stores_clock(self._stores.open(self._target))
        except (BootstrapError, OSError) as error:
            self._log.debug(f"the time there is not known: {error}")
        self.look()

    def look(self) -> None:
        try:
            with self.turn():
                pass
        except OSError as error:
            self._log.debug(f"whose the names in {self._target} are cannot be told: {error}")

    @contextmanager
    def turn(self) -> Iterator[Callable[[str], str]]:
        """While it lasts no plain name changes; gives what a name of ours is to be called, for who makes it now.
        Raises :class:`OSError` where there is no turn to be had.
        """
        with self._turns.turn(self.longest_wait):
            self._decide()
            yield self._called

    def put(self, name: str, write: Callable[[str], T]) -> tuple[str, T]:
        self._claim_at_least()
        own = log_names.of_attempt(name, self.attempt)
        result = write(own)
        try:
            with self.turn() as named:
                there = named(name)
                if there != own:
                    with suppress(FileNotFoundError):  # it could not be written
                        os.rename(self._there / own, self._there / there)
        except OSError as error:
            if not (self._there / own).exists():  # there is nothing whose name would matter
                return name, result
            say = self._log.debug if self._keeps else self._log.warning
            say(f"{self._there / own} keeps this name: whose {name} is cannot be told ({error})")
            self._keeps = True
            return own, result
        return there, result

    def set_aside(self, name: str) -> None:
        """In our turn: a plain name of ours has come to be somebody else's file, who asked nobody. Who does so again
        would do it for ever.
        """
        if self._was_replaced:
            self._leave(f"somebody else writes to {self._there / name}")
            return
        self._was_replaced = True
        self._plain.discard(name)
        self._decide()

    def end(self) -> None:
        with suppress(OSError):  # an earlier attempt that was killed has its trace there
            (self._there / self.directory.path).rmdir()
            (self._there / log_names.parts(self._names[0])).rmdir()

    # --- who has the plain names ---

    def _decide(self) -> None:
        """In our turn: claim a number if we have none, and see who began last. If that is us, what others have under
        plain names is set aside.
        """
        found, others = self._found(), self._others()
        record = log_names.record(self._names[0])
        record_began = self._record_began(record) if record in found and record not in self._plain else ""
        strange = sorted(name for name in found - self._plain if self._is_plain(name))
        number = self._number_of_plain(strange, found, others, record_began)
        if not self._is_claimed:
            numbers = [number if strange else 0, *self._numbers(found), *(other.attempt for other in others)]
            self.attempt = max(self._least, max(numbers) + 1)
        os.makedirs(self._there / self.directory.path, exist_ok=True)
        self._is_claimed = True
        if self.overtaken:
            return
        later = max([record_began, *(one.began for one in others)])
        if later > self.began:
            self.lose(later, set())
            return
        if self._names[0] in found and self._is_written_there():
            self._leave(f"another run, which still goes on, writes its log to {self._there / self._names[0]}")
            return
        for name in strange:
            try:
                os.rename(self._there / name, self._there / log_names.of_attempt(name, number))
            except FileNotFoundError:
                continue
            except OSError as error:
                self._leave(f"{self._there / name} cannot be set aside ({error.strerror})")
                return

    def _is_written_there(self) -> bool:
        """Whether a run has its own log file there, not a copy: it holds the lock of the run dir beside it, and would
        take a file that has the name for a stranger's.
        """
        run_dir = self._there / log_names.run_dir(self._names[0])
        with suppress(OSError):
            if not run_dir.samefile(self._scratch):
                return not is_free(os.fspath(run_dir))
        return False

    def _number_of_plain(
        self, strange: list[str], found: set[str], others: list[AttemptDirectory], record_began: str
    ) -> int:
        """The number of the attempt that has left the ``strange`` plain names: of who began last among ``others``,
        unless the record is of one that began later, and has ended; then one that is free.
        """
        last = max((one for one in others if one.began >= record_began), key=lambda one: one.began, default=None)
        if last and not any(log_names.of_attempt(name, last.attempt) in found for name in strange):
            return last.attempt
        ours = self.attempt if self._is_claimed else 0
        return max([ours, *self._numbers(found), *(other.attempt for other in others)]) + 1

    def _numbers(self, found: set[str]) -> list[int]:
        """The numbers of what was set aside."""
        aside = (log_names.attempt_of(name) for name in found)
        return [0, *(each[1] for each in aside if each is not None and self._is_plain(each[0]))]

    def _is_plain(self, name: str) -> bool:
        # One that was killed with a log beyond its limit has left segments beside it.
        return super()._is_plain(name) or log_names.tail_offset(self._names[0], name) is not None

    def _found(self) -> set[str]:
        """The names in the directory, and those of the evidence in it."""
        below = log_names.evidence(self._names[0])
        found = set(os.listdir(self._there))
        with suppress(FileNotFoundError, NotADirectoryError):
            # What somebody is writing at this moment has a name that nobody delivers.
            found |= {below + name for name in os.listdir(self._there / below) if not is_unfinished(name)}
        return found

    def _others(self) -> list[AttemptDirectory]:
        """The claims of other attempts of this log and node."""
        parts = log_names.parts(self._names[0])
        named = (log_names.directory_and_name(f"{parts}{name}/") for name in os.listdir(self._there / parts))
        found = [each[0] for each in named if each is not None]
        return [each for each in found if each.node == self._node and each.began != self.began]

    def _record_began(self, record: str) -> str:
        try:
            return began_in(read_own(self._there / record, LONGEST_RECORD))
        except OSError:
            return ""

    def _called(self, name: str) -> str:
        there = self.name_of(name)
        if there == name:
            self._plain.add(name)
        return there

    def _claim_at_least(self) -> None:
        """A number of our own, without a turn if there is none for us: of a log that nobody else has made."""
        if not self._is_claimed:
            self.look()
        if not self._is_claimed and self._there.is_dir():
            with suppress(OSError):
                self.attempt = self._reserved(self.attempt)
                self._is_claimed = True

    def _reserved(self, number: int) -> int:
        while True:
            name = self._there / log_names.of_attempt(self._names[0], number)
            try:
                os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644))
            except FileExistsError:
                number += 1
            else:
                return number
