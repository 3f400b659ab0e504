"""What people write with boto3 themselves, and the old downloader's way, as programs to compare with.

python boto.py down|up threads|sequential|obstore BUCKET PREFIX PATH
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

LARGE = 8 << 20
RANGE = 5 << 20


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


def down_obstore(bucket: str, prefix: str, root: Path) -> None:
    import obstore
    from obstore.store import S3Store

    options = {"allow_http": True, "allow_invalid_certificates": True}
    store = S3Store(bucket, endpoint=os.environ["AWS_ENDPOINT_URL"], client_options=options)

    def bring(key: str) -> None:
        path = root / key[len(prefix) :]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for piece in obstore.get(store, key):
                file.write(piece)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(bring, [each["path"] for page in obstore.list(store, prefix) for each in page]))


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
