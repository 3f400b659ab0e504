#!/bin/sh
# Compiles CPython into PREFIX, with a glibc and a loader of its own: python.sh SOURCE_DIR PREFIX
#
# The interpreter names our loader, and a forced RPATH (not RUNPATH, which LD_LIBRARY_PATH would override, and which does
# not reach what an extension module needs) names our libraries. No architecture is written here: the compiler knows.
set -eu
source=$1 prefix=$2
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

library() { gcc -print-file-name="$1" | xargs readlink -f; }

mkdir -p "$prefix/bin" "$prefix/lib"
printf 'int main(void) { return 0; }\n' >/tmp/probe.c
gcc -o /tmp/probe /tmp/probe.c
loader=$(readelf --program-headers /tmp/probe | sed -n 's/.*interpreter: \(.*\)]/\1/p')
cp -L "$loader" "$prefix/lib/"
# Until glibc 2.34 these were files of their own; names are resolved by modules that libc loads when it needs them.
for name in libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1 libutil.so.1 libresolv.so.2 libnss_files.so.2 \
    libnss_dns.so.2 libgcc_s.so.1; do
    found=$(library "$name")
    if [ -f "$found" ]; then cp -L "$found" "$prefix/lib/$name"; fi
done

cd "$source"
# What every start imports is put into the interpreter, as Debian does it: no search, no mapping, no relocations. So are
# the small libraries that some of it needs.
static='_asyncio|_bisect|_blake2|_bz2|_contextvars|_csv|_datetime|_heapq|_json|_lzma|_opcode|_pickle|_posixsubprocess'
static="$static|_queue|_random|_socket|_struct|array|binascii|fcntl|grp|math|resource|select|termios|zlib"
sed -n -E "s/^#($static) +(.*\\.c)( -l.*)?\$/\\1 \\2/p" Modules/Setup >Modules/Setup.local
# Position-independent code costs a few percent and buys nothing here; Debian's interpreter has none either.
export CFLAGS_NODIST=-fno-pie LINKCC='gcc -no-pie'
export ZLIB_LIBS=-l:libz.a BZIP2_LIBS=-l:libbz2.a LIBLZMA_LIBS=-l:liblzma.a
./configure --quiet --prefix="$prefix" --without-ensurepip --disable-test-modules --without-doc-strings \
    --without-readline --enable-optimizations OPT="-DNDEBUG -O2" \
    LDFLAGS="-Wl,--dynamic-linker=$prefix/lib/${loader##*/} -Wl,--disable-new-dtags -Wl,-rpath,$prefix/lib"
make --silent -j "$(nproc)" PROFILE_TASK="$here/profile.py"
make --silent install >/dev/null

# What Python's own modules need: OpenSSL, libffi, zlib, ...
version=$("$prefix/bin/python3" -I -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
ldd "$prefix/bin/$version" "$prefix/lib/$version"/lib-dynload/*.so | sed -n 's/.* => \(\/.*\) (.*/\1/p' | sort -u |
    while read -r file; do
        if [ ! -e "$prefix/lib/${file##*/}" ]; then cp -L "$file" "$prefix/lib/"; fi
    done
"$prefix/bin/python3" -I "$here/without_clone3.py" "$prefix/lib/libc.so.6"
"$prefix/bin/python3" -I -c 'import bz2, ctypes, lzma, ssl, zlib; print(ssl.OPENSSL_VERSION)'
