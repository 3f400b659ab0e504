"""Makes a conda package, a channel of it, and an environment at argv[1] with it installed, all with conda's own tooling
(rattler, which pixi is built on), and prints the script with which that tooling activates the environment in bash.
"""

import asyncio
import hashlib
import io
import json
import os
import sys
import tarfile
from pathlib import Path

import rattler
from rattler.index import index_fs
from rattler.shell import ActivationVariables, activate

NAME, PLATFORM = "lab-toolkit-1.0-0", "noarch"
FILES = {
    "bin/lab-tool": "#!/bin/sh\necho the tool of the environment\n",
    "etc/conda/env_vars.d/lab.json": json.dumps({"LAB_DATA": "of the package", "LAB_MODE": "package"}),
    "etc/conda/activate.d/10-first.sh": 'export LAB_SEEN="$CONDA_PREFIX|$LAB_MODE"\nexport LAB_LINES="a\nb"\n',
    "etc/conda/activate.d/20-second.sh": 'export LAB_SEEN="$LAB_SEEN|second"\nunset LAB_GONE\n',
}


def package(directory: Path) -> None:
    index = {
        "name": "lab-toolkit",
        "version": "1.0",
        "build": "0",
        "build_number": 0,
        "depends": [],
        "subdir": PLATFORM,
    }
    paths = [
        {
            "_path": name,
            "path_type": "hardlink",
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "size_in_bytes": len(text.encode()),
        }
        for name, text in FILES.items()
    ]
    told = {"info/index.json": json.dumps({**index, "timestamp": 1_700_000_000_000})}
    told["info/paths.json"] = json.dumps({"paths": paths, "paths_version": 1})
    directory.mkdir(parents=True)
    with tarfile.open(directory / f"{NAME}.tar.bz2", "w:bz2") as archive:
        for name, text in {**told, **FILES}.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text.encode()), 0o755 if name.startswith("bin/") else 0o644
            archive.addfile(member, io.BytesIO(text.encode()))


async def install(prefix: Path, channel: Path) -> None:
    package(channel / PLATFORM)
    await index_fs(channel)
    records = await rattler.solve([rattler.Channel(channel.as_uri())], ["lab-toolkit"], platforms=[PLATFORM])
    await rattler.install(records, prefix, cache_dir=channel / "cache", show_progress=False)


prefix = Path(sys.argv[1])
asyncio.run(install(prefix, prefix.parent.parent / "channel"))
(prefix / "conda-meta/state").write_text(json.dumps({"env_vars": {"LAB_MODE": "of the person"}}))
print(activate(prefix, ActivationVariables(current_path=os.environ["PATH"].split(os.pathsep))).script)
