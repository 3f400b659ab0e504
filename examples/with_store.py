"""Runs a command beside a real object store: with_store.py [DIR=PREFIX ...] -- COMMAND...

The store has a bucket `my-bucket`, with the content of each DIR below PREFIX. The command finds the store by the usual
variables. At the end, what the bucket holds then is listed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.lab.stores import Bucket, running_seaweedfs


def main(words: list[str]) -> int:
    divider = words.index("--")
    with tempfile.TemporaryDirectory() as directory, running_seaweedfs(Path(directory)) as store:
        bucket: Bucket = store.make_bucket("my-bucket")
        for pair in words[:divider]:
            source, _, prefix = pair.partition("=")
            for path in sorted(Path(source).rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    bucket.put(prefix + str(path.relative_to(source)), path.read_bytes())
        code = subprocess.run(words[divider + 1 :], env={**os.environ, **store.env()}).returncode
        print("\nin the bucket now:")
        for name, data in sorted(bucket.tree("").items()):
            print(f"  obs://my-bucket/{name}  {len(data)} bytes")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
