"""The servers of the benchmark: nginx with prepared answers (plain, late, or with TLS), and SeaweedFS."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from xml.sax.saxutils import escape

from benchmarks.shaped_server import Shape
from tests.lab.stores import free_ports, running_seaweedfs
from tests.lab.tls import Authority

LATENCY = 0.010  # seconds, one way there and none back: what a request waits
ACCESS, SECRET, REGION = "BENCHACCESSKEY", "bench-secret-key", "lab-region-1"


class Site:
    """A store as the clients see it, and the trees it serves or is sent."""

    def __init__(self, directory: Path, endpoint: str, bucket: str, access: str, secret: str, bundle: str = "") -> None:
        self.bucket = bucket
        self._directory = directory
        self._filled: set[str] = set()
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "S3_ENDPOINT_URL": endpoint,  # s5cmd
            "AWS_ENDPOINT_URL": endpoint,
            "S3_ENDPOINT": endpoint,
            "AWS_ACCESS_KEY_ID": access,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }
        if bundle:
            self.env |= {"AWS_CA_BUNDLE": bundle, "SSL_CERT_FILE": bundle}

    def tree(self, name: str) -> Path:
        return self._directory / "objects" / name

    def fill(self, name: str) -> None:
        """Put the tree into the bucket (SeaweedFS; nginx has it already)."""
        if name not in self._filled:
            script = str(Path(__file__).with_name("boto.py"))
            argv = [sys.executable, script, "up", "threads", self.bucket, f"{name}/", str(self.tree(name))]
            subprocess.run(argv, env=self.env, check=True)
            self._filled.add(name)

    def empty(self, prefix: str) -> None:
        script = "import sys; sys.path.insert(0, sys.argv[1]); import boto; s3 = boto.client()\n"
        script += "for each in boto.listed(s3, *sys.argv[2:4]): s3.delete_object(Bucket=sys.argv[2], Key=each['Key'])"
        argv = [sys.executable, "-c", script, str(Path(__file__).parent), self.bucket, prefix]
        subprocess.run(argv, env=self.env, check=True)

    def check(self, name: str, target: Path) -> None:
        """Every file is there with its size; a client that is fast because it lost some is of no interest."""
        for path in self.tree(name).rglob("*"):
            if path.is_file() and (target / path.relative_to(self.tree(name))).stat().st_size != path.stat().st_size:
                raise SystemExit(f"{path} did not arrive")


def make_trees(directory: Path, small: int, large: int, size: int) -> None:
    """``small`` files, lognormal around 7.5 KB, forty a directory; ``large`` files of ``size``."""
    objects = directory / "objects"
    if objects.exists():
        return
    dice = random.Random(7)
    pool = dice.randbytes(1 << 20)
    for number in range(small):
        path = objects / "small" / f"d{number // 40:03d}" / f"file-{number:05d}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        length = min(len(pool) - 1, int(dice.lognormvariate(8.4, 1.0)))
        start = dice.randrange(len(pool) - length)
        path.write_bytes(pool[start : start + length])
    (objects / "large").mkdir(parents=True)
    for number in range(large):
        with (objects / "large" / f"shard-{number}.bin").open("wb") as file:
            for _ in range(size >> 20):
                file.write(pool)


def prepare(directory: Path, *, md5: bool = False) -> tuple[dict[str, str], dict[str, list[str]]]:
    """An ETag for each object, and the pages of each tree's listing. Large objects have one that is no MD5, as they
    do when they were uploaded in parts, unless ``md5`` is wanted.
    """
    tags: dict[str, str] = {}
    pages: dict[str, list[str]] = {}
    for tree in ("small", "large"):
        files = sorted(path for path in (directory / "objects" / tree).rglob("*") if path.is_file())
        entries = []
        for path in files:
            key = str(path.relative_to(directory / "objects"))
            found = path.stat()
            if tree == "small" or md5:
                digest = hashlib.md5(usedforsecurity=False)
                with path.open("rb") as file:
                    for piece in iter(lambda: file.read(1 << 20), b""):
                        digest.update(piece)
                tags[key] = digest.hexdigest()
            else:
                tags[key] = f"{int(found.st_mtime):x}-{found.st_size:x}"  # as nginx makes it: it knows If-Match then
            entries.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                f"<ETag>&quot;{tags[key]}&quot;</ETag><Size>{found.st_size}</Size>"
                "<StorageClass>STANDARD</StorageClass></Contents>"
            )
        parts = [entries[start : start + 1000] for start in range(0, len(entries), 1000)]
        pages[tree] = [
            '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>objects</Name><Prefix>{tree}/</Prefix><KeyCount>{len(part)}</KeyCount><MaxKeys>1000</MaxKeys>"
            + (
                f"<IsTruncated>true</IsTruncated><NextContinuationToken>page{number + 1}</NextContinuationToken>"
                if number + 1 < len(parts)
                else "<IsTruncated>false</IsTruncated>"
            )
            + "".join(part)
            + "</ListBucketResult>"
            for number, part in enumerate(parts)
        ]
    return tags, pages


def issue(home: Path) -> str:
    """Make ``server.pem``, a certificate for this machine with its key; returns the bundle for clients to trust."""
    import trustme

    authority = Authority(home)
    issued = authority._ca.issue_cert("127.0.0.1", "localhost", key_type=trustme.KeyType.ECDSA)
    issued.private_key_and_cert_chain_pem.write_to_path(str(home / "server.pem"))
    return str(authority.bundle)


def certificate(home: Path, shape: Shape) -> tuple[Shape, dict[str, str]]:
    """The shape with TLS, and what clients have to know for it."""
    bundle = issue(home)
    return replace(shape, certificate=str(home / "server.pem")), {"AWS_CA_BUNDLE": bundle, "SSL_CERT_FILE": bundle}


@contextmanager
def nginx(directory: Path, kind: str, small: int, large: int, size: int) -> Iterator[Site]:
    """nginx that answers GETs and listings as a store does, without looking at signatures."""
    make_trees(directory, small, large, size)
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        raise SystemExit("nginx is not installed")
    home = directory / f"nginx-{kind}"
    home.mkdir()
    tags, pages = prepare(directory, md5=kind == "md5")
    (home / "tags").write_text("".join(f'"/objects/{key}" "\\"{tag}\\"";\n' for key, tag in tags.items()))
    for tree, listed in pages.items():
        for number, page in enumerate(listed):
            (home / f"list-{tree}-{number}.xml").write_text(page)
    (port,) = free_ports(1)
    tls, bundle = "", ""
    if kind == "tls":
        bundle = issue(home)
        tls = f"ssl_certificate {home}/server.pem; ssl_certificate_key {home}/server.pem;"
    (home / "nginx.conf").write_text(f"""
