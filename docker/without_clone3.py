"""Our C library never asks the kernel for clone3: without_clone3.py LIBC

glibc falls back to clone where clone3 is not implemented (ENOSYS). The seccomp profiles of old engines answer EPERM
instead, to this call and to every number they do not know, and no thread can be started. The library travels with us,
so that we may say it here: the two instructions that make the call become the answer. A library that has no such call
stays as it is.
"""

import os
import struct
import sys

CLONE3, ENOSYS = 435, 38
SAID_INSTEAD = {
    # mov $435, %eax; syscall  ->  mov $-38, %rax
    b"\xb8" + struct.pack("<I", CLONE3) + b"\x0f\x05": b"\x48\xc7\xc0" + struct.pack("<i", -ENOSYS),
    # mov x8, #435; svc #0  ->  mov x0, #-38; nop
    struct.pack("<II", 0xD2800008 | CLONE3 << 5, 0xD4000001): struct.pack(
        "<II", 0x92800000 | (ENOSYS - 1) << 5, 0xD503201F
    ),
}

path = sys.argv[1]
with open(path, "rb") as file:
    library = file.read()
for call, answer in SAID_INSTEAD.items():
    assert len(call) == len(answer)
    sys.stdout.write(f"{os.path.basename(path)}: {library.count(call)} calls of clone3 in this form are answered\n")
    library = library.replace(call, answer)
with open(path + ".new", "wb") as file:  # not in place: this very program runs on it
    file.write(library)
os.chmod(path + ".new", os.stat(path).st_mode)
os.rename(path + ".new", path)
