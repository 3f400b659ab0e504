"""One revision of a hub's repository as a store: listed by huggingface_hub, brought by our own client, in pieces."""

from __future__ import annotations

import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

from huggingface_hub import HfApi, get_token, hf_hub_url
from huggingface_hub.utils import build_hf_headers

from ...errors import BootstrapError, NothingThere, PermissionDenied, RequestRefused, SourceChanging, StoreUnavailable
from ..common.read_only import ReadOnly
from ..model.scheme import Surroundings
from ..model.store import Entry, RetryWindow
from ..model.url import Location
from ..web.client import WebClient
from ..web.file import WebBody, WebCopy, WebFile, refusal

_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_TIMEOUT = 30.0  # seconds for an answer of the hub's
_KINDS = {"datasets": "dataset", "spaces": "space"}
_WHAT = "a hub's repository cannot be read"


class HubStore(ReadOnly):
    """What is read is the commit that the revision meant when it was first looked at."""

    def __init__(self, location: Location, surroundings: Surroundings) -> None:
        super().__init__(f"hf://{location.bucket}")
        self.retry_window = RetryWindow(surroundings.retry_window)
        name, _, revision = location.bucket.partition("@")
        self._wanted = urllib.parse.unquote(revision)
        kind, _, rest = name.partition("/")
        self._kind = _KINDS.get(kind, "model")
        self._name = rest if kind in _KINDS else name
        environ = surroundings.environ
        self._endpoint = environ.get("HF_ENDPOINT", "").rstrip("/") or None
        # None: huggingface_hub looks where `hf auth login` has left one.
        self._token = next((environ[one].strip() for one in _TOKENS if environ.get(one)), None)
        if token := self._token or get_token():
            surroundings.mask("HF_TOKEN", token)
        self._client = WebClient(surroundings)
        self._commit = ""
        self._entries: dict[str, Entry] = {}
        self._files: dict[str, WebFile] = {}
        self._lock = threading.Lock()

    @property
    def revision(self) -> str:
        return self._commit

    def entries(self, prefix: str) -> Iterator[Entry]:
        listed = self._listed()
        return (listed[path] for path in sorted(listed) if path.startswith(prefix))

    def children(self, prefix: str) -> list[str]:
        below = {path[len(prefix) :].partition("/") for path in self._listed() if path.startswith(prefix)}
        return sorted({name + slash for name, slash, _ in below})[:1000]

    def stat(self, key: str) -> Entry | None:
        return self._listed().get(key)

    def read(self, key: str, *, start: int = 0, end: int | None = None, etag: str = "") -> WebBody | WebCopy:
        entry = self.stat(key)
        if entry is None:
            raise NothingThere("there is no such file in the hub's repository", where=f"{self.url}/{key}")
        if etag and etag != entry.etag:
            raise SourceChanging("a file is another one by now", where=f"{self.url}/{key}")
        body = self._file(key).read(start, end, "")
        body.entry = entry  # of a commit, which does not change; servers behind the hub have ETags of their own
        return body

    def _file(self, key: str) -> WebFile:
        with self._lock:
            if key not in self._files:
                url = hf_hub_url(self._name, key, repo_type=self._kind, revision=self._commit, endpoint=self._endpoint)
                headers = {name.lower(): value for name, value in build_hf_headers(token=self._token).items()}
                secret = {"Authorization": headers["authorization"]} if "authorization" in headers else {}
                where = f"{self.url}/{key}"
                self._files[key] = WebFile(self._client, url, key=key, where=where, secret=secret)
            return self._files[key]

    def _listed(self) -> dict[str, Entry]:
        with self._lock:
            if self._commit:
                return self._entries
            try:
                api = HfApi(endpoint=self._endpoint, token=self._token)
                wanted = self._wanted or "main"
                found = api.repo_info(self._name, repo_type=self._kind, revision=wanted, timeout=_TIMEOUT)
                tree = api.list_repo_tree(self._name, recursive=True, revision=found.sha, repo_type=self._kind)
                entries = [_entry(one) for one in tree if hasattr(one, "blob_id")]
            except Exception as error:
                raise self._told(error) from error
            self._entries = {entry.key: entry for entry in entries}
            self._commit = str(found.sha)
            return self._entries

    def _told(self, error: Exception) -> BootstrapError:
        names = {kind.__name__ for kind in type(error).__mro__}
        why = f"{type(error).__name__}: {error}".splitlines()[0][:600]
        if "GatedRepoError" in names:
            remedy = "accept its terms on the hub, and set HF_TOKEN to a token of the account that has"
            return PermissionDenied("the hub's repository is gated", where=self.url, why=why, remedy=remedy)
        if "RepositoryNotFoundError" in names:
            remedy = "check the name; a private one needs HF_TOKEN"
            return NothingThere("there is no such repository on the hub", where=self.url, why=why, remedy=remedy)
        if "RevisionNotFoundError" in names:
            remedy = "check what stands behind the @: a branch, a tag or a commit (a slash in its name is written %2F)"
            return NothingThere("there is no such revision on the hub", where=self.url, why=why, remedy=remedy)
        if "OfflineModeIsEnabled" in names or "HFValidationError" in names:
            remedy = "take HF_HUB_OFFLINE away" if "OfflineModeIsEnabled" in names else "check the name"
            return RequestRefused(_WHAT, where=self.url, why=why, remedy=remedy)
        status = getattr(getattr(error, "response", None), "status_code", 0)
        return refusal(status, _WHAT, self.url) if status else StoreUnavailable(_WHAT, where=self.url, why=why)


def _entry(found: Any) -> Entry:
    """Large files are known by their SHA-256, small ones by git's name for them."""
    lfs = found.lfs
    sha256 = str((lfs.get("sha256") if isinstance(lfs, dict) else getattr(lfs, "sha256", "")) or "") if lfs else ""
    return Entry(str(found.path), int(found.size), f"hf:{found.blob_id}", 0.0, sha256.lower())
