"""The spellings of a value, as the programs write them that people use."""

from __future__ import annotations

import base64
import html
import json
import os
import shlex
import subprocess
from collections.abc import Callable

import pytest

from bootstrap.masking.stream import Redactor
from tests.process.driver import Secrets

VALUE = "p/a+s's&\"w<o>r\u00f6d\\1`$x !"
TOKEN = (
    "FwoGZXIvYXdzEJr//////////wEaDH+" + "abcdefghijklmnopqrstuvwxyz0123456789/+ABCDEFGHIJKLMNOP" * 4
)  # a session token
KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def masked(text: str | bytes, value: str = VALUE) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    redactor = Redactor(Secrets(value))
    return redactor.feed(data) + redactor.flush()


def go(value: str) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def php(value: str) -> str:
    return json.dumps(value).replace("/", r"\/")


def php_for_html(value: str) -> str:
    """json_encode with JSON_HEX_TAG | JSON_HEX_AMP | JSON_HEX_APOS | JSON_HEX_QUOT, whose digits are large."""
    text = php(value).replace(r"\u00f6", r"\u00F6").replace('\\"', r"\u0022")
    return text.replace("<", r"\u003C").replace(">", r"\u003E").replace("&", r"\u0026").replace("'", r"\u0027")


def dot_net(value: str) -> str:
    text = json.dumps(value).replace('\\"', r"\u0022").replace(r"\u00f6", r"\u00F6")
    for character in "<>&'+`":
        text = text.replace(character, f"\\u{ord(character):04X}")
    return text


def go_template(value: str) -> str:
    return html.escape(value, quote=False).replace('"', "&#34;").replace("'", "&#39;").replace("+", "&#43;")


@pytest.mark.parametrize("write", [json.dumps, go, php, php_for_html, dot_net])
def test_every_json_is_masked(write: Callable[[str], str]) -> None:
    assert masked('{"key": ' + write(VALUE) + "}") == b'{"key": "***"}'


@pytest.mark.parametrize(
    "write", [html.escape, lambda value: html.escape(value, quote=False), go_template,
              lambda value: html.escape(value).replace("&#x27;", "&apos;")]
)  # fmt: skip
def test_html_is_masked(write: Callable[[str], str]) -> None:
    assert masked(f"<td>{write(VALUE)}</td>") == b"<td>***</td>"


def test_what_shlex_quotes_is_masked() -> None:
    assert masked(f"run --key={shlex.quote(VALUE)} --more") == b"run --key='***' --more"


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize(
    "command",
    ['printf "%q\\n" "$V"', 'echo "${V@Q}"', "declare -p V", "export -p | grep V=", 'set -x; : "$V"', "set | grep ^V="],
)
@pytest.mark.parametrize("value", [VALUE, "it's $ecret", "tab\there's\x1bone", "plain-enough"])
def test_what_bash_says_of_a_variable_is_masked(command: str, locale: str, value: str) -> None:
    environ = {"V": value, "PATH": os.environ["PATH"], "LC_ALL": locale}
    said = subprocess.run(["bash", "-c", command], env=environ, capture_output=True, check=True)
    passed = masked(said.stdout + said.stderr, value)
    assert b"***" in passed
    for piece in (b"s&", b"xd", b"$e", b"ecret", b"here", b"one", b"enough", b"\\303", b"\xc3"):
        assert piece not in passed


@pytest.mark.parametrize("line_break", [b"\n", b"\r\n", b"\\n"])
@pytest.mark.parametrize("value", [TOKEN, KEY, "abcdef"])
@pytest.mark.parametrize("width", [76, 64])
def test_base64_in_lines_is_masked_wherever_the_value_begins(value: str, width: int, line_break: bytes) -> None:
    """As base64(1), base64.encodebytes, MIME and openssl write a file in which the value is."""
    redactor = Redactor(Secrets(value))
    for before in range(width * 3 // 4 + 3):
        for after in range(3):
            encoded = base64.b64encode(b"\x00" * before + value.encode() + b"\x00" * after)
            lines = line_break.join(encoded[at : at + width] for at in range(0, len(encoded), width))
            passed = redactor.feed(lines) + redactor.flush()
            rest = passed.replace(line_break, b"").replace(b"A", b"").replace(b"***", b"", 1)
            assert len(rest.rstrip(b"=")) <= 2, (before, after, passed)  # characters that mix it with what is around it


def test_base64_tools_in_front_of_a_pipe_are_masked() -> None:
    text = f"[default]\naws_session_token = {TOKEN}\n".encode()
    for command in (["base64"], ["openssl", "base64"]):
        lines = subprocess.run(command, input=text, capture_output=True, check=True).stdout
        assert lines.count(b"\n") > 3
        assert b"***" in masked(lines, TOKEN)
        assert masked(lines, TOKEN).count(b"\n") <= 2
    assert b"***" in masked(base64.encodebytes(text), TOKEN)


def test_a_line_s_end_holds_no_output_back() -> None:
    """Though a secret may go on behind it in base64: ordinary lines pass at once."""
    redactor = Redactor(Secrets(KEY, TOKEN))
    assert redactor.feed(b"loss=0.12345 lr=1.2e-05.\n") == b"loss=0.12345 lr=1.2e-05.\n"
