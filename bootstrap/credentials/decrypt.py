"""Encrypted variables: ``DLS_AES__NAME`` through the platform's tools, ``BOOTSTRAP_SECRET__NAME`` by our open way.

The platform's two tools are closed; this is how their callers use them (run_train.sh's ``decrypt_dls_aes_env``):

- ``dls-decryptor KEYFILE CIPHER`` prints one plaintext, used when ``DLS_DECRYPTOR_KEY_FILE`` is set;
- ``dls-key-client`` reads ciphertexts from stdin, one a line, and prints the plaintexts in the same order, used when
  ``DLS_KEY_ENDPOINT`` and ``DLS_KEY_JOB_ID`` are set.

Plaintexts stay in our memory: no shell, no temporary file, no argument list. (A *cipher* is an argument of
``dls-decryptor``: its interface leaves no choice, and without the key it tells nothing.)
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import SecretUnreadable
from ..job import Log
from ..masking.registry import Secrets
from ..reporting.prose import counted
from .names import DLS_CIPHER, DLS_KEY_FILE, DLS_KEY_SERVICE, OUR_CIPHER, OUR_KEY_FILE
from .sealing import Seal, key_file_warning

if TYPE_CHECKING:
    import subprocess

LIMIT = 30.0
"""Seconds for one call of a tool: ``dls-key-client`` asks a service over the network."""


def decrypt_environment(
    environ: Mapping[str, str], secrets: Secrets, log: Log, *, limit: float = LIMIT
) -> dict[str, str]:
    """NAME -> plaintext of every encrypted variable. Our own spelling counts where both encrypt the same name.

    :raises SecretUnreadable: names the variables that stay closed, and why
    """
    found = _with_platform_tools(_ciphers(environ, DLS_CIPHER, log), environ, secrets, log, limit)
    found.update(_with_our_key(_ciphers(environ, OUR_CIPHER, log), environ, secrets, log))
    if found:
        log.info("variables decrypted", names=", ".join(sorted(found)))
    return found


def _ciphers(environ: Mapping[str, str], prefix: str, log: Log) -> dict[str, str]:
    ciphers = {name: cipher for name, cipher in environ.items() if name.startswith(prefix) and name != prefix}
    for name in [name for name, cipher in ciphers.items() if not cipher.strip()]:
        log.warning(f"{name} is empty: nothing to decrypt")
        del ciphers[name]
    return ciphers


def _with_our_key(ciphers: Mapping[str, str], environ: Mapping[str, str], secrets: Secrets, log: Log) -> dict[str, str]:
    if not ciphers:
        return {}
    path = environ.get(OUR_KEY_FILE)
    if not path:
        raise SecretUnreadable(
            "encrypted variables have no key", where=", ".join(ciphers), why=f"{OUR_KEY_FILE} does not name a file"
        )
    seal = Seal.from_file(path)
    if warning := key_file_warning(path):
        log.warning(warning)
    return {
        name: _register(secrets, log, name, seal.open(name, ciphers[OUR_CIPHER + name]))
        for name in (variable.removeprefix(OUR_CIPHER) for variable in ciphers)
    }


def _with_platform_tools(
    ciphers: Mapping[str, str], environ: Mapping[str, str], secrets: Secrets, log: Log, limit: float
) -> dict[str, str]:
    if not ciphers:
        return {}
    if key_file := environ.get(DLS_KEY_FILE):
        return _with_decryptor(key_file, ciphers, environ, secrets, log, limit)
    if all(environ.get(name) for name in DLS_KEY_SERVICE):
        return _with_key_client(ciphers, environ, secrets, log, limit)
    log.warning(
        f"no related env found: {', '.join(ciphers)} stay encrypted",
        missing=f"{DLS_KEY_FILE}, or {' and '.join(DLS_KEY_SERVICE)}",
    )
    return {}


def _with_decryptor(
    key_file: str, ciphers: Mapping[str, str], environ: Mapping[str, str], secrets: Secrets, log: Log, limit: float
) -> dict[str, str]:
    # The key file is not looked at here: the tool is setuid and may read what we may not.
    found = {}
    for variable, cipher in ciphers.items():
        where = [f"{variable}, with {DLS_KEY_FILE}={key_file}"]
        output = _call([_tool("dls-decryptor", environ, where), key_file, cipher], b"", environ, where, limit)
        found[variable.removeprefix(DLS_CIPHER)] = _plain(variable, output.removesuffix(b"\n"), secrets, log)
    return found


def _with_key_client(
    ciphers: Mapping[str, str], environ: Mapping[str, str], secrets: Secrets, log: Log, limit: float
) -> dict[str, str]:
    variables = list(ciphers)
    for variable, cipher in ciphers.items():
        if "\n" in cipher.strip():
            raise SecretUnreadable(
                "a ciphertext has several lines", where=variable, why="dls-key-client takes one a line"
            )
    tool = _tool("dls-key-client", environ, variables)
    asked = "".join(f"{cipher.strip()}\n" for cipher in ciphers.values())
    output = _call([tool], os.fsencode(asked), environ, variables, limit)
    lines = output.removesuffix(b"\n").split(b"\n") if output else []
    # Registered before they are counted: with a line missing they are secrets all the same.
    plains = [_register(secrets, log, f"dls-key-client line {n}", os.fsdecode(line)) for n, line in enumerate(lines, 1)]
    if len(plains) != len(variables):
        raise SecretUnreadable(
            f"dls-key-client printed {counted(len(plains), 'line')} for {counted(len(variables), 'ciphertext')}",
            where=", ".join(variables),
            why="which plaintext belongs to which variable cannot be told",
            remedy=f"check that all were encrypted for the job of {DLS_KEY_SERVICE[1]}",
        )
    return {
        variable.removeprefix(DLS_CIPHER): _plain(variable, line, secrets, log)
        for variable, line in zip(variables, lines, strict=True)
    }


def _plain(variable: str, output: bytes, secrets: Secrets, log: Log) -> str:
    """A tool's output as the value of a variable: not empty, and without what no variable can hold."""
    plain = _register(secrets, log, variable.removeprefix(DLS_CIPHER), os.fsdecode(output))
    if not plain.strip():
        raise _closed([variable], "the decryptor printed nothing: a wrong key, or a truncated ciphertext")
    if "\0" in plain:
        raise _closed([variable], "the decryptor printed a zero byte: a wrong key, or a truncated ciphertext")
    return plain


