"""The leak hunt: runs with twenty secrets of all sources, ended in every way a run can end; then every byte they left
is searched for every secret in every form. The command itself does its worst: it prints all it knows, in all forms.
"""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.credentials.leaks import hunt
from tests.credentials.scene import CHATTERBOX, Scene
from tests.e2e.job import Result


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

    def live() -> bool:
        return any(b"MASTER=***" in content for key, content in scene.bucket.tree("logs/").items() if ".parts/" in key)

    with scene.container.running(*scene.words("--log-interval", "0.2"), environ=environ) as process:
        seen = scene.watched(process, live)
        meanwhile = {f"{key}, meanwhile": content for key, content in scene.bucket.tree("logs/").items()}
        process.send_signal(number)
        result = scene.container.finish(process)
    assert any(b"talk.py" in argv and b"bootstrap" not in argv for argv in seen.values())  # the command's own
    assert result.code == (143 if number == signal.SIGTERM else -9), result.stderr
    assert (number == signal.SIGTERM) == bool(list(scene.container.tmp.rglob("stop.json")))
    assert scene.leaks(result, {**seen, **meanwhile}) == []


def test_what_is_shown_of_the_environment_and_the_settings_has_no_values(scene: Scene) -> None:
    environ = {**scene.environ, **scene.container.environ, "BOOTSTRAP_CODE": scene.environ["WEIGHTS"]}
    environ["BOOTSTRAP_OUTPUT"] = f"a=obs://bucket/a;b=https://me:{scene.secrets['userinfo']}@host/b"  # the second URL
    refused = {"BOOTSTRAP_GRACE": scene.secrets["HF_TOKEN"]}  # the help comes all the same, and says so
    for words in (["run", "--help"], ["env"], ["env", "--format", "json"], ["env", "--format", "sh"]):
        ended = subprocess.run(
            [sys.executable, "-m", "bootstrap", *words],
            env={**environ, **(refused if "--help" in words else {})},
            capture_output=True,
            cwd=scene.container.work,
        )
        texts = {
            f"{' '.join(words)}, {name}": text for name, text in (("stdout", ended.stdout), ("stderr", ended.stderr))
        }
        assert ended.stdout, ended.stderr
        assert hunt(scene.secrets, texts=texts) == []
