"""git, run without ever asking anybody anything, and what it says in our words.

A user and a password of the URL are never on a command line, which every process may read: git asks a helper for them,
and that prints what stands in the environment of git alone. The helper is asked for this one server only.
"""

from __future__ import annotations

import atexit
import os
import re
import subprocess
import urllib.parse
from collections.abc import Iterator

from ...errors import (
    BootstrapError,
    CredentialsRejected,
    DiskFull,
    EndpointWrong,
    NameUnresolved,
    NothingThere,
    PermissionDenied,
    StoreUnavailable,
    SupportMissing,
)
from ..model.scheme import Surroundings

_HELPER = '!f() { echo username="$GIT_OF_THE_URL_USER"; echo password="$GIT_OF_THE_URL_PASSWORD"; }; f'
_SSH = "ssh -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=15 -o ServerAliveCountMax=2"
_CHUNK = 1 << 20
_SAID = 2000  # bytes of git's own words that are kept

_CAUSES: tuple[tuple[str, type[BootstrapError], str], ...] = (
    (r"couldn't find remote ref|not our ref|unadvertised object|bad revision", NothingThere,
     "check what stands behind the @: a branch, a tag or a commit of the repository"),
    (r"Host key verification failed", EndpointWrong,
     "put the server's key into ~/.ssh/known_hosts (ssh-keyscan HOST), once it is known to be the right one"),
    (r"Permission denied \(|could not read (?:Username|Password)|Authentication failed|terminal prompts disabled"
     r"|requested URL returned error: 401", CredentialsRejected,
     "give git its token or key: https://USER:TOKEN@host/..., a credential helper, ~/.netrc, or ~/.ssh"),
    (r"requested URL returned error: 403", PermissionDenied, "check the token's rights"),
    (r"transport '\S+' not allowed", PermissionDenied,
     "a submodule may be on the web or on a server of ssh; write another address into .gitmodules"),
    (r"cannot run ssh", SupportMissing, "install it in the image (apt-get install openssh-client)"),
    (r"dubious ownership", PermissionDenied, "git config --global --add safe.directory PATH, or make it yours"),
    (r"not found|does not (?:appear to be a git repository|exist)|requested URL returned error: 404", NothingThere,
     "check the address of the repository"),
    (r"No space left on device|Disk quota exceeded", DiskFull, "set TMPDIR to a directory on a larger disk"),
    (r"certificate|SSL_ERROR|SSL routines", EndpointWrong,
     "set AWS_CA_BUNDLE to the server's CA certificates, or S3_VERIFY_SSL=0 to go unchecked"),
)  # fmt: skip


class Git:
    """The program, for the repository at ``url``, of which something comes into the one at ``directory``. ``where`` is
    the URL as messages write it, ``protocols`` those that git may speak.
    """

    def __init__(
        self,
        directory: str,
        url: str,
        userinfo: str,
        where: str,
        surroundings: Surroundings,
        *,
        protocols: str = "file:http:https:ssh",
    ) -> None:
        self._directory, self._url = directory, url
        self.where = where
        """As messages name it."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_DIR")}
        for name in ("GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"):
            environ.pop(name, None)
        environ |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_ALLOW_PROTOCOL": protocols}
        if "GIT_SSH_COMMAND" not in environ and "GIT_SSH" not in environ:
            environ["GIT_SSH_COMMAND"] = _SSH
        if surroundings.ca_bundle:
            environ.setdefault("GIT_SSL_CAINFO", surroundings.ca_bundle)
        if not surroundings.verify:
            environ["GIT_SSL_NO_VERIFY"] = "1"
        # A connection that moves less than a byte a second for half a minute has ended.
        self._start = ["git", "-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=30", "-c", "gc.auto=0"]
        if userinfo:
            user, _, password = userinfo.partition(":")
            environ["GIT_OF_THE_URL_USER"] = urllib.parse.unquote(user)
            environ["GIT_OF_THE_URL_PASSWORD"] = urllib.parse.unquote(password)
            parts = urllib.parse.urlsplit(url)
            self._start += ["-c", f"credential.{parts.scheme}://{parts.netloc}.helper={_HELPER}"]
        self._start += ["-c", f"remote.origin.url={url}"]  # which git-lfs asks for its server's address
        self._environ = environ

    def run(self, *arguments: str) -> bytes:
        """What it prints. Raises what its words mean."""
        process = self._popen(arguments, subprocess.DEVNULL)
        atexit.register(process.kill)  # who leaves while it works does not leave it behind
        try:
            printed, said = process.communicate()
        finally:
            atexit.unregister(process.kill)
        if process.returncode:
            raise self._cause(said.decode(errors="replace"))
        return printed

    def fetch(self, *wanted: str, shallow: bool) -> None:
        """Bring what is ``wanted``, alone with ``shallow`` where the server can, else with its history."""
        start = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules")
        try:
            self.run(*start, *(["--depth=1"] if shallow else []), "--", self._url, *wanted)
        except BootstrapError as error:
            if not shallow or "support shallow" not in error.why:
                raise
            self.run(*start, "--", self._url, *wanted)  # from files on a plain web server, say

    def batch(self) -> Blobs:
        """A process that gives objects as they are asked for."""
        return Blobs(self._popen(("cat-file", "--batch"), subprocess.PIPE), self.where)

    def _popen(self, arguments: tuple[str, ...], source: int) -> subprocess.Popen[bytes]:
        command = [*self._start, "-C", self._directory, *arguments]
        errors = subprocess.PIPE if source == subprocess.DEVNULL else subprocess.DEVNULL
        try:
            return subprocess.Popen(
                command, env=self._environ, stdin=source, stdout=subprocess.PIPE, stderr=errors, bufsize=_CHUNK
            )
        except OSError as error:
            why = error.strerror or str(error)
            raise StoreUnavailable("git cannot be started", where=self.where, why=why, temporary=False) from error

    def _cause(self, said: str) -> BootstrapError:
        lines = [line.strip() for line in said.splitlines() if line.startswith(("fatal:", "error:", "remote:", "ssh"))]
        why = "; ".join(lines)[-_SAID:] or said.strip()[-_SAID:] or "git says nothing"
        what = "a repository cannot be fetched"
        if host := re.search(r"Could not resolve host(?:name)?:? ?(\S*)", said):
            return NameUnresolved(what, where=self.where, why=f"{host[0]}; {why}", temporary=False)
        for pattern, cause, remedy in _CAUSES:
            if re.search(pattern, said):
                return cause(what, where=self.where, why=why, remedy=remedy)
        return StoreUnavailable(what, where=self.where, why=why)


class Blobs:
    """``git cat-file --batch``: one object after the other. For one thread."""

    def __init__(self, process: subprocess.Popen[bytes], where: str) -> None:
        self._process, self._where = process, where

    def read(self, name: str) -> Iterator[bytes]:
        """The object's bytes. Who does not read to the end has to :meth:`close`."""
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None and sink is not None
        try:
            sink.write(f"{name}\n".encode())
            sink.flush()
            head = source.readline().split()
        except OSError:
            head = []
        if len(head) != 3:
            raise StoreUnavailable("git does not give what it has", where=self._where, why=name, temporary=False)
        left = int(head[2])
        while left:
            piece = source.read1(min(_CHUNK, left))  # type: ignore[attr-defined]
            if not piece:
                raise StoreUnavailable("git ended in the middle of a file", where=self._where, why=name)
            left -= len(piece)
            yield piece
        source.read(1)  # the line's end behind it

    def close(self) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass  # what was not sent yet is not missed
        self._process.wait()