def _register(secrets: Secrets, log: Log, name: str, plain: str) -> str:
    if warning := secrets.add(name, plain):
        log.warning(warning)
    return plain


# --- the tools -----------------------------------------------------------------------------------------------------


def _tool(name: str, environ: Mapping[str, str], variables: Sequence[str]) -> str:
    import shutil  # wanted where something is encrypted for the platform's tools only

    path = shutil.which(name, path=environ.get("PATH", os.defpath))
    if path is None:
        raise _closed(
            variables,
            f"the image has no {name} on its PATH",
            "install the platform's tool, or use `bootstrap secrets encrypt`",
        )
    return path


def _call(
    argv: Sequence[str], asked: bytes, environ: Mapping[str, str], variables: Sequence[str], limit: float
) -> bytes:
    """The output of a tool that ends well within ``limit`` seconds."""
    import subprocess  # which most have no need of here

    tool = os.path.basename(argv[0])
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environ),
            start_new_session=True,  # so that what it started ends with it
        )
    except (OSError, ValueError) as error:
        raise _closed(variables, f"{tool} cannot be started: {getattr(error, 'strerror', None) or error}") from None
    with process.stdin, process.stdout, process.stderr:  # type: ignore[union-attr]
        try:
            output, _ = process.communicate(asked, timeout=limit)
        except subprocess.TimeoutExpired:
            _end(process)
            raise _closed(variables, f"{tool} did not end within {limit:g} s") from None
    if process.returncode:
        # Not what it printed: half of a plaintext may be in it.
        raise _closed(
            variables, f"{tool} ended with {_how(process.returncode)}: a wrong key, or a truncated ciphertext"
        )
    return output


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a tool that hangs. A setuid tool cannot be killed by us: it is left behind, its pipes closed."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except PermissionError:
        return
    process.wait()


def _how(returncode: int) -> str:
    return f"exit status {returncode}" if returncode > 0 else f"signal {-returncode}"


def _closed(variables: Sequence[str], why: str, remedy: str = "") -> SecretUnreadable:
    return SecretUnreadable(
        "encrypted variables cannot be decrypted", where=", ".join(variables), why=why, remedy=remedy
    )
