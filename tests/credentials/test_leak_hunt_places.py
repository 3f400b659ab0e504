"""The leak hunt in remoter places: our own defects, keys that no variable holds, and what is not `bootstrap run`."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bootstrap.credentials.names import gives_store_access
from tests.credentials.leaks import hunt
from tests.credentials.scene import Scene
from tests.credentials.test_find import profile
from tests.credentials.test_metadata import Service
from tests.credentials.test_metadata import service as service
from tests.e2e.job import BOOTSTRAP, Result
from tests.lab.names import with_hosts
from tests.lab.strict_proxy import Obs

# Our program with a step that is broken in the worst way: its exception quotes all that it knows, in Python's way.
DEFECT = """\
import sys
from bootstrap import cli
from bootstrap.steps import {step}

def broken(run, *values):
    raise KeyError(values, run.secrets.values())

{step}.step = broken
sys.exit(cli.main())
"""


def bare(scene: Scene) -> dict[str, str]:
    """The scene's environment without any way to the store."""
    return {name: value for name, value in scene.environ.items() if not gives_store_access(name)}


def told(scene: Scene, *words: str, environ: Mapping[str, str] | None = None) -> Result:
    return scene.container.run(argv=[BOOTSTRAP, *words], environ={**scene.environ, **(environ or {})})


@pytest.mark.parametrize("step", ["connect", "deliver"])
def test_nothing_is_left_by_a_defect_of_ours(scene: Scene, tmp_path: Path, step: str) -> None:
    program = tmp_path / "defect.py"
    program.write_text(DEFECT.format(step=step))
    argv = [sys.executable, str(program), "run", *scene.words()]
    result = scene.container.run(argv=argv, environ={**scene.environ, "THEN": ""})
    assert result.code == 100, result.stderr
    assert "KeyError" in result.stderr and result.record["bootstrap"]["id"] == "internal"
    assert "***" in result.record["bootstrap"]["why"]
    assert scene.leaks(result) == []


@pytest.mark.parametrize("since", ["start", "claim"])
def test_nothing_is_left_when_the_outputs_cannot_be_delivered(
    scene: Scene, obs: Obs, tmp_path: Path, since: str
) -> None:
    obs.buckets.append(scene.bucket)
    scene.container.front = with_hosts(tmp_path / "hosts", obs.names())
    spared = "/claims/" if since == "claim" else "nothing"
    obs.policy.forbid = lambda method, bucket, key: key.startswith("out/") and method != "GET" and spared not in key
    scene.secrets["S3_SECRET_ACCESS_KEY"] = obs.store.secret_key
    then = "open('out/model', 'w').write('weights')"
    result = scene.run(*scene.words(), then=then, **obs.env())
    assert result.code == (206 if since == "claim" else 109), result.stderr
    assert scene.leaks(result) == []


@pytest.mark.parametrize("source", ["metadata service", "boto3's chain"])
def test_nothing_is_left_of_keys_that_no_variable_holds(
    scene: Scene, obs: Obs, service: Service, tmp_path: Path, source: str
) -> None:
    obs.buckets.append(scene.bucket)
    scene.container.front = with_hosts(tmp_path / "hosts", obs.names())
    issued = obs.issue()
    scene.secrets |= {"issued key": issued.access_key, "issued secret": issued.secret_key, "issued token": issued.token}
    environ, words = {**bare(scene), **obs.env()}, []
    environ = {name: value for name, value in environ.items() if not gives_store_access(name)}
    if source == "metadata service":
        service.token = scene.secrets["session token"] = "the-session-token-of-the-service"
        service.answer = {
            "credential": {
                "access": issued.access_key,
                "secret": issued.secret_key,
                "securitytoken": issued.token,
                "expires_at": "2099-01-02T03:04:05.000000Z",
            }
        }
        words = ["--metadata-url", service.url]
        # The command asks the service itself, as it may.
        reveal = (
            "import urllib.request as u\n"
            f"ask = u.Request({service.url + '/openstack/latest/securitykey'!r})\n"
            "ask.add_header('X-securitykey-Token', 'the-session-' + 'token-of-the-service')\n"
            "print(u.build_opener(u.ProxyHandler({})).open(ask).read())"
        )
    else:
        (tmp_path / "mounted" / ".aws").mkdir()
        environ |= {"HOME": str(tmp_path / "mounted"), "AWS_PROFILE": "mine"}
        file = profile(
            tmp_path / "mounted" / ".aws" / "credentials",
            issued.access_key,
            issued.secret_key,
            name="mine",
            aws_session_token=issued.token,
        )
        reveal = f"print(open({str(file)!r}).read())"
    result = scene.container.run(*words, *scene.words(), environ={**environ, "THEN": reveal})
    assert result.code == 0, result.stderr
    assert ("metadata service" if words else "boto3's own chain") in result.stderr
    assert scene.leaks(result) == []


