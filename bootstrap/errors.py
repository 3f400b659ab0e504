"""What can go wrong on our side: one class per cause, each with its exit code, its stable id and a verdict.

The user's command owns every exit code; ours stay clear of the ones that already mean something to shells and
schedulers (1, 2, sysexits 64-78, 80, 93, 125-127, 128+n, 247, 255), except that 126 and 127 are what every shell
makes of a command that cannot be started. The number tells what to do about it:

- **1xx, permanent**: the job as it stands cannot work; running it again gives the same result.
- **2xx, worth a retry**: the job may well work on another node or in ten minutes. A Volcano policy such as
  ``{exitCode: 200, action: RestartJob}`` can use them one by one.

An error is raised where the cause is known, with four short texts (what, where, why, what to do), and is turned
into words once, at the end of the lifecycle. An id, once published, is never given to another cause.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from typing_extensions import Self


class BootstrapError(Exception):
    """A failure of the bootstrap, never of the user's command.

    ``what`` says what failed, ``where`` names the thing (URL, path, variable; never a secret), ``why`` gives the
    cause or the evidence, ``remedy`` the next step for the person who reads it. ``facts`` go into the record.
    """

    code: ClassVar[int] = 100
    id: ClassVar[str] = "internal"
    meaning: ClassVar[str] = "a defect in the bootstrap itself; the record, or a file that is named, has the traceback"
    remedy_hint: ClassVar[str] = "report it with the run record"

    def __init__(self, what: str, *, where: str = "", why: str = "", remedy: str = "", **facts: object) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.why = why
        self.remedy = remedy or self.remedy_hint
        self.facts = facts

    @property
    def retry(self) -> bool:
        """Whether the same job may work when it is started again."""
        return self.code >= 200

    def replace(self, *, where: str = "", why: str = "", remedy: str = "") -> Self:
        """The same failure told in other words, by who knows more of it: the option, say, that names what failed."""
        where, why, remedy = where or self.where, why or self.why, remedy or self.remedy
        return type(self)(self.what, where=where, why=why, remedy=remedy, **self.facts)

    def lines(self) -> list[str]:
        """What, where, why and what to do, each in a line of its own: for somebody at a terminal."""
        parts = [
            ("", self.what),
            ("where: ", self.where),
            ("why:   ", self.why),
            ("do:    ", self.remedy),
        ]
        return [label + re.sub(r"\s*\n\s*", " ", text) for label, text in parts if text]

    def __str__(self) -> str:
        text = self.what
        if self.where:
            text += f" ({self.where})"
        if self.why:
            text += f": {self.why}"
        if self.remedy:
            text += f". What to do: {self.remedy}"
        text = re.sub(r"\s*\n\s*", " ", text)  # libraries' texts come in several lines; ours is one, to be searched for
        return text if text.endswith((".", "?", "!")) else text + "."


class InternalError(BootstrapError):
    """Something we did not foresee; carries the original exception as its cause."""

    @classmethod
    def of(cls, error: Exception, *, remedy: str = "") -> InternalError:
        """``error``, which nobody expected, with the place in our code that it came from."""
        import traceback  # wanted at a defect only

        last = traceback.extract_tb(error.__traceback__)[-1]
        wrapped = cls(
            "the bootstrap has a defect",
            where=f"{last.filename.rpartition('bootstrap/')[2]}:{last.lineno}",
            why=f"{type(error).__name__}: {error}",
            remedy=remedy,
        )
        wrapped.__cause__ = error
        return wrapped


class UsageError(BootstrapError):
    code, id = 101, "usage"
    meaning = "an option or a BOOTSTRAP_ variable has a value that cannot be used"
    remedy_hint = "see bootstrap run --help"


class PlatformIncomplete(BootstrapError):
    code, id = 102, "platform-incomplete"
    meaning = "the platform's environment is half set or contradicts itself"
    remedy_hint = "set the variables named above, or choose with --platform NAME"


class ClusterMismatch(BootstrapError):
    code, id = 103, "cluster-mismatch"
    meaning = "the host list does not match the task count or this node's index"
    remedy_hint = "compare the variables named above with the job's node count"


class DeclarationUnreadable(BootstrapError):
    code, id = 104, "declaration-unreadable"
    meaning = "the platform's JSON of inputs or outputs (MA_INPUTS, MA_OUTPUTS) cannot be read"
    remedy_hint = "check the variable's JSON"


class UrlInvalid(BootstrapError):
    code, id = 105, "url-invalid"
    meaning = "a URL is malformed: no bucket, no path, bad characters"
    remedy_hint = "write it as obs://bucket/prefix/, s3://bucket/prefix/, file:///path or a plain path"


class UrlSchemeUnknown(BootstrapError):
    code, id = 106, "url-scheme"
    meaning = "a URL's scheme is not one we know"
    remedy_hint = "use obs://, s3://, file:// or a plain path; docs/sources.md has the others"


class CredentialsMissing(BootstrapError):
    code, id = 107, "credentials-missing"
    meaning = "no access key could be found for the object store"
    remedy_hint = "set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY (and a security token for temporary keys)"


class CredentialsRejected(BootstrapError):
    code, id = 108, "credentials-rejected"
    meaning = "the store does not accept the access key or its signature"
    remedy_hint = "check the key pair and, for temporary keys, the security token"


class PermissionDenied(BootstrapError):
    code, id = 109, "permission-denied"
    meaning = "the key is valid but may not do this"
    remedy_hint = "grant the key's owner the right to list, read or write there"


class BucketMissing(BootstrapError):
    code, id = 110, "bucket-missing"
    meaning = "the bucket does not exist at this endpoint"
    remedy_hint = "check the bucket's name and the endpoint's region"


class NothingThere(BootstrapError):
    code, id = 111, "nothing-there"
    meaning = "there is no object under the prefix, or no file at the path"
    remedy_hint = "check the path; a directory's URL ends with /"


class EndpointWrong(BootstrapError):
    code, id = 112, "endpoint-wrong"
    meaning = "the endpoint is of another region, or wants another addressing style"
    remedy_hint = "set S3_ENDPOINT to the bucket's region, or choose --addressing virtual|path"


class NamesUnsafe(BootstrapError):
    code, id = 113, "names-unsafe"
    meaning = "object names that cannot be files here: outside the directory, or a file where a directory stands"
    remedy_hint = "rename the objects listed above"


class ArchiveInvalid(BootstrapError):
    code, id = 114, "archive-invalid"
    meaning = "an archive is damaged, of an unknown kind, or holds members that may not be unpacked"
    remedy_hint = "pack it again with relative names, without devices and links that lead out"


class PathUnusable(BootstrapError):
    code, id = 115, "path-unusable"
    meaning = "a local path cannot be read or written by this user (read-only, owner, mode, not a directory)"
    remedy_hint = "choose another path or mount it writable for this uid"


class DiskFull(BootstrapError):
    code, id = 116, "disk-full"
    meaning = "not enough space or inodes for what is to be fetched or written"
    remedy_hint = "choose a --job-dir on a larger disk"


class SecretUnreadable(BootstrapError):
    code, id = 117, "secret-unreadable"
    meaning = "an encrypted variable or a secret file cannot be decrypted or read"
    remedy_hint = "check the key file and the decryptor named above"


class RequirementsFailed(BootstrapError):
    code, id = 118, "requirements-failed"
    meaning = "the code's Python requirements could not be installed (no such version, no pip, no network)"
    remedy_hint = "install them in the image, or name a package index that this node reaches with PIP_INDEX_URL"


class JobFileInvalid(BootstrapError):
    code, id = 119, "job-file-invalid"
    meaning = "a job file (bootstrap simulate, bootstrap manifest) has a field, name or value that cannot be used"
    remedy_hint = "mend the places named above"

    @classmethod
    def of(cls, findings: Sequence[str], path: object) -> Self:
        """Of all that is wrong in a file, each a line of its own where there are several."""
        if len(findings) == 1:
            return cls("something is wrong in the job file", where=str(path), why=findings[0])
        return cls(f"{len(findings)} things are wrong in the job file", where=str(path), findings=tuple(findings))

    def __str__(self) -> str:
        findings = self.facts.get("findings")
        return super().__str__() + "".join(f"\n  {one}" for one in (findings if isinstance(findings, tuple) else ()))


class ProcessesCutShort(BootstrapError):
    code, id = 120, "processes-cut-short"
    meaning = (
        "the command succeeded and left processes at work, which were ended: what they were to write may be missing"
    )
    remedy_hint = "`wait` in the script for what it starts with `&`, or set --wait-for-output"


class TargetTaken(BootstrapError):
    code, id = 121, "target-taken"
    meaning = "the target of an output holds something that is not this job's (--existing-outputs refuse)"
    remedy_hint = "choose another URL for the output, or --existing-outputs warn or version"


class RequestRefused(BootstrapError):
    code, id = 122, "request-refused"
    meaning = "the object store refuses a request for a reason of its own, and would refuse the next one like it"
    remedy_hint = "look at the store's code and text above"


class SupportMissing(BootstrapError):
    code, id = 123, "support-missing"
    meaning = "a URL's scheme needs a Python package or a program that this machine does not have"
    remedy_hint = "install the extra or the program that is named above"


class ChecksumWrong(BootstrapError):
    code, id = 124, "checksum-wrong"
    meaning = "what came is not what its checksum is of (#sha256=... in the URL, or the one that a hub tells)"
    remedy_hint = "check the URL and its checksum: one of them is of another file"


class CommandNotExecutable(BootstrapError):
    code, id = 126, "command-not-executable"
    meaning = "the command was found but cannot be executed, as a shell would say it"
    remedy_hint = "chmod +x it, give it a #! line, or name its interpreter: python FILE, bash FILE"


class CommandNotFound(BootstrapError):
    code, id = 127, "command-not-found"
    meaning = "the command, or the script it names, does not exist after the fetch"
    remedy_hint = "see the nearest names above; paths are relative to the job dir"


class StoreUnavailable(BootstrapError):
    code, id = 200, "store-unavailable"
    meaning = "the object store did not answer, or only with errors, until the deadline"
    remedy_hint = "try again; if it stays so, check the endpoint and the network"


class NameUnresolved(BootstrapError):
    code, id = 201, "name-unresolved"
    meaning = "a host name could not be resolved until the deadline"
    remedy_hint = "check the name and the resolver named above"


class InterfaceMissing(BootstrapError):
    code, id = 202, "interface-missing"
    meaning = "the network interface asked for is absent, down or without an address"
    remedy_hint = "choose one of the interfaces listed above with --interface NAME"


class PeersMissing(BootstrapError):
    code, id = 203, "peers-missing"
    meaning = "other nodes of the job did not appear until the deadline"
    remedy_hint = "look at the logs of the nodes named above"


class ClockSkewed(BootstrapError):
    code, id = 204, "clock-skewed"
    meaning = "this machine's clock is too far from the store's"
    remedy_hint = "have the node's clock set (NTP), or run on another node"


class CredentialsExpired(BootstrapError):
    code, id = 205, "credentials-expired"
    meaning = "temporary credentials ended and no newer ones could be read"
    remedy_hint = "give keys that live longer, or a source that is renewed"


class KeysUnavailable(SecretUnreadable):
    code, id = 211, "keys-unavailable"
    meaning = "the service that keys come from (a role's, a container's, a machine's) did not answer until the deadline"
    remedy_hint = "try again; if it stays so, check the service's address and the network"


class OutputsUndelivered(BootstrapError):
    code, id = 206, "outputs-undelivered"
    meaning = "the command succeeded but its outputs could not all be delivered"
    remedy_hint = "the files are still on disk as named above; --allow-undelivered makes this a warning"


class CannotStart(BootstrapError):
    code, id = 207, "cannot-start"
    meaning = "the system refused to start the command's process (limits, memory)"
    remedy_hint = "look at the limits (ulimit -u, pids and memory of the container)"


class SourceChanging(BootstrapError):
    code, id = 208, "source-changing"
    meaning = "what is fetched or delivered kept changing or disappearing while it was read"
    remedy_hint = "let the writer finish, then start again"


class NodeLost(BootstrapError):
    code, id = 209, "node-lost"
    meaning = "another node of the job vanished without a word, and this node's command could not go on without it"
    remedy_hint = "look at what the platform says of the node named above; the job may work on others"


class PreflightFailed(BootstrapError):
    code, id = 210, "preflight-failed"
    meaning = "a check before the start (--preflight full) found what would fail, and no other cause here says it"
    remedy_hint = "see bootstrap doctor with the same arguments"


def catalogue() -> list[type[BootstrapError]]:
    """Every cause, in the order of its exit code: what README, --help and the tests print and compare. Kinds within a
    room that have no code of their own are told as what they refine.
    """
    seen: list[type[BootstrapError]] = []
    todo: list[type[BootstrapError]] = [InternalError]
    todo += BootstrapError.__subclasses__()
    for kind in todo:
        if kind not in seen:
            seen.append(kind)
            todo += kind.__subclasses__()
    return sorted((kind for kind in seen if kind is InternalError or "code" in vars(kind)), key=lambda kind: kind.code)
