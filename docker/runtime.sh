#!/bin/sh
# Puts the package into the Python of python.sh, and takes out what a job never uses: runtime.sh SOURCE_DIR PREFIX
#
# With wheels in SOURCE_DIR/docker/wheels nothing is asked of a network.
set -eu
source=$1 prefix=$2
python=$prefix/bin/python3
library=$("$python" -I -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
packages=$library/site-packages

# pip works on our Python from outside, and stays there.
"$python" -I -m venv /tmp/pip
if [ -d "$source/docker/wheels" ]; then
    export PIP_NO_INDEX=1 PIP_FIND_LINKS="$source/docker/wheels"
fi
/tmp/pip/bin/pip --python "$python" install --quiet --no-compile --no-cache-dir --disable-pip-version-check \
    --root-user-action=ignore "${source}[secrets]"

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
rm -rf config-* curses dbm ensurepip idlelib lib2to3 pydoc_data sqlite3 test tkinter turtledemo unittest venv \
    wsgiref xmlrpc _pyrepl __phello__
# Tools for developers, protocols nobody speaks here, and what is only there for want of a compiled module.
rm -f antigravity.py bdb.py cProfile.py code.py codeop.py doctest.py ftplib.py imaplib.py mailbox.py modulefinder.py pdb.py \
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
rm -rf "$packages/cffi" "$packages/pycparser" "$packages/dateutil/zoneinfo" "$packages/boto3/examples"
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
cp "$source/docker/entry.py" "$prefix/lib/"
mkdir "$prefix/scripts"
cp "$source"/scripts/run_train.sh "$source"/scripts/run_bootstrap.sh "$source"/scripts/utils.sh "$source"/scripts/*.py \
    "$prefix/scripts/"

# Unchecked: nothing compares time stamps that an image builder may have cut, and a read-only root needs no writing.
"$python" -I -m compileall -q --invalidation-mode unchecked-hash "$library"
chmod -R u=rwX,go=rX "$prefix"
chmod 755 "$prefix"/scripts/*.sh
