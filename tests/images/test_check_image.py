"""``bootstrap check-image`` on images that each have one thing wrong, in all the forms that an image can have."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import lzma
import os
import stat
import struct
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.lab.trees import files_below

ELF = b"\x7fELF\x02\x01\x01" + bytes(9)
PASSWD = (
    "root:x:0:0::/root:/bin/sh\nma-user:x:1000:100::/home/ma-user:/bin/bash\nwork:x:1101:1101::/home/work:/bin/bash\n"
)


def elf(machine: int = 62, loader: str = "/lib/ld.so") -> bytes:
    """The beginning of a program: one PT_INTERP header, as the kernel reads it."""
    name = loader.encode() + b"\0"
    header = ELF + struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 3, 4, 120, 0, 0, len(name), len(name), 1) + name


Files = dict[str, "tuple[int, int, int, bytes | str]"]
"""By path: mode with the type bits, uid, gid, and the content or a link's target."""


def good() -> Files:
    """An image in which everything is right, for both versions of ModelArts."""
    directory, program = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o755
    places = ("bin", "etc", "home", "lib", "usr", "usr/bin", "usr/lib", "etc/ssl", "etc/ssl/certs")
    files: Files = {name: (directory, 0, 0, b"") for name in places}
    files |= {f"bin/{name}": (program, 0, 0, elf()) for name in ("sh", "bash", "stdbuf")}
    files |= {
        "lib/ld.so": (program, 0, 0, elf(loader="")),
        "usr/bin/python3.11": (program, 0, 0, elf()),
        "usr/bin/python3": (stat.S_IFLNK | 0o777, 0, 0, "python3.11"),
        "usr/bin/tool": (program, 0, 0, b"#!/usr/bin/env python3\n"),
        "etc/passwd": (stat.S_IFREG | 0o644, 0, 0, PASSWD.encode()),
        "etc/ssl/certs/ca-certificates.crt": (stat.S_IFREG | 0o644, 0, 0, b"certificates"),
        "home/ma-user": (directory, 1000, 100, b""),
        "home/work": (directory, 1101, 1101, b""),
        "cache": (directory, 1101, 1101, b""),
        "tmp": (stat.S_IFDIR | 0o1777, 0, 0, b""),
    }
    return files


CONFIG: dict[str, Any] = {
    "architecture": "amd64",
    "config": {
        "User": "1000:100",
        "Env": ["PATH=/usr/bin:/bin", "PYTHONUNBUFFERED=1"],
        "Entrypoint": ["/opt/bootstrap/bin/bootstrap", "run", "--"],
    },
}


def tar_of(files: Mapping[str, tuple[int, int, int, bytes | str]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, (mode, uid, gid, content) in files.items():
            info = tarfile.TarInfo(name)
            info.mode, info.uid, info.gid = stat.S_IMODE(mode), uid, gid
            if stat.S_ISDIR(mode):
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) and info.isreg() else None)
    return out.getvalue()


def archive(path: Path, members: Mapping[str, bytes]) -> Path:
    path.write_bytes(tar_of({name: (stat.S_IFREG | 0o644, 0, 0, content) for name, content in members.items()}))
    return path


