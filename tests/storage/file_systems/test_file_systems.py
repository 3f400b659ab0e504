"""gs, az, sftp and memory by one class over fsspec: the same promises, of real servers where the machine has them."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from bootstrap.errors import (
    BootstrapError,
    BucketMissing,
    CredentialsRejected,
    EndpointWrong,
    NothingThere,
    SourceChanging,
    StoreUnavailable,
    SupportMissing,
    UrlInvalid,
)
from bootstrap.job import Endpoint
from bootstrap.storage.model.scheme import Surroundings
from bootstrap.storage.open import Stores
from bootstrap.storage.relay import relay
from bootstrap.storage.schemes import SCHEMES, check_ready, needs_keys, parse
from tests.lab.clouds import azurite, with_clouds
from tests.lab.ssh import SSHD, running_sshd
from tests.lab.waiting import until
from tests.lab.web import free_port
from tests.storage.conftest import MemoryLog, Mover, tree_of

LARGE = os.urandom(1 << 20) * 33
TREE = {"a.py": b"#!/bin/sh\n", "d/e/f": b"f" * 3000, "d/名 +%41.txt": b"n", "empty": b"", "large": LARGE}


def mover_of(retry_window: float = 0.0, **environ: str) -> Mover:
    log = MemoryLog()
    return Mover(Stores(Endpoint(""), None, log, Surroundings(environ, retry_window)), log)  # type: ignore[arg-type]


def made(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


@contextlib.contextmanager
def running(command: list[object], url: str, log: Path) -> Iterator[None]:
    """A server, until it answers at ``url`` with whatever."""

    def answers() -> bool:
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    with log.open("wb") as out:
        process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=out)
    try:
        until(answers, log.read_text)
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module", params=["memory", "sftp", "gs", "az"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty directory."""
    patch = pytest.MonkeyPatch()
    scratch = tmp_path_factory.mktemp(request.param)
    patch.setenv("NO_PROXY", "127.0.0.1,localhost")
    patch.setenv("no_proxy", "127.0.0.1,localhost")
    with contextlib.ExitStack() as stack:
        stack.callback(patch.undo)
        yield {"memory": memory, "sftp": sftp, "gs": gs, "az": az}[request.param](scratch, patch, stack)


def memory(scratch: Path, patch: pytest.MonkeyPatch, stack: contextlib.ExitStack) -> str:
    if find_spec("fsspec") is None:
        pytest.skip("needs the package fsspec")
    from bootstrap.storage.file_systems.file_system import FileSystem
    from bootstrap.storage.file_systems.scheme import scheme
    from bootstrap.storage.model.url import bucket_location

    def read(text: str, rest: str) -> object:
        return bucket_location("memory", text, rest)

    row = scheme("memory", "fsspec", "-", FileSystem("memory"), parse=read, example="memory://bucket/prefix/")  # type: ignore[arg-type]
    patch.setitem(SCHEMES, "memory", row)
    return "memory://bucket/job/"


def sftp(scratch: Path, patch: pytest.MonkeyPatch, stack: contextlib.ExitStack) -> str:
    if find_spec("paramiko") is None:
        pytest.skip("needs the package paramiko")
    if not os.path.exists(SSHD):
        pytest.skip("needs sshd (apt-get install openssh-server)")
    return stack.enter_context(running_sftp(scratch, patch))


@contextlib.contextmanager
def running_sftp(scratch: Path, patch: pytest.MonkeyPatch, *options: str) -> Iterator[str]:
    """The URL of an empty directory at a server that our home knows, and that lets us in."""
    with running_sshd(scratch, *options) as (port, key, known):
        home = scratch / "home" / ".ssh"
        home.mkdir(parents=True)
        shutil.copy(key, home / "id_ed25519")
        shutil.copy(known, home / "known_hosts")
        patch.setenv("HOME", str(home.parent))
        patch.delenv("SSH_AUTH_SOCK", raising=False)
        (scratch / "job").mkdir()
        yield f"sftp://root@127.0.0.1:{port}{scratch}/job/"


