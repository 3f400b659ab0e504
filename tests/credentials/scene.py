"""A container with secrets from every source, and a command that does its worst with them: it prints all it knows."""

from __future__ import annotations

import base64
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bootstrap.credentials.sealing import Seal, generate_key
from tests.credentials.leaks import hunt, processes
from tests.credentials.tools import DECRYPTOR
from tests.e2e.job import Container, Result
from tests.lab.stores import Bucket, Store

# It prints what it finds in its environment and in the files that this names: raw, in halves, and in every form.
CHATTERBOX = """\
import base64, codecs, json, os, sys, time
from urllib.parse import quote
known = dict(os.environ)
keys = ("DLS_DECRYPTOR_KEY_FILE", "BOOTSTRAP_SECRETS_KEY_FILE")
for name, path in list(known.items()):
    if name.endswith("_FILE") and os.path.exists(path) and name not in keys:
        known[name + "'s content"] = open(path).read()
for name, value in known.items():
    raw = os.fsencode(value)
    forms = [raw, quote(value, safe="").encode(), json.dumps(value).encode(), repr(value).encode(), repr(raw).encode()]
    forms += [base64.b64encode(b"x" * n + raw) for n in range(3)]
    for stream in (1, 2):
        for form in forms:
            os.write(stream, name.encode() + b"=" + form[: len(form) // 2])
            os.write(stream, form[len(form) // 2 :] + b"\\n")
print(json.dumps(known))
open("ready", "w").close()
exec(os.environ.get("THEN", ""))
"""


@dataclass
class Scene:
    """A container with secrets from every source, a store, and what it all should never show."""

    container: Container
    bucket: Bucket
    environ: dict[str, str]
    secrets: dict[str, str]

    def run(self, *words: str, then: str = "", **environ: str) -> Result:
        return self.container.run(*words, environ={**self.environ, "THEN": then, **environ})

    def words(self, *options: str) -> list[str]:
        url = self.bucket.url
        words = ["--code", url("code/"), "--log", url("logs/"), "--output", f"out={url('out/')}", "--traceback"]
        return [*words, *options, "--", "python3", "code/talk.py"]

    def watched(self, process: subprocess.Popen[bytes], until: Callable[[], bool]) -> dict[str, bytes]:
        """The argument lists of all processes seen from now until then, children of moments too if they are lucky."""
        seen: dict[bytes, str] = {}
        while process.poll() is None and not until():
            seen.update({argv: where for where, argv in processes(process.pid).items()})
            time.sleep(0.02)
        return {where: argv for argv, where in seen.items()}

    def leaks(self, result: Result, more: dict[str, bytes] | None = None) -> list[str]:
        """Everything that is left now, searched, and ``more``."""
        texts = {"stdout": result.stdout, "stderr": result.stderr.encode(), **(more or {})}
        texts.update({f"object {key}": content for key, content in self.bucket.tree().items()})
        texts.update({f"key of {key}": key.encode() for key in self.bucket.list()})
        return [
            f"{leak.secret} ({leak.form}) in {leak.where}"
            for leak in hunt(self.secrets, [self.container.home.parent], texts)
        ]


@pytest.fixture
def scene(tmp_path: Path, seaweedfs: Store, tool: Callable[[str, str], str]) -> Scene:
    bucket = seaweedfs.make_bucket()
    bucket.put("code/talk.py", CHATTERBOX)
    safe = tmp_path / "mounted"  # where secrets may be: not part of what the run leaves
    safe.mkdir(mode=0o700)

    def odd(name: str) -> str:
        """A secret with characters that every form writes differently."""
        return f'{name}/+"{base64.b64encode(os.urandom(9)).decode()}\\é='

    def file(name: str, content: str) -> str:
        (safe / name).write_text(content)
        (safe / name).chmod(0o600)
        return str(safe / name)

    secrets = {
        name: odd(name.lower())
        for name in (
            "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "OBS_ACCESS_KEY_ID",
            "OBS_SECRET_ACCESS_KEY", "OBS_SECURITY_TOKEN", "SECRET_ACCESS_KEY", "WANDB_API_KEY", "HF_TOKEN",
            "DB_PASSWORD", "GIT_AUTH_KEY",
        )
    }  # fmt: skip
    environ = {**secrets, **seaweedfs.env()}
    secrets |= {"S3_SECRET_ACCESS_KEY": seaweedfs.secret_key}

    secrets["userinfo"] = "url-password-of-the-index"
    secrets["signature"] = "c2lnbmF0dXJlIG9mIGEgbGluaw=="
    environ["PIP_INDEX_URL"] = f"https://me:{secrets['userinfo']}@pypi.test/simple"
    environ["WEIGHTS"] = "https://b.obs.test/w?AccessKeyId=AKIAPRESIGNED&Signature=c2lnbmF0dXJlIG9mIGEgbGluaw%3D%3D"

    for variable in ("AWS_SHARED_CREDENTIALS_FILE", "CREDENTIAL_PROFILES_FILE"):
        key, secret = (f"{variable.lower()}-{part}-{os.urandom(6).hex()}" for part in ("key", "secret"))
        secrets |= {f"{variable} key": key, f"{variable} secret": secret}
        environ[variable] = file(variable, f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
    for variable in ("ACCESS_KEY_ID", "BOOTSTRAP_SECRET_ACCESS_KEY"):
        secrets[f"{variable}_FILE"] = odd("docker")
        environ[f"{variable}_FILE"] = file(f"docker-{variable}", secrets[f"{variable}_FILE"])

    secrets["decrypted"], secrets["opened"] = "Decrypted-Licence-Text", odd("sealed")
    environ["DLS_DECRYPTOR_KEY_FILE"] = file("dls.key", "right")
    environ["DLS_AES__LICENCE"] = "Qrpelcgrq-Yvprapr-Grkg"
    generate_key(str(safe / "own.key"))
    environ["BOOTSTRAP_SECRETS_KEY_FILE"] = str(safe / "own.key")
    environ["BOOTSTRAP_SECRET__MASTER"] = Seal.from_file(str(safe / "own.key")).close("MASTER", secrets["opened"])

    container = Container(tmp_path / "container")
    environ["PATH"] = f"{tool('dls-decryptor', DECRYPTOR)}:{container.environ['PATH']}"
    assert len(secrets) >= 20
    return Scene(container, bucket, environ, secrets)