def test_nothing_is_left_by_a_command_on_a_terminal_of_its_own(scene: Scene) -> None:
    result = scene.run(*scene.words("--pty"))
    assert result.code == 0 and b"MASTER=***" in result.stdout, result.stderr
    assert scene.leaks(result) == []


def test_nothing_is_left_by_a_command_that_stalls(scene: Scene) -> None:
    result = scene.run(*scene.words("--stall-timeout", "1", "--grace", "5"), then="time.sleep(600)")
    assert result.code != 0 and len(list(scene.container.tmp.rglob("stall.txt"))) == 1, result.stderr
    assert scene.leaks(result) == []


def test_nothing_is_left_by_requirements_that_cannot_be_installed(scene: Scene) -> None:
    # pip puts values for variables in there, and quotes them in its complaint.
    scene.bucket.put("code/requirements.txt", "no such ${DB_PASSWORD}\n")
    index = f"http://me:{scene.secrets['userinfo']}@127.0.0.1:9/simple"
    environ = {**scene.environ, "MA_PIP_URL": index, "PIP_RETRIES": "0", "THEN": ""}
    del environ["PIP_INDEX_URL"]
    with scene.container.running(*scene.words("--requirements"), environ=environ) as process:
        seen = scene.watched(process, lambda: False)
        result = scene.container.finish(process)
    assert result.code == 118, result.stderr
    assert any(b"pip" in argv for argv in seen.values())
    (said,) = scene.container.tmp.rglob("requirements.log")
    assert "no such ***" in said.read_text()
    assert scene.leaks(result, seen) == []


@pytest.mark.parametrize(
    ("how", "secret"), [("option", "pw'1\""), ("variable", "what-the-nodes-share/+\\"), ("variable", "pw'1\"")]
)
def test_the_peer_secret_is_never_shown(scene: Scene, how: str, secret: str) -> None:
    scene.secrets["peer secret"] = secret
    environ = {**scene.environ, "THEN": ""}
    words = ["--peer-secret", secret] if how == "option" else []
    if how == "variable":
        environ["BOOTSTRAP_PEER_SECRET"] = secret
        helped = subprocess.run(
            [BOOTSTRAP, "run", "--help"], env={**environ, **scene.container.environ}, capture_output=True
        )
        assert b"now: *** from BOOTSTRAP_PEER_SECRET" in helped.stdout
        for asked in (["env"], ["env", "--format", "json"], ["env", "--format", "sh"]):
            shown = told(scene, *asked, environ=environ)
            assert hunt(scene.secrets, texts={"out": shown.stdout, "err": shown.stderr.encode()}) == []
        assert hunt(scene.secrets, texts={"help": helped.stdout}) == []
    result = scene.container.run(*words, *scene.words(), environ=environ)
    source = "--peer-secret" if how == "option" else "BOOTSTRAP_PEER_SECRET"
    assert result.record["settings"]["peer_secret"] == {"value": "***", "source": source}
    assert scene.leaks(result) == []