def gs(scratch: Path, patch: pytest.MonkeyPatch, stack: contextlib.ExitStack) -> str:
    with_clouds(patch, "gcsfs", "gcp_storage_emulator")
    port = free_port()
    code = (
        "import sys; from gcp_storage_emulator.server import create_server as c;"
        "c('127.0.0.1', int(sys.argv[1]), in_memory=True, default_bucket='lab-bucket').run()"
    )
    url = f"http://127.0.0.1:{port}"
    stack.enter_context(running([sys.executable, "-c", code, port], url, scratch / "log"))
    patch.setenv("STORAGE_EMULATOR_HOST", url)
    return "gs://lab-bucket/job/"


def az(scratch: Path, patch: pytest.MonkeyPatch, stack: contextlib.ExitStack) -> str:
    with_clouds(patch, "adlfs")
    port = free_port()
    command = [azurite(), "--silent", "--skipApiVersionCheck", "--location", scratch, "--blobPort", port]
    stack.enter_context(running(command, f"http://127.0.0.1:{port}", scratch / "log"))
    # The account and key that Azurite's documentation gives to everybody.
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    connection = (
        f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={key};"
        f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1;"
    )
    patch.setenv("AZURE_STORAGE_CONNECTION_STRING", connection)
    from adlfs import AzureBlobFileSystem

    AzureBlobFileSystem(connection_string=connection).mkdir("lab-container")
    return "az://lab-container/job/"


# --- with real servers ---


def test_a_tree_goes_there_and_back_whole(place: str, tmp_path: Path) -> None:
    mover = mover_of()
    report = mover.deliver(made(tmp_path / "up", TREE), f"{place}tree/")
    assert report.complete and report.files == len(TREE), report
    assert mover.fetch(f"{place}tree/", tmp_path / "down", direct=True).files == len(TREE)
    assert tree_of(tmp_path / "down") == TREE
    assert os.access(tmp_path / "down" / "a.py", os.X_OK)
    again = made(tmp_path / "again", {"d/e/f": b"g" * 3000})  # of the same size, and perhaps in the same second
    mover.deliver(again, f"{place}tree/")
    mover_of().fetch(f"{place}tree/", tmp_path / "down", direct=True)
    assert (tmp_path / "down" / "d" / "e" / "f").read_bytes() == b"g" * 3000
    grow_old(place)
    mover_of().fetch(f"{place}tree/", tmp_path / "down", direct=True)
    assert mover_of().fetch(f"{place}tree/", tmp_path / "down", direct=True).skipped == len(TREE)
    mover.deliver(made(tmp_path / "last", {"d/e/f": b"h" * 3000}), f"{place}tree/")
    assert mover_of().fetch(f"{place}tree/", tmp_path / "down", direct=True).files == 1
    assert (tmp_path / "down" / "d" / "e" / "f").read_bytes() == b"h" * 3000


def grow_old(place: str) -> None:
    """Over SFTP a file has a time in whole seconds and nothing else: of the latest nothing is remembered."""
    if place.startswith("sftp:"):
        for path in Path("/", parse(place).path).rglob("*"):
            os.utime(path, (path.stat().st_mtime - 60,) * 2)


def test_another_state_of_the_same_size_and_second_is_brought(place: str, tmp_path: Path) -> None:
    if not place.startswith("sftp:"):
        pytest.skip("it tells more than a time in whole seconds")
    there, mover = Path("/", parse(place).path), mover_of()
    mover.deliver(made(tmp_path / "up", {"a": b"one"}), f"{place}quick/")
    mover.fetch(f"{place}quick/", tmp_path / "down", direct=True)
    second = (there / "quick/a").stat().st_mtime
    (there / "quick/a").write_bytes(b"two")
    os.utime(there / "quick/a", (second, second))
    mover.fetch(f"{place}quick/", tmp_path / "down", direct=True)
    assert (tmp_path / "down/a").read_bytes() == b"two"