def docker_archive(path: Path, *layers: bytes, config: Mapping[str, Any] = CONFIG) -> Path:
    members = {f"{number}/layer.tar": layer for number, layer in enumerate(layers)}
    manifest = [{"Config": "config.json", "Layers": list(members)}]
    return archive(
        path, {**members, "config.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    )


def oci_archive(path: Path, *layers: bytes, config: Mapping[str, Any] = CONFIG) -> Path:
    blobs: dict[str, bytes] = {}

    def blob(content: bytes) -> dict[str, str]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"digest": f"sha256:{digest}"}

    manifest = {"config": blob(json.dumps(config).encode()), "layers": [blob(gzip.compress(layer)) for layer in layers]}
    index = {"manifests": [blob(json.dumps(manifest).encode())]}
    return archive(path, {"oci-layout": b"{}", "index.json": json.dumps(index).encode(), **blobs})


def unpacked(path: Path) -> Path:
    """An archive as a directory."""
    directory = path.with_suffix("")
    with tarfile.open(path) as tar:
        tar.extractall(directory, filter="data")
    return directory


def root_of(path: Path, files: Files) -> Path:
    for name, (mode, uid, gid, content) in files.items():
        place = path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if stat.S_ISDIR(mode):
            place.mkdir(exist_ok=True)
        elif isinstance(content, str):
            place.symlink_to(content)
            continue
        else:
            place.write_bytes(content)
        os.chown(place, uid, gid)
        place.chmod(stat.S_IMODE(mode))
    return path


def check(bootstrap: str, *words: str | Path) -> dict[str, Any]:
    told = subprocess.run(
        [bootstrap, "check-image", "--format", "json", *map(str, words)], text=True, capture_output=True
    )
    assert told.returncode in (0, 1), told.stderr
    answer: dict[str, Any] = json.loads(told.stdout)
    errors = [finding for finding in answer["findings"] if finding["level"] == "error"]
    assert told.returncode == bool(errors)
    return answer


def found(told: dict[str, Any], *levels: str) -> dict[str, dict[str, str]]:
    levels = levels or ("error", "warning")
    return {finding["id"]: finding for finding in told["findings"] if finding["level"] in levels}


@pytest.mark.parametrize("form", ["root", "exported tar", "docker archive", "OCI archive"])
def test_an_image_in_which_all_is_right_has_no_findings_in_any_form(tmp_path: Path, bootstrap: str, form: str) -> None:
    if form == "root" and os.geteuid() != 0:
        pytest.skip("lab: files of other users need root")
    path = tmp_path / "image"
    if form == "root":
        root_of(path, good())
    elif form == "exported tar":
        path.write_bytes(tar_of(good()))
    else:
        (docker_archive if form == "docker archive" else oci_archive)(path, tar_of(good()))
    told = check(bootstrap, path, "--", "tool")
    assert told["kind"] == form
    assert told["platform"] == "modelarts"
    assert not found(told)
    assert "/usr/bin/python3.11 (3.11)" in found(told, "note")["python"]["what"]
    assert "run by /usr/bin/python3" in found(told, "note")["command"]["what"]


def file(content: bytes, mode: int = 0o755) -> tuple[int, int, int, bytes]:
    return stat.S_IFREG | mode, 0, 0, content


WRONG: dict[str, tuple[Files, tuple[str, ...], str, str, str]] = {
    # what: (files that are different, command, finding, level, words in it)
    "a driver": ({"usr/lib/libcuda.so.535.1": file(b"x")}, (), "driver", "error", "/usr/lib/libcuda.so.535.1"),
    "an Ascend driver": (
        {"usr/local/Ascend/driver/lib64/libascend_hal.so": file(b"x")}, (), "driver", "error", "libascend_hal"
    ),
    "a home that is not the user's": (
        {"home/ma-user": (stat.S_IFDIR | 0o755, 0, 0, b"")}, (), "directory-read-only", "error", "belongs to 0:0"
    ),
    "a /tmp for root alone": (
        {"tmp": (stat.S_IFDIR | 0o755, 0, 0, b"")}, (), "directory-read-only", "error", "chmod 1777 /tmp"
    ),
    "a ma-user of old": (
        {"etc/passwd": file(b"ma-user:x:1102:1102::/home/ma-user:/bin/sh\n", 0o644)}, (), "user-1102", "error", "1000"
    ),
    "a command that is nowhere": ({}, ("python2", "x.py"), "command", "error", "no file in the image has that name"),
    "a command beside PATH": ({"opt/bin/torchrun": file(b"x")}, ("torchrun",), "command", "error", "ENV PATH=/opt/bin"),
    "a command that is not executable": ({"srv/run": file(b"x", 0o644)}, ("/srv/run",), "command", "error", "chmod +x"),
    "a command on PATH that is not executable": (
        {"usr/bin/tool": file(b"x", 0o644)}, ("tool",), "command", "error", "RUN chmod +x /usr/bin/tool"
    ),
    "a command on PATH whose link leads nowhere": (
        {"usr/bin/python": (stat.S_IFLNK | 0o777, 0, 0, "python2")}, ("python",), "command", "error", "leads nowhere"
    ),
    "a command by a link that leads nowhere": (
        {"usr/bin/python": (stat.S_IFLNK | 0o777, 0, 0, "python2")}, ("/usr/bin/python",), "command", "error", "nowhere"
    ),
    "a directory for a command": ({}, ("/usr/bin",), "command", "error", "/usr/bin is a directory"),
    "a script without its interpreter": (
        {"srv/run": file(b"#!/usr/bin/perl\n")}, ("/srv/run",), "command", "error", "#!/usr/bin/perl"
    ),
    "a script from Windows": ({"srv/run": file(b"#!/bin/sh\r\n")}, ("/srv/run",), "command", "error", "sed -i"),
    "a program without its loader": (
        {"srv/run": file(elf(loader="/lib/ld-musl.so.1"))}, ("/srv/run",), "loader", "error", "/lib/ld-musl.so.1"
    ),
    "a program for another machine": ({"srv/run": file(elf(183))}, ("/srv/run",), "machine", "error", "arm64"),
    "the bootstrap of another machine": (
        {"opt/bootstrap/bin/bootstrap": file(elf(183))}, (), "machine", "error", "--platform linux/amd64"
    ),
    "conda that is not on PATH": (
        {"opt/conda/conda-meta/history": file(b"x", 0o644)}, (), "conda", "warning", "conda activate does not work"
    ),
    "no certificates": ({"etc/ssl/certs/ca-certificates.crt": file(b"", 0o644)}, (), "certificates", "note", "HTTPS"),
    "setuid files": ({"usr/bin/su": file(b"x", 0o4755)}, (), "setuid", "note", "/usr/bin/su"),
    "the user's uid given to another": (
        {"etc/passwd": file(b"ubuntu:x:1000:1000::/home/ubuntu:/bin/sh\n", 0o644)}, (), "user-other", "warning",
        "RUN userdel ubuntu; groupadd --gid 100 ma-group; useradd --uid 1000",
    ),
    "a group without a name": ({"etc/group": file(b"root:x:0:\n", 0o644)}, (), "group-nameless", "note", "gid 100"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_found_with_a_reason_and_a_remedy(tmp_path: Path, bootstrap: str, what: str) -> None:
    files, command, id, level, words = WRONG[what]
    told = check(bootstrap, docker_archive(tmp_path / "image.tar", tar_of({**good(), **files})), "--", *command)
    finding = found(told, level)[id]
    assert words in " ".join(finding.values())
    assert finding["why"]
    assert finding["remedy"]


@pytest.mark.parametrize(
    ("change", "id", "level"),
    [
        ({"Entrypoint": ["/bin/sh", "-c", "python train.py"]}, "entrypoint-shell", "error"),
        ({"Entrypoint": ["/bin/bash", "-o", "pipefail", "-c", "python train.py"]}, "entrypoint-shell", "error"),
        ({"Entrypoint": ["/bin/bash", "-eu", "-lc", "cd /x; python execute.py"]}, "entrypoint-shell", "error"),
        ({"Entrypoint": [], "Cmd": ["/bin/sh", "-c", "python train.py"]}, "command-shell", "warning"),
        ({"Entrypoint": ["/usr/bin/tini", "--"]}, "entrypoint-other", "note"),
        ({"User": ""}, "user-root", "warning"),
        ({"User": "nobody-here"}, "user-unknown", "error"),
        ({"User": "1000:nobodies"}, "group-unknown", "error"),
        ({"User": "4321"}, "user-nameless", "note"),
        ({"User": "999"}, "user-range", "warning"),
        ({"User": "65536"}, "user-range", "warning"),
        ({"Env": ["PATH=/bin"], "Entrypoint": []}, "unbuffered", "warning"),
        ({"Env": ["LD_PRELOAD=/usr/lib/libjemalloc.so"]}, "preload", "warning"),
        ({"Env": ["PYTHONHOME=/opt/conda"]}, "pythonhome", "warning"),
    ],
)
def test_what_the_configuration_says_is_checked(
    tmp_path: Path, bootstrap: str, change: dict[str, Any], id: str, level: str
) -> None:
    config = {**CONFIG, "config": {**CONFIG["config"], **change}}
    told = check(bootstrap, oci_archive(tmp_path / "image.tar", tar_of(good()), config=config))
    assert id in found(told, level), told


@pytest.mark.parametrize(
    "argv",
    [
        ["/bin/sh", "-c", 'exec python "$@"', "sh"],
        ["/bin/bash", "-ec", ". /opt/env; exec python"],
        ["/bin/sh", "/entry.sh", "-c", "python"],
        ["/bin/sh"],
    ],
)
def test_a_shell_that_hands_its_place_on_or_runs_a_file_is_fine(
    tmp_path: Path, bootstrap: str, argv: list[str]
) -> None:
    config = {**CONFIG, "config": {**CONFIG["config"], "Entrypoint": argv}}
    told = check(bootstrap, docker_archive(tmp_path / "image.tar", tar_of(good()), config=config))
    assert "entrypoint-shell" not in found(told)


def test_v1_refuses_what_its_audit_refuses_and_no_more(tmp_path: Path, bootstrap: str) -> None:
    old = {**good(), "usr/bin/su": file(b"x", 0o4755), "usr/lib/gone.so": file(b"x", 0o644)}
    new = {**old, "usr/bin/mine": file(b"x", 0o4755), "bin/bash": file(elf() + b"changed"), "usr/bin/added": file(b"x")}
    del new["usr/lib/gone.so"]
    config = {**CONFIG, "config": {**CONFIG["config"], "User": "work"}}
    base = docker_archive(tmp_path / "base.tar", tar_of(old))
    image = docker_archive(tmp_path / "image.tar", tar_of(new), config=config)
    told = found(check(bootstrap, "--platform", "dls", "--base", base, image), "error")
    assert set(told) == {"setuid", "system-changed", "system-removed"}
    assert told["setuid"]["where"] == "/usr/bin/mine"
    assert told["system-changed"]["where"] == "/bin/bash"
    assert told["system-removed"]["where"] == "/usr/lib/gone.so"


def test_v1_is_warned_of_what_its_documentation_leaves_open(tmp_path: Path, bootstrap: str) -> None:
    """Important files of /etc and the tools in the home may not be changed; which ones is not said."""
    old = {
        **good(),
        "etc/profile": file(b"old", 0o644),
        "etc/hosts": file(b"old", 0o644),
        "home/work/run_train.sh": file(b"old"),
        "home/work/data": file(b"old", 0o644),
    }
    new = {name: (*entry[:3], b"new") if entry[3] == b"old" else entry for name, entry in old.items()}
    new["usr/bin/theirs"] = (stat.S_IFREG | 0o4755, 1101, 1101, b"x")  # the audit asks for root's alone
    config = {**CONFIG, "config": {**CONFIG["config"], "User": "work"}}
    base = docker_archive(tmp_path / "base.tar", tar_of(old))
    told = found(
        check(
            bootstrap, "--platform", "dls", "--base", base, docker_archive(tmp_path / "i", tar_of(new), config=config)
        )
    )
    assert set(told) == {"configuration-changed"}
    assert told["configuration-changed"]["where"] == "/etc/profile, /home/work/data, /home/work/run_train.sh"


def test_a_file_that_is_closed_to_us_does_not_count_as_changed(tmp_path: Path, bootstrap: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("lab: files of other users need root")
    files = {**good(), "usr/bin/sudo": file(b"x", 0o4111), "root/secret": file(b"x", 0o600)}
    root = root_of(tmp_path / "root", files)
    (root / "root").chmod(0)
    base = docker_archive(tmp_path / "base.tar", tar_of(files))
    (root / "usr/bin/sudo").chmod(0o4111)
    words = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", bootstrap, "check-image", "--format=json"]
    told = subprocess.run([*words, f"--base={base}", root], text=True, capture_output=True)
    assert told.returncode == 0, told.stdout + told.stderr
    notes = found(json.loads(told.stdout), "note")
    assert "system-changed" not in notes
    assert notes["unread"]["where"] == "/root"


def test_v1_wants_its_user_by_default(tmp_path: Path, bootstrap: str) -> None:
    image = docker_archive(tmp_path / "image.tar", tar_of(good()))
    assert set(found(check(bootstrap, "--platform", "dls", image), "error")) == {"user-default"}


@pytest.mark.parametrize("make", [docker_archive, oci_archive])
def test_later_layers_replace_and_remove_what_earlier_ones_have(tmp_path: Path, bootstrap: str, make: Any) -> None:
    first = {
        **good(),
        "usr/lib/libcuda.so.1": file(b"x"),
        "opt/nvidia": (stat.S_IFDIR | 0o755, 0, 0, b""),
        "opt/nvidia/nvidia-smi": file(b"x"),
        "usr/bin/su": file(b"x", 0o4755),
    }
    second = {
        "usr/lib/.wh.libcuda.so.1": file(b""),
        "opt/nvidia/.wh..wh..opq": file(b""),
        "opt/nvidia/readme": file(b"x", 0o644),
        "usr/bin/su": file(b"x"),
    }
    told = check(bootstrap, make(tmp_path / "image.tar", tar_of(first), tar_of(second)))
    assert not found(told)
    assert "setuid" not in found(told, "note")


def test_a_layout_that_nobody_packed_is_no_root(tmp_path: Path, bootstrap: str) -> None:
    told = check(bootstrap, unpacked(oci_archive(tmp_path / "image.tar", tar_of(good()))), "--", "tool")
    assert told["kind"] == "OCI layout"
    assert not found(told)


def test_an_archive_whose_names_begin_with_a_dot_is_the_same(tmp_path: Path, bootstrap: str) -> None:
    directory = unpacked(oci_archive(tmp_path / "image.tar", tar_of(good())))
    subprocess.run(["tar", "-C", directory, "-cf", tmp_path / "dots.tar", "."], check=True)
    assert check(bootstrap, tmp_path / "dots.tar")["kind"] == "OCI archive"


def test_of_an_index_the_image_that_was_saved_is_checked(tmp_path: Path, bootstrap: str) -> None:
    """As engines save one of many machines' images: the others, and statements about it, are named and not there."""
    directory = unpacked(oci_archive(tmp_path / "image.tar", tar_of(good())))
    index = json.loads((directory / "index.json").read_text())
    statement = {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}, **index["manifests"][0]}
    index["manifests"] = [{"digest": f"sha256:{'0' * 64}"}, statement, *index["manifests"]]
    (directory / "index.json").write_text(json.dumps(index))
    told = check(bootstrap, directory)
    assert (told["kind"], told["files"]) == ("OCI layout", len(good()))


def test_of_several_images_it_says_which_one_was_checked(tmp_path: Path, bootstrap: str) -> None:
    directory = unpacked(docker_archive(tmp_path / "image.tar", tar_of(good())))
    manifest = json.loads((directory / "manifest.json").read_text())
    files = files_below(directory)
    files["manifest.json"] = json.dumps(manifest * 2).encode()
    assert check(bootstrap, archive(tmp_path / "two.tar", files))["kind"] == "docker archive, the first of 2 images"


def test_without_its_configuration_an_image_is_not_blamed_for_it(tmp_path: Path, bootstrap: str) -> None:
    files = {**good(), "opt/conda/bin/python": file(elf()), "opt/conda/conda-meta/history": file(b"x", 0o644)}
    (tmp_path / "root.tar").write_bytes(tar_of(files))
    told = check(bootstrap, tmp_path / "root.tar", "--", "python")
    assert set(found(told)) == {"command"}
    assert "the image's PATH is not known here" in found(told, "warning")["command"]["why"]
    assert found(told, "note")["configuration"]["what"] == "USER, ENV and ENTRYPOINT were not checked"


def test_a_directory_whose_name_begins_with_a_dot_is_not_another_one(tmp_path: Path, bootstrap: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("lab: files of other users need root")
    root = root_of(tmp_path / "root", {**good(), ".usr/lib/libcuda.so.535.1": file(b"x")})
    assert found(check(bootstrap, root))["driver"]["where"] == "/.usr/lib/libcuda.so.535.1"


def test_a_drivers_file_that_an_engine_mounts_is_no_part_of_the_image(tmp_path: Path, bootstrap: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("lab: a mount needs root")
    root = root_of(tmp_path / "root", {**good(), "usr/lib/libcuda.so.535.1": file(b""), "etc/mtab": file(b"")})
    (tmp_path / "libcuda.so").write_bytes(elf())
    script = 'mount --bind "$1" "$2/usr/lib/libcuda.so.535.1"; exec "$3" check-image --format json "$2"'
    words = ["unshare", "--mount", "sh", "-ec", script, "sh", str(tmp_path / "libcuda.so"), str(root), bootstrap]
    told = subprocess.run(words, text=True, capture_output=True)
    assert told.returncode == 0, told.stdout + told.stderr
    assert not found(json.loads(told.stdout))


def test_a_size_beyond_the_platforms_bound_is_an_error(tmp_path: Path, bootstrap: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("lab: files of other users need root")
    root = root_of(tmp_path / "root", good())
    os.truncate(root_of(root, {"srv/model.bin": file(b"", 0o644)}) / "srv/model.bin", 10 * 10**9)  # a hole, no bytes
    assert "size" in found(check(bootstrap, "--platform", "dls", root), "error")
    assert "size" in found(check(bootstrap, "--platform", "modelarts", root), "note")


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def corrupt(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + b"\xff" * 30 + content[middle + 30 :]


def image_of(layer: bytes, manifest: object = None, config: object = CONFIG) -> dict[str, bytes]:
    named = [{"Config": "config", "Layers": ["layer"]}] if manifest is None else manifest
    return {"manifest.json": json.dumps(named).encode(), "config": json.dumps(config).encode(), "layer": layer}


def index_of(*digests: str) -> bytes:
    return json.dumps({"manifests": [{"digest": digest} for digest in digests]}).encode()


LAYER = tar_of(good())
NO_IMAGE: dict[str, bytes | dict[str, bytes]] = {
    "text": b"this is text",
    "nothing": b"",
    "no gzip": b"\x1f\x8b\x08 broken",
    "half a root": LAYER[: len(LAYER) // 2 // 512 * 512 + 100],
    "half a root, compressed": half(gzip.compress(LAYER)),
    "a damaged root, by gzip": corrupt(gzip.compress(LAYER)),
    "a damaged root, by xz": corrupt(lzma.compress(LAYER)),
    "half a layer": image_of(half(gzip.compress(LAYER))),
    "a damaged layer": image_of(corrupt(gzip.compress(LAYER))),
    "a layer that is cut off in a header": image_of(LAYER[:1636]),
    "no layer": image_of(LAYER, [{"Config": "config", "Layers": ["gone"]}]),
    "no images": image_of(LAYER, []),
    "another manifest": image_of(LAYER, {"schemaVersion": 2}),
    "a manifest with nothing in it": image_of(LAYER, [{"Config": None, "Layers": None}]),
    "a configuration that is a list": image_of(LAYER, config=[]),
    "a configuration with a word for a list": image_of(LAYER, config={"config": {"Env": "A=b"}}),
    "an index that names nothing": {"index.json": index_of()},
    "an index of what is not there": {"index.json": index_of("sha256:aa")},
    "an index that names itself": {"index.json": index_of("sha256:aa"), "blobs/sha256/aa": index_of("sha256:aa")},
    "an index that is a list": {"index.json": b"[]"},
    "no JSON": {"index.json": b"{"},
}


@pytest.mark.parametrize("what", NO_IMAGE)
def test_what_is_no_whole_image_is_said_in_one_line(tmp_path: Path, bootstrap: str, what: str) -> None:
    content = NO_IMAGE[what]
    path = tmp_path / "image"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        archive(path, content)
    told = subprocess.run([bootstrap, "check-image", path], text=True, capture_output=True, timeout=60)
    assert (told.returncode, told.stdout) == (114, ""), told.stderr
    assert f"({path})" in told.stderr
    assert "docker save -o image.tar IMAGE" in told.stderr
    assert told.stderr.count("\n") == 1


def test_an_image_that_is_not_there_is_said(tmp_path: Path, bootstrap: str) -> None:
    told = subprocess.run([bootstrap, "check-image", tmp_path / "image"], text=True, capture_output=True)
    assert told.returncode == 111
    assert "there is no image to check" in told.stderr
    assert told.stderr.count("\n") == 1


def test_the_text_is_for_people(tmp_path: Path, bootstrap: str) -> None:
    config = {**CONFIG, "config": {**CONFIG["config"], "Entrypoint": ["/bin/sh", "-c", "python train.py"]}}
    files = {name: entry for name, entry in good().items() if name != "bin/stdbuf"}
    image = docker_archive(tmp_path / "image.tar", tar_of(files), config=config)
    told = subprocess.run([bootstrap, "check-image", image], text=True, capture_output=True)
    assert told.returncode == 1
    lines = told.stdout.splitlines()
    assert lines[0] == f"{image}: docker archive, {len(files)} files"
    assert lines[3] == "error    the entry point has the shell form [entrypoint-shell]"
    assert "without its last log" in told.stdout
    note = lines.index("note     there is no stdbuf [stdbuf]")
    assert lines[note + 1].strip().startswith("why: ")
    assert lines[note + 2].strip() == "do: install coreutils, or run with --pty"
    assert lines[-1].startswith("1 errors, 0 warnings, ")


def test_a_word_in_the_wrong_place_is_said(tmp_path: Path, bootstrap: str) -> None:
    told = subprocess.run([bootstrap, "check-image", tmp_path, "--format", "json"], text=True, capture_output=True)
    assert told.returncode == 101
    assert "unexpected: --format json" in told.stderr
