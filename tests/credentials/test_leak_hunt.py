"""The leak hunt: runs with twenty secrets of all sources, ended in every way a run can end; then every byte they left
is searched for every secret in every form. The command itself does its worst: it prints all it knows, in all forms.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bootstrap.credentials.sealing import Seal, generate_key
from tests.credentials.leaks import hunt, processes
from tests.credentials.test_decrypt import DECRYPTOR
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
    forms = [raw, quote(value, safe="").encode(), json.dumps(value).encode()]
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

    def words(self) -> list[str]:
        url = self.bucket.url
        words = ["--code", url("code/"), "--log", url("logs/"), "--output", f"out={url('out/')}", "--traceback"]
        return [*words, "--", "python3", "code/talk.py"]

    def leaks(self, result: Result) -> list[str]:
        """Everything that is left now, searched."""
        texts = {"stdout": result.stdout, "stderr": result.stderr.encode()}
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


def test_the_hunt_would_find_what_an_unmasked_run_leaves(scene: Scene) -> None:
    script = scene.container.work / "talk.py"
    script.write_text(CHATTERBOX)
    ended = subprocess.run(
        [sys.executable, str(script)], env=scene.environ, cwd=scene.container.tmp, capture_output=True
    )
    found = scene.leaks(Result(0, ended.stdout, ended.stderr.decode(errors="replace"), scene.container.home))
    missed = {name for name in scene.secrets if not any(leak.startswith(f"{name} (") for leak in found)}
    assert missed == {"decrypted", "opened"}  # those it cannot know without us


ENDINGS = {
    "success": ("", 0),
    "failure": ("sys.exit(3)", 3),
    "traceback": ("raise RuntimeError(json.dumps(known))", 1),
    "crash": ("os.kill(os.getpid(), 11)", 139),
    "half a secret at the end": ("os.write(1, os.environ['DB_PASSWORD'].encode()[:-1])", 0),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_is_left_however_the_command_ends(scene: Scene, ending: str) -> None:
    then, code = ENDINGS[ending]
    result = scene.run(*scene.words(), then=then)
    assert result.code == code, result.stderr
    assert result.stdout.count(b"***") > 100 and b"MASTER=***" in result.stdout and b"LICENCE=***" in result.stdout
    assert {"logs/job.log", "logs/job.run.json"} <= set(scene.bucket.list("logs/"))
    assert scene.leaks(result) == []


FAILURES = {
    "bucket missing": (["--code", "obs://no-such-bucket-here/code/", "--", "true"], {}, 110),
    "unknown scheme": (["--", "true"], {"BOOTSTRAP_CODE": "ftp://me:PASSWORD@host/code?Signature=SIGNATURE"}, 106),
    "bad option": (["--", "true"], {"BOOTSTRAP_GRACE": "https://me:PASSWORD@host/"}, 101),
    "command missing": (["--", "no-such-command-here"], {}, 127),
    "keys refused": (["--code", "CODE", "--", "true"], {"S3_ACCESS_KEY_ID": "anotherkeyanotherkey"}, 108),
    "half a pair": (["--code", "CODE", "--", "true"], {"S3_ACCESS_KEY_ID": ""}, None),
    "wrong key": (["--", "true"], {"DLS_DECRYPTOR_KEY_FILE": "/etc/hostname"}, 117),
    "truncated cipher": (["--", "true"], {"BOOTSTRAP_SECRET__MASTER": "v1:AAAA"}, 117),
    "command wants none": (["--pass-credentials", "no", "--", "python3", "TALK"], {}, 0),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_nothing_is_left_by_our_own_failures(scene: Scene, failure: str) -> None:
    words, environ, code = FAILURES[failure]
    (scene.container.work / "talk.py").write_text(CHATTERBOX)
    real = {"CODE": scene.bucket.url("code/"), "TALK": str(scene.container.work / "talk.py")}
    environ = {
        name: value.replace("PASSWORD", scene.secrets["userinfo"]).replace("SIGNATURE", scene.secrets["signature"])
        for name, value in environ.items()
    }
    words = ["--traceback", "--log", scene.bucket.url("logs/"), *(real.get(word, word) for word in words)]
    result = scene.run(*words, **environ)
    assert code is None or result.code == code, result.stderr
    assert scene.leaks(result) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_by_a_run_that_is_stopped_or_killed(scene: Scene, number: int) -> None:
    environ = {**scene.environ, "THEN": "time.sleep(600)"}
    with scene.container.running(*scene.words(), environ=environ) as process:
        scene.container.wait_for(scene.container.work / "ready")
        alive = processes(process.pid)
        process.send_signal(number)
        result = scene.container.finish(process)
    assert len(alive) >= 2  # the run and its command
    assert result.code in (143, -9), result.stderr
    assert hunt(scene.secrets, texts=alive) == []
    assert scene.leaks(result) == []


def test_what_is_shown_of_the_environment_and_the_settings_has_no_values(scene: Scene) -> None:
    environ = {**scene.environ, **scene.container.environ, "BOOTSTRAP_CODE": scene.environ["WEIGHTS"]}
    for words in (["run", "--help"], ["env"], ["env", "--format", "json"], ["env", "--format", "sh"]):
        ended = subprocess.run(
            [sys.executable, "-m", "bootstrap", *words], env=environ, capture_output=True, cwd=scene.container.work
        )
        texts = {
            f"{' '.join(words)}, {name}": text for name, text in (("stdout", ended.stdout), ("stderr", ended.stderr))
        }
        assert ended.stdout, ended.stderr
        assert hunt(scene.secrets, texts=texts) == []