def test_every_method_of_a_store(place: str, tmp_path: Path) -> None:
    store = mover_of().stores.open(parse(place))
    base = parse(place).path
    for name in ("x/1", "x/2", "x/y/3", "xz"):
        store.write(f"{base}s/{name}", name.encode())
    assert [entry.key for entry in store.entries(f"{base}s/x")] == [
        f"{base}s/{one}" for one in ("x/1", "x/2", "x/y/3", "xz")
    ]
    assert store.children(f"{base}s/x/") == ["1", "2", "y/"]
    assert store.children(f"{base}absent/") == [] and list(store.entries(f"{base}absent/")) == []
    assert store.stat(f"{base}s/x") is None and store.stat(f"{base}absent") is None
    entry = store.stat(f"{base}s/x/y/3")
    assert entry is not None and entry.size == 5 and entry.etag and entry.mtime > 1e9
    assert b"".join(store.read(entry.key, start=1, end=3, etag=entry.etag)) == b"/y"
    store.write(entry.key, b"other")
    if parse(place).scheme in ("gs", "az"):
        changed = store.stat(entry.key)
        assert changed is not None and changed.md5 == hashlib.md5(b"other").hexdigest()
        with pytest.raises(SourceChanging):
            store.read(entry.key, etag=entry.etag)
    store.delete(entry.key)
    store.delete(entry.key)
    with pytest.raises(NothingThere):
        store.read(entry.key)
    writer = store.light_writer()
    assert writer.get([f"{base}s/x/1", entry.key]) == [b"x/1", None]


def test_what_is_not_there_is_named_with_the_nearest(place: str, tmp_path: Path) -> None:
    mover = mover_of()
    mover.stores.open(parse(place)).write(f"{parse(place).path}near/code/x", b"x")
    with pytest.raises(NothingThere, match="near/code"):
        mover.fetch(f"{place}near/cod/", tmp_path / "to")
    assert not (tmp_path / "to").exists() or not list((tmp_path / "to").iterdir())


def test_from_one_place_to_another_without_our_disk(place: str, tmp_path: Path) -> None:
    mover = mover_of()
    mover.deliver(made(tmp_path / "up", TREE), f"{place}from/")
    report = relay(mover.stores, parse(f"{place}from/"), parse(f"{place}to/"), stop=mover.stop, log=mover.log)
    assert report.complete
    mover.fetch(f"{place}to/", tmp_path / "down", direct=True)
    assert tree_of(tmp_path / "down") == TREE


def test_ls_du_and_copy_as_for_a_bucket(place: str, tmp_path: Path) -> None:
    if parse(place).scheme == "memory":
        pytest.skip("memory is a process's own")
    made(tmp_path / "up", {"a": b"12345", "b/c": b"1"})
    environ = {**os.environ, "PATH": os.defpath}

    def bootstrap(*argv: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "bootstrap", *map(str, argv)]
        done = subprocess.run(command, env=environ, text=True, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done

    bootstrap("copy", "-r", tmp_path / "up", f"{place}cli/")
    assert bootstrap("ls", f"{place}cli/").stdout == "a\nb/\n"
    assert "6 bytes" in bootstrap("du", "-s", f"{place}cli/").stdout
    bootstrap("copy", f"{place}cli/a", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"12345"


def test_a_job_takes_code_from_there_and_delivers_log_and_outputs_there(place: str, tmp_path: Path) -> None:
    if parse(place).scheme == "memory":
        pytest.skip("memory is a process's own")
    made(tmp_path / "up", {"run.sh": b"#!/bin/sh\nmkdir -p out\necho result > out/m.bin\necho said\n"})
    mover_of().deliver(tmp_path / "up", parse(f"{place}code/"))
    job = tmp_path / "job"
    command = [sys.executable, "-m", "bootstrap", "run", "--code", f"{place}code/", "--log", f"{place}logs/",
               "--log-file", tmp_path / "x.log", "--job-dir", job, "--work-dir", job,
               "--output", f"{job}/out={place}models/", "--", "sh", "code/run.sh"]  # fmt: skip
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    mover_of().fetch(f"{place}models/", tmp_path / "models", direct=True)
    assert (tmp_path / "models" / "m.bin").read_bytes() == b"result\n"
    mover_of().fetch(f"{place}logs/", tmp_path / "logs", direct=True)
    assert "said" in (tmp_path / "logs" / "x.log").read_text()
    assert "S3_ACCESS_KEY_ID" not in done.stdout + done.stderr, "nobody asked for an object store's keys"


def test_sftp_takes_no_server_that_is_not_known_and_no_foreign_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec("paramiko") is None or not os.path.exists(SSHD):
        pytest.skip("needs the package paramiko, and sshd")
    home = tmp_path / "home" / ".ssh"
    home.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home.parent))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with running_sshd(tmp_path) as (port, key, known):
        url = f"sftp://root@127.0.0.1:{port}{tmp_path}/x"
        shutil.copy(key, home / "id_ed25519")
        with pytest.raises(EndpointWrong, match="known_hosts"):
            mover_of().fetch(url, tmp_path / "to")
        shutil.copy(known, home / "known_hosts")
        with pytest.raises(NothingThere):
            mover_of().fetch(url, tmp_path / "to")
        (home / "id_ed25519").unlink()
        with pytest.raises(CredentialsRejected):
            mover_of().fetch(url, tmp_path / "to")
    with pytest.raises(StoreUnavailable):
        mover_of().fetch(url, tmp_path / "to")


