"""The whole page: one file, nothing loaded, below :data:`MOST` bytes."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from .. import __version__
from ..reporting.language import Lang
from . import plots, sections, words
from .log_lines import LogLines
from .markup import Child, Markup, tag, text
from .model import RunReport, part
from .series import plots as plots_of

MOST = 1_000_000
"""Bytes of the page: what a console's preview and a mail take."""

GENERATOR = "modelarts-bootstrap"
_STEPS = 360  # values on the plots' time axis
_LINES, _ROOM = 2000, 300_000  # lines of logs, and characters for them
_FILES = 500


def html(report: RunReport, lang: Lang) -> str:
    """The page. What does not fit is shown in less detail, and the page says so."""
    share = 1.0
    while len((page := _page(report, lang, share)).encode()) > MOST and share > 0.01:
        share /= 2
    return page


def _page(report: RunReport, lang: Lang, share: float) -> str:
    first = sections.leading(report.nodes)
    others = max(1, len(report.nodes) - 1)
    room = int(_ROOM * share)
    lines = [
        LogLines(
            node,
            int(_LINES * share) if node is first else int(_LINES * share) // others // 2,
            room if len(report.nodes) == 1 else room // 2 if node is first else room // 2 // others,
        )
        for node in report.nodes
    ]
    drawn = plots_of(report.nodes, max(20, int(_STEPS * share)))
    body: list[Child] = [
        sections.header(report, lang),
        sections.why(first, lines[list(report.nodes).index(first)], lang),
        sections.nodes(report, lang),
        sections.steps(report, lang),
        tag("section", tag("h2", words.MACHINE.to(lang)), plots.html(drawn, lang)),
        sections.transfers(report, lang),
        sections.outputs(report.outputs, int(_FILES * share), lang),
        sections.ends_of_logs(report, lines, lang),
        sections.job(first, lang),
        _footer(lang, shortened=share < 1),
    ]
    data = plots.embedded(plots.data(drawn, report.nodes, lang))
    return "<!doctype html>\n" + tag(
        "html",
        tag("head", *_head(report, lang)),
        tag(
            "body",
            tag("main", *body),
            Markup(f'<script type="application/json" id="data">{data}</script>'),
            *_scripts(),
        ),
        lang="zh-CN" if lang == "zh" else "en",
    )


def _head(report: RunReport, lang: Lang) -> Iterator[Markup]:
    node = sections.leading(report.nodes)
    digests = " ".join(f"'sha256-{_digest(name)}'" for name in _SCRIPTS)
    yield Markup('<meta charset="utf-8">')
    # The first line of defence is that all is escaped; the second, that nothing else runs or is loaded.
    policy = f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
    yield tag("meta", http_equiv="Content-Security-Policy", content=policy)
    yield tag("meta", name="viewport", content="width=device-width, initial-scale=1")
    yield tag("meta", name="generator", content=f"{GENERATOR} {__version__}")
    yield tag("meta", name="color-scheme", content="light dark")
    yield tag("link", rel="icon", href="data:,")
    job = str(part(node.record, "platform", "job_id") or report.source)
    yield tag("title", f"{words.TITLE.to(lang)}: {job}")
    yield Markup(f"<style>{_asset('uPlot.min.css')}\n{_asset('page.css')}</style>")


def _scripts() -> Iterator[Markup]:
    for name in _SCRIPTS:
        yield Markup(f"<script>{_asset(name)}</script>")


def _footer(lang: Lang, *, shortened: bool) -> Markup:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    told = [words.MADE_BY.filled(version=__version__, when=when), words.ALL_TIMES]
    if shortened:
        told.append(words.SHORTENED)
    return tag("footer", " ".join(one.to(lang) for one in told))


_SCRIPTS = ("uPlot.iife.min.js", "page.js")


@cache
def _asset(name: str) -> str:
    return Path(__file__).with_name("assets").joinpath(name).read_text(encoding="utf-8")


def _digest(name: str) -> str:
    return base64.b64encode(hashlib.sha256(_asset(name).encode()).digest()).decode()


def is_report(head: bytes) -> bool:
    """Whether a file that begins so is such a page."""
    return text(GENERATOR).encode() in head and b'name="generator"' in head
