"""``bootstrap secrets keygen|encrypt|decrypt``: seal a variable for a job, in the open way.

    bootstrap secrets keygen job.key                                  # then mount this file into the job's containers
    bootstrap secrets encrypt --key-file job.key S3_SECRET_ACCESS_KEY # the secret on stdin; prints what to set

In the job, ``BOOTSTRAP_SECRETS_KEY_FILE`` names the mounted file.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping

from ..credentials.hardening import harden
from ..credentials.names import OUR_CIPHER, OUR_KEY_FILE
from ..credentials.sealing import Seal, generate_key, key_file_warning
from ..errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="keygen|encrypt|decrypt", required=True)
    keygen = actions.add_parser(
        "keygen", help="make a new key", description="Write a new key to FILE, readable by its owner alone."
    )
    keygen.add_argument("file", metavar="FILE")
    encrypt = actions.add_parser(
        "encrypt",
        help="seal the secret on stdin",
        description=f"Read a secret from stdin (asked for on a terminal) and print {OUR_CIPHER}NAME=... for the job.",
    )
    decrypt = actions.add_parser(
        "decrypt",
        help="show what a sealed variable holds",
        description=f"Print the plaintext of {OUR_CIPHER}NAME, from the environment, or from stdin if not set.",
    )
    for action in (encrypt, decrypt):
        action.add_argument(
            "name", metavar="NAME", help="the variable that the job shall see, such as S3_SECRET_ACCESS_KEY"
        )
        action.add_argument("--key-file", metavar="FILE", help=f"made by keygen (default: ${OUR_KEY_FILE})")


def main(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    harden()
    if arguments.action == "keygen":
        generate_key(arguments.file)
        print(f"mount {arguments.file} into the job and set {OUR_KEY_FILE} to where it is there", file=sys.stderr)
        return 0
    name = arguments.name.removeprefix(OUR_CIPHER)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise UsageError(
            "this cannot be a variable's name", where=name, remedy="use letters, digits and _, such as DB_PASSWORD"
        )
    seal = _seal(arguments.key_file or environ.get(OUR_KEY_FILE, ""))
    if arguments.action == "encrypt":
        plain = _ask(f"secret for {name}: ")
        if not plain:
            raise _refused(name, "stdin was empty")
        if "\0" in plain:
            raise _refused(name, "no variable can hold a zero byte")
        print(f"{OUR_CIPHER}{name}={seal.close(name, plain)}")
    else:
        sealed = environ.get(OUR_CIPHER + name) or _ask(f"sealed text of {name}: ")
        plain = seal.open(name, sealed.strip().removeprefix(f"{OUR_CIPHER}{name}="))
        sys.stdout.buffer.write(os.fsencode(plain) + b"\n")  # as bytes: a secret need not be text
    return 0


def _refused(name: str, why: str) -> UsageError:
    return UsageError("there is nothing to encrypt", where=name, why=why, remedy="give the secret's text on stdin")


def _seal(key_file: str) -> Seal:
    if not key_file:
        raise UsageError("no key file is given", remedy=f"say --key-file FILE, or set {OUR_KEY_FILE}")
    if warning := key_file_warning(key_file):
        print(f"warning: {warning}", file=sys.stderr)
    return Seal.from_file(key_file)


def _ask(prompt: str) -> str:
    """Secrets come by stdin, never by an argument: those are open to every process of the machine."""
    if sys.stdin.isatty():
        import getpass

        try:
            return getpass.getpass(prompt)
        except EOFError:  # Ctrl-D
            return ""
    return os.fsdecode(sys.stdin.buffer.read()).removesuffix("\n")
