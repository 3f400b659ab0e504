"""What it costs to verify what is fetched: ``bootstrap copy --verify`` of large objects, by what a store tells of them.

    python -m benchmarks.verify [--mib 256] [--rounds 3]

Whole processes in turn, from SeaweedFS into a tmpfs; medians. ``of size`` is CPU time by that of ``--verify size``,
which says more than seconds where server and client share their cores. ``by`` is what the objects were verified by.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from boto3.s3.transfer import TransferConfig

from tests.lab.stores import Bucket, running_seaweedfs

MIB = 1 << 20
PART = 8 * MIB


def put(bucket: Bucket, kind: str, content: bytes) -> None:
    """One object below ``kind``/, uploaded so that it has that to be verified by."""
    where: dict[str, Any] = {"Bucket": bucket.name, "Key": f"{kind}/object"}
    if kind != "crc32":
        config = TransferConfig(multipart_threshold=1 if kind == "parts" else 1 << 40, multipart_chunksize=PART)
        bucket.client.upload_fileobj(io.BytesIO(content), where["Bucket"], where["Key"], Config=config)
        return
    how = {"ChecksumType": "FULL_OBJECT"}
    upload = bucket.client.create_multipart_upload(**where, ChecksumAlgorithm="CRC32", **how)["UploadId"]
    parts = []
    for number, start in enumerate(range(0, len(content), PART), 1):
        body = content[start : start + PART]
        part = {"UploadId": upload, "PartNumber": number, "Body": body, "ChecksumAlgorithm": "CRC32"}
        etag = bucket.client.upload_part(**where, **part)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag, "ChecksumCRC32": crc_of(body)})
    end = {"UploadId": upload, "MultipartUpload": {"Parts": parts}, "ChecksumCRC32": crc_of(content)}
    bucket.client.complete_multipart_upload(**where, **end, **how)


def crc_of(content: bytes) -> str:
    return base64.b64encode(zlib.crc32(content).to_bytes(4, "big")).decode()


def copy(bucket: Bucket, kind: str, verify: str) -> tuple[float, float, str]:
    """Wall and CPU seconds, and what the object was verified by."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="verify-") as work:
        words = [str(Path(sys.executable).with_name("bootstrap")), "copy", "-q", "-r", "--format", "json"]
        words += ["--verify", verify, bucket.url(f"{kind}/"), f"{work}/"]
        began = time.monotonic()
        process = subprocess.Popen(words, stdout=subprocess.PIPE, env={**os.environ, **bucket.store.env()})
        assert process.stdout is not None
        told = json.loads(process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"a copy ended with {process.returncode}")
        return time.monotonic() - began, usage.ru_utime + usage.ru_stime, ", ".join(told["verified"])


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mib", type=int, default=256, help="size of the object (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args(words)
    content = os.urandom(arguments.mib * MIB)
    print("| object | --verify | by | wall s | CPU s | of size |\n| --- | --- | --- | --- | --- | --- |")
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm", prefix="verify-") as place,
        running_seaweedfs(Path(place)) as store,
    ):
        bucket = store.make_bucket()
        for kind in ("md5", "parts", "crc32"):
            put(bucket, kind, content)
            runs: dict[str, list[tuple[float, float, str]]] = {"size": [], "auto": [], "always": []}
            for _ in range(arguments.rounds):
                for verify, found in runs.items():
                    found.append(copy(bucket, kind, verify))
            least = statistics.median(cpu for _, cpu, _ in runs["size"])
            for verify, found in runs.items():
                wall = statistics.median(each[0] for each in found)
                cpu = statistics.median(each[1] for each in found)
                print(f"| {kind} | {verify} | {found[0][2]} | {wall:.2f} | {cpu:.2f} | {cpu / least:.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