def test_a_bucket_that_is_not_there(place: str, tmp_path: Path) -> None:
    if parse(place).scheme not in ("gs", "az"):
        pytest.skip("it has no buckets")
    store = mover_of().stores.open(parse(f"{parse(place).scheme}://no-such-place/x"))
    with pytest.raises((BucketMissing, NothingThere)):
        store.write("x", b"x")


# --- without ---


@pytest.mark.parametrize(
    "text",
    ["gs://", "gs:/b/k", "gs://me:TOPSECRET@b/k", "az://-/k", "sftp://host", "sftp://u:TOPSECRET@h/p", "sftp:///p",
     "hdfs://a b/p",
     "oss://b?Signature=TOPSECRET"],
)  # fmt: skip
def test_a_malformed_url_is_refused(text: str) -> None:
    with pytest.raises(UrlInvalid) as caught:
        parse(text)
    assert "TOPSECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "package", "extra"),
    [("gs://bkt/k", "gcsfs", "gcs"), ("gcs://bkt/k", "gcsfs", "gcs"),
     ("abfss://con@acc.dfs.core.windows.net/k", "adlfs", "azure"), ("az://con/k", "adlfs", "azure"),
     ("abfs://con@acc.dfs.core.windows.net/k", "adlfs", "azure"),
     ("oss://bkt/k", "ossfs", "oss"), ("sftp://h/p", "paramiko", "sftp"), ("hdfs://h:8020/p", "pyarrow", "hdfs")],
)  # fmt: skip
def test_a_scheme_without_its_package_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, url: str, package: str, extra: str
) -> None:
    monkeypatch.setattr(
        "bootstrap.storage.file_systems.scheme.find_spec", lambda name: None if name == package else object()
    )
    assert str(parse(url)) == url and not needs_keys(parse(url))
    with pytest.raises(SupportMissing, match=package) as caught:
        check_ready(parse(url))
    assert f"modelarts_bootstrap-VERSION-py3-none-any.whl[{extra}]" in caught.value.remedy and caught.value.code == 123


def test_an_extra_is_in_pyproject_for_every_scheme_that_names_one() -> None:
    project = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    for extra in ("gcs", "azure", "oss", "sftp", "hdfs"):
        assert f"\n{extra} = [" in project


@pytest.mark.parametrize("scheme", ["gs", "gcs", "az", "abfs", "abfss", "oss", "hdfs"])
def test_fsspec_knows_each_by_itself(scheme: str) -> None:
    from fsspec.registry import known_implementations

    opened = inspect.getclosurevars(SCHEMES[scheme].open).nonlocals["kind"]
    assert opened.protocol in known_implementations


def test_no_library_is_loaded_by_a_job_that_does_not_use_it() -> None:
    code = (
        "import sys; import bootstrap.storage.transfer, bootstrap.lifecycle\n"
        "from bootstrap.storage.schemes import parse, SCHEMES\n"
        "for one in SCHEMES.values(): parse(one.example)\n"
        "print([m for m in ('fsspec', 'gcsfs', 'adlfs', 'ossfs', 'paramiko', 'pyarrow', 'huggingface_hub',"
        " 'http.client', 'bootstrap.storage.git.store', 'bootstrap.storage.web.store') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_libraries_raise_has_a_cause() -> None:
    from bootstrap.storage.file_systems.troubles import explained

    class Answered(Exception):
        def __init__(self, status: int) -> None:
            super().__init__("said")
            self.status = status

    codes = [explained(Answered(status), "what", "gs://b").id for status in (401, 403, 404, 409, 429, 500)]
    assert codes[:4] == ["credentials-rejected", "permission-denied", "nothing-there", "request-refused"]
    assert codes[4:] == ["store-unavailable"] * 2
    found: list[BootstrapError] = [
        explained(error, "w", "gs://b") for error in (TimeoutError("slow"), ValueError("no"))
    ]
    assert [one.id for one in found] == ["store-unavailable", "request-refused"]
