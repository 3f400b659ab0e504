"""What people write with boto3 themselves, and the old downloader's way, as programs to compare with.

python boto.py down|up threads|sequential|obstore|awscrt BUCKET PREFIX PATH
"""

from __future__ import annotations

import os
import sys
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

LARGE = 8 << 20
RANGE = 5 << 20
PIECE = 16 << 20


def client() -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        s3={"addressing_style": "path"}, request_checksum_calculation="when_required", max_pool_connections=32
    )
    return boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], config=config)


def listed(s3: Any, bucket: str, prefix: str) -> list[dict[str, Any]]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [found for page in pages for found in page.get("Contents", [])]


def down_threads(bucket: str, prefix: str, root: Path) -> None:
    s3 = client()

    def bring(found: dict[str, Any]) -> None:
        path = root / found["Key"][len(prefix) :]
        path.parent.mkdir(parents=True, exist_ok=True)
        if found["Size"] > LARGE:
            s3.download_file(bucket, found["Key"], str(path))
        else:
            path.write_bytes(s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read())

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(bring, listed(s3, bucket, prefix)))


def down_sequential(bucket: str, prefix: str, root: Path) -> None:
    """One HEAD and then 5 MiB at a time, one object after another, as the old modelarts-downloader does."""
    s3 = client()
    for found in listed(s3, bucket, prefix):
        path = root / found["Key"][len(prefix) :]
        path.parent.mkdir(parents=True, exist_ok=True)
        size = s3.head_object(Bucket=bucket, Key=found["Key"])["ContentLength"]
        with path.open("wb") as file:
            for start in range(0, size, RANGE):
                piece = f"bytes={start}-{min(start + RANGE, size) - 1}"
                file.write(s3.get_object(Bucket=bucket, Key=found["Key"], Range=piece)["Body"].read())


def obstore_bucket(bucket: str) -> Any:
    from obstore.store import S3Store

    options = {"allow_http": True, "allow_invalid_certificates": True}
    return S3Store(bucket, endpoint=os.environ["AWS_ENDPOINT_URL"], client_options=options)


def down_obstore(bucket: str, prefix: str, root: Path) -> None:
    """Ranges of 16 MiB, 64 at once, each written where it belongs."""
    import obstore

    store = obstore_bucket(bucket)

    def bring(key: str, start: int, end: int) -> None:
        path = root / key[len(prefix) :]
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.pwrite(file, obstore.get_range(store, key, start=start, end=end), start)
        os.close(file)

    found = [(each["path"], each["size"]) for page in obstore.list(store, prefix) for each in page]
    pieces = [(key, at, min(size, at + PIECE)) for key, size in found for at in range(0, size, PIECE)]
    with ThreadPoolExecutor(64) as pool:
        list(pool.map(bring, *zip(*pieces, strict=True)))


def up_obstore(bucket: str, prefix: str, root: Path) -> None:
    import obstore

    store = obstore_bucket(bucket)
    with ThreadPoolExecutor(64) as pool:
        files = [path for path in root.rglob("*") if path.is_file()]
        list(pool.map(lambda path: obstore.put(store, prefix + str(path.relative_to(root)), path), files))


def crt_client(bucket: str) -> tuple[Any, str]:
    """The AWS CRT's own client, which opens as many connections as its throughput target asks for; and the host."""
    from awscrt.auth import AwsCredentialsProvider
    from awscrt.io import ClientTlsContext, TlsConnectionOptions, TlsContextOptions
    from awscrt.s3 import S3Client, S3RequestTlsMode, create_default_s3_signing_config

    endpoint = urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL"])
    provider = AwsCredentialsProvider.new_static(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    region = os.environ["AWS_REGION"]
    mode, tls = S3RequestTlsMode.DISABLED, None
    if endpoint.scheme == "https":
        options = TlsContextOptions()
        options.override_default_trust_store_from_path(None, os.environ["AWS_CA_BUNDLE"])
        mode, tls = S3RequestTlsMode.ENABLED, TlsConnectionOptions(ClientTlsContext(options))
    signing = create_default_s3_signing_config(region=region, credential_provider=provider)
    client = S3Client(
        region=region, tls_mode=mode, tls_connection_options=tls, signing_config=signing, throughput_target_gbps=10
    )
    return client, endpoint.netloc


def with_crt(way: str, bucket: str, prefix: str, files: dict[str, Path]) -> None:
    """Hand all files to it at once."""
    from awscrt.http import HttpHeaders, HttpRequest
    from awscrt.s3 import S3RequestType

    client, host = crt_client(bucket)
    requests = []
    for key, path in files.items():
        headers = HttpHeaders([("Host", host)])
        if way == "up":
            headers.add("Content-Type", "binary/octet-stream")
            headers.add("Content-Length", str(path.stat().st_size))
            request = HttpRequest("PUT", f"/{bucket}/{key}", headers)
            made = client.make_request(type=S3RequestType.PUT_OBJECT, request=request, send_filepath=str(path))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            request = HttpRequest("GET", f"/{bucket}/{key}", headers)
            made = client.make_request(type=S3RequestType.GET_OBJECT, request=request, recv_filepath=str(path))
        requests.append(made)
    for made in requests:
        made.finished_future.result(600)


def down_awscrt(bucket: str, prefix: str, root: Path) -> None:
    keys = [found["Key"] for found in listed(client(), bucket, prefix)]
    with_crt("down", bucket, prefix, {key: root / key[len(prefix) :] for key in keys})


def up_awscrt(bucket: str, prefix: str, root: Path) -> None:
    files = [path for path in root.rglob("*") if path.is_file()]
    with_crt("up", bucket, prefix, {prefix + str(path.relative_to(root)): path for path in files})


def up_threads(bucket: str, prefix: str, root: Path) -> None:
    s3 = client()

    def send(path: Path) -> None:
        key = prefix + str(path.relative_to(root))
        if path.stat().st_size > LARGE:
            s3.upload_file(str(path), bucket, key)
        else:
            s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(send, [path for path in root.rglob("*") if path.is_file()]))


if __name__ == "__main__":
    direction, way, *where, place = sys.argv[1:]
    globals()[f"{direction}_{way}"](*where, Path(place))
