"""OpenSSH's own server on a port of the loopback, with a key of its own and one that it lets in."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.lab.waiting import until
from tests.lab.web import free_port

SSHD = "/usr/sbin/sshd"


@contextlib.contextmanager
def running_sshd(scratch: Path, *options: str) -> Iterator[tuple[int, Path, Path]]:
    """Yields the port, the private key that is let in, and a known_hosts with the server's. ``options`` are lines of
    ``sshd_config``; without any, its limits are those that OpenSSH comes with.
    """
    host_key, key = scratch / "host-key", scratch / "user-key"
    for path in (host_key, key):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    port = free_port()
    Path("/run/sshd").mkdir(exist_ok=True)  # where sshd locks its children in; Debian's is compiled so
    authorized = scratch / "authorized_keys"
    authorized.write_text(key.with_suffix(".pub").read_text())
    (scratch / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {host_key}\nAuthorizedKeysFile {authorized}\nStrictModes no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nPidFile none\nPermitRootLogin yes\n"
        "Subsystem sftp internal-sftp\n" + "".join(f"{option}\n" for option in options)
    )
    known = scratch / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {host_key.with_suffix('.pub').read_text()}")
    with (scratch / "sshd.log").open("wb") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", scratch / "sshd_config"], stderr=log)

    def answers() -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    try:
        until(answers, lambda: (scratch / "sshd.log").read_text())
        yield port, key, known
    finally:
        process.terminate()
        process.wait()