daemon off; worker_processes 2; pid {home}/pid; error_log {home}/error.log;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 2048; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; etag off; keepalive_requests 100000;
  open_file_cache max=10000 inactive=600s; types {{ }} default_type binary/octet-stream;
  client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
  map_hash_max_size 65536; map_hash_bucket_size 256;
  map $uri $tag {{ include {home}/tags; }}
  map $args $tree {{ ~prefix=small small; default large; }}
  map $args $page {{ ~continuation-token=page(?<number>[0-9]+) $number; default 0; }}
  server {{
    listen 127.0.0.1:{port} {"ssl" if tls else ""}; {tls}
    root {directory};
    location = /objects {{ root {home}; try_files /list-$tree-$page.xml =404; default_type application/xml; }}
    location = /objects/ {{ root {home}; try_files /list-$tree-$page.xml =404; default_type application/xml; }}
    location {"/objects/large/" if kind != "md5" else "/none/"} {{ etag on; add_header x-amz-request-id bench; }}
    location / {{ add_header ETag $tag; add_header x-amz-request-id bench; }}
  }}
}}
""")
    server = subprocess.Popen([program, "-c", str(home / "nginx.conf"), "-p", str(home)], stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        with _late(port) if kind == "latency" else _as_it_is(port) as front:
            scheme = "https" if tls else "http"
            yield Site(directory, f"{scheme}://127.0.0.1:{front}", "objects", ACCESS, SECRET, bundle)
    finally:
        server.terminate()
        server.wait()


@contextmanager
def seaweedfs(directory: Path, kind: str, small: int, large: int, size: int) -> Iterator[Site]:
    make_trees(directory, small, large, size)
    with running_seaweedfs(directory / "seaweedfs") as store:
        bucket = store.make_bucket()
        yield Site(directory, store.endpoint, bucket.name, store.access_key, store.secret_key)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit("the server did not start")


@contextmanager
def _as_it_is(port: int) -> Iterator[int]:
    yield port


@contextmanager
def _late(port: int) -> Iterator[int]:
    """A process of its own that hands every byte towards the server on 10 ms later, answers at once."""
    argv = [sys.executable, str(Path(__file__).with_name("latency.py")), str(port), str(LATENCY)]
    proxy = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert proxy.stdout is not None
    try:
        yield int(proxy.stdout.readline())
    finally:
        proxy.terminate()
        proxy.wait()
