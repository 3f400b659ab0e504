#!/bin/sh
# The runtime, in two places:
#
#   docker/runtime.sh --tar FILE.tar.gz [BUILD OPTION...]   builds it with docker or podman, and puts it into a tarball for
#                                                           people who cannot build; prints its SHA-256
#   runtime.sh SOURCE_DIR PREFIX                            inside that build: puts the package into the Python of
#                                                           python.sh, and takes out what a job never uses
#
# DOCKER names the engine, where both are installed. With wheels in SOURCE_DIR/docker/wheels pip asks no network.
set -eu

tarball() { # FILE.tar.gz [BUILD OPTION...]
    file=$1 && shift
    engine=${DOCKER:-$(command -v docker || command -v podman || echo docker)}
    here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    "$engine" build --file "$here/Dockerfile.base" --target runtime --tag modelarts-bootstrap:runtime "$@" "$here" >&2
    container=$("$engine" create modelarts-bootstrap:runtime)
    "$engine" export --output "$work/export.tar" "$container"
    "$engine" rm "$container" >/dev/null
    # Beside the runtime an engine exports what it puts into every container.
    mkdir "$work/root"
    tar -x -f "$work/export.tar" -C "$work/root" opt/bootstrap usr/local/bin/bootstrap
    # The same tree gives the same bytes: no time of today, no user of this machine.
    tar -c -C "$work/root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --format=gnu . | gzip -9 -n >"$file.part"
    mv "$file.part" "$file"
    (cd -- "$(dirname -- "$file")" && sha256sum "$(basename -- "$file")") | tee "$file.sha256"
}

case ${1:-} in
    --tar)
        shift
        : "${1:?the name of the tarball, as in: docker/runtime.sh --tar bootstrap-runtime.tar.gz}"
        tarball "$@"
        exit
        ;;
    '' | -*) sed -n '2,/^set /{ /^# \{0,1\}/s///p }' "$0" && exit ;;
esac

source=$1 prefix=$2
python=$prefix/bin/python3
library=$("$python" -I -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
packages=$library/site-packages

# pip works on our Python from outside, and stays there. It takes the versions of docker/requirements*.txt, byte by byte
# those that scripts/pin saw, and what builds the package is no part of the runtime.
"$python" -I -m venv /tmp/pip
if [ -d "$source/docker/wheels" ]; then
    export PIP_NO_INDEX=1 PIP_FIND_LINKS="$source/docker/wheels"
fi
export PIP_QUIET=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_ONLY_BINARY=:all:
/tmp/pip/bin/pip install --require-hashes -r "$source/docker/requirements-build.txt"
/tmp/pip/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/wheel "$source"
/tmp/pip/bin/pip --python "$python" install --no-compile --require-hashes -r "$source/docker/requirements.txt"
/tmp/pip/bin/pip --python "$python" install --no-compile --no-deps /tmp/wheel/*.whl

# Of botocore's 400 services a job talks to two.
for service in "$packages"/botocore/data/*/ "$packages"/boto3/data/*/; do
    case $service in
        */s3/ | */sts/) ;;
        *) rm -rf "$service" ;;
    esac
done
# Nor does it need the other services' addresses, a megabyte that every client would read.
"$python" -I - "$packages/botocore/data/endpoints.json" <<'END'
import json, sys

with open(sys.argv[1], "r+") as file:
    data = json.load(file)
    for partition in data["partitions"]:
        partition["services"] = {name: partition["services"][name] for name in ("s3", "sts") if name in partition["services"]}
    file.seek(0)
    json.dump(data, file)
    file.truncate()
END
cd "$library"
rm -rf config-* ctypes/macholib curses dbm ensurepip idlelib lib2to3 pydoc_data sqlite3 test tkinter turtledemo unittest venv \
    tomllib wsgiref xmlrpc zoneinfo _pyrepl __phello__
# Tools for developers, protocols nobody speaks here, and what is only there for want of a compiled module.
rm -f asyncio/windows_*.py asyncio/proactor_events.py antigravity.py bdb.py cProfile.py code.py codeop.py doctest.py ftplib.py imaplib.py mailbox.py modulefinder.py pdb.py \
    pickletools.py poplib.py profile.py pstats.py pyclbr.py pydoc.py rlcompleter.py smtplib.py statistics.py tabnanny.py \
    timeit.py trace.py turtle.py webbrowser.py zipapp.py _aix_support.py _android_support.py _apple_support.py \
    _ios_support.py _osx_support.py _pydatetime.py _pydecimal.py _pyio.py
rm -f lib-dynload/_test*.so lib-dynload/_ctypes_test*.so lib-dynload/_codecs_*.so lib-dynload/_multibytecodec*.so \
    lib-dynload/_interp*.so lib-dynload/xx*.so
# Text is UTF-8; zip archives know cp437, and host names idna.
find encodings -name '*.py' ! -name __init__.py ! -name aliases.py ! -name ascii.py ! -name 'utf_*.py' ! -name latin_1.py \
    ! -name 'iso8859_1*.py' ! -name cp437.py ! -name cp1252.py ! -name idna.py ! -name punycode.py ! -name charmap.py \
    ! -name '*_escape.py' ! -name '*_codec.py' -delete
# cryptography needs of cffi only what is compiled.
rm -rf "$packages/bootstrap/scripts" "$packages/cffi" "$packages/pycparser" "$packages/dateutil/zoneinfo" "$packages/boto3/examples"
rm -f "$packages"/yaml/_yaml*.so # the same in C, for documents that are larger than any job file
rm -f "$packages"/psutil/_ps[abosw]*.py # other systems than Linux
rm -rf "$prefix/include" "$prefix/share" "$prefix/lib/pkgconfig" "$prefix"/lib/libpython*.a
find "$prefix" -name __pycache__ -prune -exec rm -rf {} +
find "$packages" \( -name tests -o -name testing \) -prune -exec rm -rf {} +
find "$packages" \( -name RECORD -o -name '*.pyi' -o -name '*.pxd' -o -name '*.c' -o -name '*.h' \) -delete
find "$prefix/bin" -type f ! -name 'python3.[0-9]*' -delete
find "$prefix/bin" -name '*config*' -delete
find "$prefix/bin" -type l ! -name python3 -delete
find "$prefix/bin" "$prefix/lib" -type f \( -name 'python3.*' -o -name '*.so' -o -name '*.so.*' \) \
    -exec strip --strip-unneeded {} +

gcc -static -Os -s -Wall -Wextra -Werror -Wno-sign-compare -DPREFIX="\"$prefix\"" -o "$prefix/bin/bootstrap" \
    "$source/docker/bootstrap.c"
mkdir -p "$prefix/command" /link # a directory for PATH that holds nothing else, and a link for /usr/local/bin
ln -s ../bin/bootstrap "$prefix/command/bootstrap"
ln -s "$prefix/bin/bootstrap" /link/bootstrap
cp "$source/docker/entry.py" "$prefix/lib/"
mkdir "$prefix/scripts"
cp "$source"/scripts/run_train.sh "$source"/scripts/run_bootstrap.sh "$source"/scripts/utils.sh "$source"/scripts/*.py \
    "$prefix/scripts/"

# Unchecked: nothing compares time stamps that an image builder may have cut, and a read-only root needs no writing.
"$python" -I -m compileall -q --invalidation-mode unchecked-hash "$library"
chmod -R u=rwX,go=rX "$prefix"
chmod 755 "$prefix"/scripts/*.sh