def test_copy_and_logs_show_nothing_whether_they_work_or_fail(scene: Scene) -> None:
    scene.run(*scene.words())
    url, password, signature = scene.bucket.url, scene.secrets["userinfo"], scene.secrets["signature"]
    target = str(scene.container.work / "copied")
    scene.secrets["refused key"] = "another-key-another"
    wrong = {"S3_ACCESS_KEY_ID": scene.secrets["refused key"]}
    half = {"S3_SECRET_ACCESS_KEY": "", "DLS_DECRYPTOR_KEY_FILE": "/etc/hostname"}
    odd = [f"ftp://me:{password}@host/x?Signature={signature}", f"obs://me:{password}@/x?Signature={signature}"]
    for words, environ, code in (
        (["logs", url("logs/")], {}, 0),
        (["logs", "--node", "all", url("logs/")], {}, 0),
        (["logs", url("elsewhere/")], {}, 111),
        (["logs", url("logs/")], wrong, 108),
        (["logs", url("logs/")], half, 117),
        (["copy", "-r", url("logs/"), target], {}, 0),
        (["copy", "-r", target, url("again/")], {}, 0),
        (["copy", url("code/talk.py"), target], wrong, 108),
        (["copy", url("code/talk.py"), target], half, 117),
        (["copy", "obs://no-such-bucket-here/x", target], {}, 110),
        (["copy", "--no-such-option", f"https://me:{password}@host/?Signature={signature}"], {}, 101),
        (["copy", scene.secrets["HF_TOKEN"], target, "--no-such-option", scene.secrets["HF_TOKEN"]], {}, 101),
        *((["copy", where, target], {}, None) for where in odd),
        *((["logs", where], {}, None) for where in odd),
        (["copy", url("code/talk.py"), target], {"S3_ENDPOINT": f"http://me:{password}@127.0.0.1:9"}, None),
    ):
        ended = told(scene, *words, environ=environ)
        assert ended.code == code or (code is None and ended.code), (words, ended.stderr)
        assert scene.leaks(ended) == [], words
    assert os.listdir(target)


class Quoting(BaseHTTPRequestHandler):
    """A store that refuses every key, and quotes it: S3's own answer holds ``AWSAccessKeyId``."""

    def do_GET(self) -> None:
        said = (
            f"<Error><Code>InvalidAccessKeyId</Code><Message>{self.headers['Authorization']}</Message></Error>".encode()
        )
        self.send_response(403)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["copy", "-r", "obs://bucket/x/", "x"], 108),
        (["logs", "obs://bucket/x/"], 108),
        (["downloader", "-r", "-s", "obs://bucket/x/", "-d", "x"], 255),
    ],
)
def test_a_key_of_a_file_that_the_store_quotes_is_not_shown(tmp_path: Path, words: list[str], code: int) -> None:
    keys = profile(tmp_path / "keys", "key-that-the-store-quotes", "secret-of-that-key")
    with ThreadingHTTPServer(("127.0.0.1", 0), Quoting) as store:
        threading.Thread(target=store.serve_forever, daemon=True).start()
        environ = {
            "PATH": os.environ["PATH"],
            "BOOTSTRAP_CREDENTIALS_FILE": str(keys),
            "BOOTSTRAP_ENDPOINT": f"http://127.0.0.1:{store.server_port}",
        }
        ended = subprocess.run([BOOTSTRAP, *words], env=environ, cwd=tmp_path, capture_output=True, text=True)
        store.shutdown()
    assert ended.returncode == code, ended.stderr
    assert "Credential=***/" in ended.stderr and "key-that-the-store-quotes" not in ended.stderr


def test_a_key_of_a_file_is_not_left_by_a_defect_of_a_command(tmp_path: Path) -> None:
    keys = profile(tmp_path / "keys", "key-of-the-traceback", "secret-of-the-traceback")
    program = (
        "import sys; from bootstrap import cli; from bootstrap.storage.open import Stores\n"
        "def broken(self, location): raise KeyError(self._context.keys().access_key)\n"
        "Stores.open = broken; sys.exit(cli.main())"
    )
    traces = tmp_path / "traces"
    traces.mkdir()
    argv = [sys.executable, "-c", program, "copy", "obs://bucket/x", "x"]
    environ = {"PATH": os.environ["PATH"], "BOOTSTRAP_CREDENTIALS_FILE": str(keys), "TMPDIR": str(traces)}
    ended = subprocess.run(argv, env=environ, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 100, ended.stderr
    (trace,) = traces.iterdir()
    assert "KeyError: '***'" in trace.read_text()
    assert "of-the-traceback" not in trace.read_text() + ended.stderr
