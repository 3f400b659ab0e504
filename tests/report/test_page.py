"""The page as text: escaped whatever is in it, bounded, in both languages, and made of nothing but itself."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bootstrap.report import words
from bootstrap.report.gather import log_end
from bootstrap.report.model import LogEnd, NodeRun, OutputFile, OutputGroup, OutputUrl, RunReport
from bootstrap.report.page import MOST, html, is_report
from bootstrap.report.series import plots
from bootstrap.reporting.language import Words
from tests.report.conftest import HEADING, Page, made_up, record, samples

ASSETS = Path(words.__file__).with_name("assets")
HOSTILE = (
    "</script></style></title><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;\x00\x1b[31m\u202etxt\udcff"
)


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])  # type: ignore[no-any-return]


def everywhere(value: Any, put: Any) -> Any:
    """``value`` with every text in it, keys too, made into what ``put`` makes of it."""
    if isinstance(value, str):
        return put(value)
    if isinstance(value, dict):
        return {key: everywhere(one, put) for key, one in value.items()}
    return [everywhere(one, put) for one in value] if isinstance(value, (list, tuple)) else value


def test_names_from_anywhere_are_text_and_nothing_else() -> None:
    def hostile(text: str) -> str:
        return text if re.fullmatch(r"\d{4}-.*", text) else f"{text}{HOSTILE}"

    named = {HOSTILE: {"files": 1, "bytes": 1, "seconds": 1.0}}
    sampled = [
        {**one, "net": {HOSTILE: one["net"]["eth0"]}, "disks": {HOSTILE: one["disks"]["/cache"]}} for one in samples()
    ]
    node = NodeRun(
        0,
        everywhere(record(fetched=named, settings={HOSTILE: {"value": HOSTILE, "source": HOSTILE}}), hostile),
        {**HEADING, "interface": HOSTILE},
        sampled,
        LogEnd(HOSTILE, 10, True, (HOSTILE,)),
        HOSTILE,
        ((HOSTILE, 1),),
    )
    files = (OutputFile(HOSTILE, 1, HOSTILE, 0),)
    report = RunReport(
        HOSTILE, (node, replace(node, node=1)), (OutputUrl(HOSTILE, (OutputGroup(HOSTILE, True, 1, files),)),)
    )
    text = html(report, "en")
    page = Page(text)
    assert len(page.of("script")) == 3
    assert not page.of("img")
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert {attributes["href"][:1] for attributes in page.of("a") if attributes["href"]} <= {"#"}
    assert "<script>alert(1)</script>" in page.text
    assert "\\u202etxt" in page.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text)
    text.encode()  # no lone surrogate
    alone = html(RunReport(HOSTILE, (node,)), "en")
    assert len(Page(alone).of("script")) == 3
    labels = [series["label"] for plot in data_of(alone)["plots"] for series in plot["series"]]
    assert any("<script>" in label for label in labels)  # the script writes them as text


def test_a_record_of_any_shape_makes_a_page() -> None:
    whole = record()
    for key in whole:
        for other in (None, "x", 5, -1e300, True, [], {}, [[]], [None], {"a": None}, [{"text": []}], "2026-99-99"):
            for changed in ({**whole, key: other}, {**whole, "x": other}):
                node = NodeRun(0, changed, {key: other, "cores": other}, [{"t": 1.0, key: other, "cpu_s": other}] * 3)
                assert "<html" in html(RunReport("x", (node,)), "zh")


def test_samples_of_any_shape_make_plots() -> None:
    whole = samples(5)
    for key in whole[0]:
        for other in (
            None,
            "x",
            [],
            {},
            [None, None],
            {"eth0": 1},
            {"eth0": ["a", None]},
            [{"index": "x", "use": []}],
            [1],
        ):
            found = [{**one, key: other if number % 2 else one[key]} for number, one in enumerate(whole)]
            if key != "t":
                assert plots([NodeRun(0, {}, HEADING, found)], 10) is not None


def test_a_page_of_much_is_below_its_bound_and_says_that_it_is_shortened() -> None:
    one = made_up().nodes[0]
    log = LogEnd("job.log", 10**9, False, tuple(f"line {number} {'<&>' * 60}" for number in range(2000)))
    nodes = tuple(
        replace(one, node=node, record=record(node, 64), samples=samples(2000, 16), log=log) for node in range(64)
    )
    files = tuple(OutputFile(f"file-{number}", number, "ab" * 32, 0) for number in range(20_000))
    outputs = (OutputUrl("obs://bucket/models/", (OutputGroup("", True, 1, files),)),)
    text = html(RunReport("obs://bucket/logs/", nodes, outputs), "en")
    assert len(text.encode()) <= MOST
    page = Page(text)
    assert words.SHORTENED.en in page.text
    assert "node 63" in page.text
    assert re.search(r"and \d+ more", page.text)


def test_what_a_reader_needs_is_there() -> None:
    text = html(made_up(3), "en")
    page = Page(text)
    for told in ("job-7", "exit code 1", "a Python module is missing", "install it", "1.5 MB/s", "5.0 kB/s", "ab" * 32):
        assert told in page.text, told
    for told in (
        "host-2",
        "checkpoint-5",
        "without b.bin",
        "big.bin: the time was up",
        "2026-11-22 01:00:00",
        "54 min",
    ):
        assert told in page.text, told
    (row,) = [row for row in re.findall(r"<tr>.*?</tr>", text) if "first failure" in row]
    assert "host-1" in row
    assert data_of(text)["marks"] == [{"t": 1795312680.0, "label": "first failure"}]


def test_evidence_leads_to_the_line_of_the_log_that_the_command_wrote() -> None:
    text = html(made_up(), "en")
    page = Page(text)
    links = [attributes["href"] for attributes in page.of("a") if attributes["href"] == "#n0-L2"]
    assert len(links) == 2  # the evidence's, and the line's own
    assert {"id": "n0-L2", "class": "seen"} in page.of("div")
    assert "line 2 of the log" in page.text


def test_the_end_of_a_long_log_is_numbered_from_its_end_and_has_no_control_sequences() -> None:
    data = b"cut off\n" + b"".join(b"\x1b[32mstep %d\x1b[0m\n" % number for number in range(3000)) + b"10%\r100%\n"
    log = log_end("job.log", 10**6, data, str)
    assert not log.whole
    assert log.lines[-2:] == ("step 2999", "100%")
    page = Page(html(RunReport("x", (NodeRun(0, record(), log=log),)), "en"))
    assert {"id": "n0-E1"} in page.of("div")
    assert "the last 2000 lines of 1.0 MB" in page.text


def test_the_page_loads_nothing_and_lets_nothing_else_run() -> None:
    page = Page(html(made_up(), "en"))
    (policy,) = [one["content"] for one in page.of("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    assert policy and policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "'unsafe-inline'" not in policy.partition("style-src")[0]
    assert not [attributes for _, attributes in page.elements if "src" in attributes]
    assert [attributes["href"] for attributes in page.of("link")] == ["data:,"]


def test_a_page_is_known_again() -> None:
    assert is_report(html(made_up(), "zh").encode()[:4096])
    assert not is_report(b"<html><body>my own report</body></html>")


# --- languages -------------------------------------------------------------------------------------------------------


def test_every_word_is_there_in_both_languages() -> None:
    found = [value for value in vars(words).values() if isinstance(value, Words)]
    found += [one for table in (words.VALUES, words.STEP_RESULTS) for one in table.values()]
    assert len(found) > 80
    for one in found:
        assert one.en and one.zh
        assert set(re.findall(r"{\w+}", one.en)) == set(re.findall(r"{\w+}", one.zh)), one


def test_a_chinese_page_of_an_english_record_has_the_catalogues_words() -> None:
    page = Page(html(made_up(), "zh"))
    assert "结束原因" in page.text
    assert "a Python module is missing" not in page.text
    assert page.of("html") == [{"lang": "zh-CN"}]


# --- plots -----------------------------------------------------------------------------------------------------------


def test_counters_become_rates_and_levels_keep_their_highest() -> None:
    found = [
        {"t": 100.0 + 10 * number, "cpu_s": 15.0 * number, "memory": 5 if number == 3 else 1} for number in range(9)
    ]
    del found[5:7]  # thinned: the rate of what is left out is that of the whole gap
    drawn = plots([NodeRun(0, {}, HEADING, found)], 4)
    assert drawn is not None
    cpu, memory = drawn.plots
    assert {value for value in cpu.series[0].values if value is not None} == {1.5}
    assert cpu.limit == 8.0
    assert max(value for value in memory.series[0].values if value is not None) == 5


def test_a_counter_that_went_back_is_no_negative_rate() -> None:
    found = [{"t": 1.0, "cpu_s": 100.0}, {"t": 2.0, "cpu_s": 3.0}, {"t": 3.0, "cpu_s": 5.0}]
    drawn = plots([NodeRun(0, {}, HEADING, found)], 3)
    assert drawn is not None
    assert drawn.plots[0].series[0].values == (None, 0.0, 2.0)


def test_the_interface_between_the_nodes_is_marked() -> None:
    drawn = plots(made_up().nodes, 20)
    assert drawn is not None
    (network,) = [plot for plot in drawn.plots if plot.title is words.NETWORK]
    assert [one.label.en for one in network.series if isinstance(one.label, Words)] == [
        "ib0 * in",
        "ib0 * out",
        "eth0 in",
        "eth0 out",
    ]


@pytest.mark.parametrize("name", ["uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE"])
def test_what_is_not_ours_is_as_it_came(name: str) -> None:
    digest = hashlib.sha256((ASSETS / name).read_bytes()).hexdigest()
    assert f"| `{name}` | `{digest}` |" in (ASSETS / "README.md").read_text()
