"""The parts of the page, a function each: values -> HTML."""

from __future__ import annotations

from collections.abc import Sequence

from ..diagnosis.catalogue import entries
from ..reporting.language import Lang, Words
from . import words
from .amounts import clock, day, duration, readable
from .log_lines import LogLines
from .markup import Child, Markup, cell, joined, table, tag
from .model import NodeRun, OutputUrl, RunReport, listed, mapping, moment, number, part, whole

MOST_NODES = 256
"""Rows of nodes side by side."""
_BARS = 32  # nodes in the timeline


def leading(nodes: Sequence[NodeRun]) -> NodeRun:
    """The node whose end is the run's: the first that failed, else the first."""
    first = next((found for node in nodes if (found := mapping(node.record, "first_failure"))), {})
    rank = whole(first.get("node"))
    failed = [node for node in nodes if node.failed]
    named = [node for node in failed if node.node == rank]
    return (named or sorted(failed, key=lambda node: node.ended or 0.0) or list(nodes))[0]


def result(node: NodeRun, lang: Lang) -> Markup:
    """``succeeded`` or ``failed``, with the exit code, as a mark that is more than a colour."""
    if node.exit_code is None:
        return tag("span", "… ", words.NOT_ENDED.to(lang), class_="mark unknown")
    told = words.FAILED if node.failed else words.SUCCEEDED
    code = words.EXIT_CODE.filled(code=node.exit_code).to(lang)
    mark = "✗ " if node.failed else "✓ "
    return tag("span", mark, told.to(lang), f" · {code}", class_=f"mark {'bad' if node.failed else 'good'}")


# --- what ran, and why it ended --------------------------------------------------------------------------------------


def header(report: RunReport, lang: Lang) -> Markup:
    node = leading(report.nodes)
    record = node.record
    job = str(part(record, "platform", "job_id") or "")
    name = job or " ".join(str(word) for word in listed(record, "command"))[:80] or report.source
    facts: list[tuple[Words, Child]] = [
        (words.PLATFORM, part(record, "platform", "name")),
        (words.STARTED, day(node.began)),
        (words.TOOK, duration(seconds) if (seconds := number(record.get("seconds"))) is not None else None),
        (words.SIZE_OF_JOB, str(whole(part(record, "node", "size")) or len(report.nodes))),
        (words.ATTEMPT, str(record["attempt"]) if "attempt" in record else None),
        (words.LOG, record.get("log") or record.get("log_file")),
    ]
    told = [tag("p", words.SOURCE.filled(source=report.source).to(lang), class_="quiet")]
    if report.left_out:
        told.append(tag("p", words.LEFT_OUT.filled(count=report.left_out).to(lang), class_="quiet"))
    return tag("header", tag("h1", name), tag("p", result(node, lang), class_="verdict"), _facts(facts, lang), *told)


def why(node: NodeRun, log: LogLines, lang: Lang) -> Markup | None:
    """The diagnosis, with links to the lines of the log that it quotes."""
    record, found = node.record, mapping(node.record, "diagnosis")
    if not found and not record.get("reason") and not node.state:
        return None
    said, remedy = _in_language(found, lang)
    body: list[Child] = [tag("p", said or str(record.get("reason") or node.state), class_="reason")]
    facts: list[tuple[Words, Child]] = [
        (words.CAUSE, tag("code", str(record.get("reason_id") or found.get("id") or ""))),
        (words.HINT, remedy),
    ]
    if found.get("class") != "none":
        facts += [
            (words.RETRY, _value(found.get("retry"), lang)),
            (words.FAULT, _value(found.get("fault"), lang)),
            (words.CONFIDENCE, _value(found.get("confidence"), lang)),
        ]
    facts += [(words.SEEN, _evidence(one, log, lang)) for one in listed(found, "evidence")]
    facts += [(words.ALSO_SEEN, _evidence(one, log, lang)) for one in listed(found, "also_seen")[:8]]
    own = mapping(record, "bootstrap")
    if own:
        told = ": ".join(str(own[key]) for key in ("what", "where", "why") if own.get(key))
        facts.append((words.VERSION, f"{own.get('step', '')}: {told}"))
    facts += [(words.NOTES, str(note)) for note in listed(record, "user", "notes")]
    for one in listed(record, "delivered"):
        for lost in listed(one, "undelivered")[:10]:
            facts.append((words.NOT_DELIVERED, f"{part(lost, 'path')}: {part(lost, 'why')}"))
    return _section(words.WHY, lang, *body, _facts(facts, lang))


def _evidence(one: object, log: LogLines, lang: Lang) -> Markup:
    said = str(part(one, "text") or "")
    file, line, rank = part(one, "file"), part(one, "line"), part(one, "rank")
    place = ", ".join(
        str(word) for word in (f"{file}:{line}" if line else file, f"rank {rank}" if rank is not None else "") if word
    )
    link = log.link(said)
    where = tag("a", words.IN_LOG.filled(line=link[1]).to(lang), href=f"#{link[0]}") if link else None
    return joined(
        [
            tag("code", said),
            tag("span", f" {place}", class_="quiet") if place else Markup(""),
            joined([Markup(" "), where]) if where else Markup(""),
        ]
    )


def _in_language(found: object, lang: Lang) -> tuple[str, str]:
    """The record's own words, or the catalogue's where the record was written in the other language."""
    said, remedy = str(part(found, "text") or ""), str(part(found, "remedy") or "")
    if not said or (lang == "zh") == any("\u4e00" <= letter <= "\u9fff" for letter in said):
        return said, remedy
    known = entries(str(part(found, "id")))
    if not known or "{" in known[0].text.to(lang):
        return said, remedy
    told = known[0].remedy.to(lang)
    return known[0].text.to(lang), told if "{" not in told else remedy


def _value(value: object, lang: Lang) -> str | None:
    known = words.VALUES.get(str(value))
    return known.to(lang) if known else str(value) if value else None


# --- several nodes ---------------------------------------------------------------------------------------------------


def nodes(report: RunReport, lang: Lang) -> Markup | None:
    """Side by side, the first failure marked."""
    if len(report.nodes) < 2:
        return None
    first = leading(report.nodes)
    shown = sorted(report.nodes, key=lambda node: (node is not first, not node.failed, node.node))[:MOST_NODES]
    rows = []
    for node in sorted(shown, key=lambda node: node.node):
        record = node.record
        mark = tag("b", f" ← {words.FIRST_FAILURE.to(lang)}") if node is first and node.failed else None
        rows.append(
            [
                tag("th", str(node.node), scope="row"),
                node.host,
                cell(result(node, lang), mark, class_="wide"),
                cell(tag("code", str(record.get("reason_id") or "")), " ", node.state),
                duration(seconds) if (seconds := number(record.get("seconds"))) is not None else "",
                day(node.ended),
            ]
        )
    head = [one.to(lang) for one in (words.NODE, words.HOST, words.RESULT, words.REASON, words.TOOK, words.ENDED)]
    more = len(report.nodes) - len(shown)
    rest = tag("p", words.AND_MORE_NODES.filled(count=more).to(lang)) if more else None
    return _section(words.NODES, lang, table(head, rows), rest)


# --- the steps -------------------------------------------------------------------------------------------------------


def steps(report: RunReport, lang: Lang) -> Markup | None:
    """A timeline, a bar a step, all nodes on one axis; below it the numbers of the leading node."""
    first = leading(report.nodes)
    shown = sorted(report.nodes, key=lambda node: (node is not first, not node.failed, node.node))[:_BARS]
    rows = [(node, list(_bars(node))) for node in sorted(shown, key=lambda node: node.node)]
    times = [time for _, bars in rows for _, _, begin, end in bars for time in (begin, end)]
    if not times:
        return None
    begin, length = min(times), max(max(times) - min(times), 1e-3)
    lanes = [
        tag(
            "div",
            tag("span", str(node.node), class_="lane-name") if len(report.nodes) > 1 else None,
            tag("div", *(_bar(bar, begin, length) for bar in bars), class_="lane"),
            class_="lane-row",
        )
        for node, bars in rows
    ]
    table_rows = [
        [
            cell(tag("i", class_=f"swatch s-{_kind(name)}"), name),
            words.STEP_RESULTS[ended].to(lang) if ended in words.STEP_RESULTS else ended,
            clock(at),
            duration(till - at),
        ]
        for name, ended, at, till in _bars(first)
    ]
    head = [one.to(lang) for one in (words.STEP, words.RESULT, words.STARTED, words.TOOK)]
    ends = tag("div", tag("span", day(begin)), tag("span", day(begin + length)), class_="lane-ends")
    return _section(words.STEPS, lang, tag("div", *lanes, ends, class_="timeline"), table(head, table_rows))


def _bars(node: NodeRun) -> list[tuple[str, str, float, float]]:
    """Name, result, begin and end of each step; one that never ended lasts as long as its node is known to."""
    known = [
        (str(part(one, "name")), str(part(one, "result")), at, moment(part(one, "ended")))
        for one in listed(node.record, "steps")
        if (at := moment(part(one, "started"))) is not None
    ]
    last = max([end or at for _, _, at, end in known] + [node.ended or 0.0], default=0.0)
    return [(name, ended, at, end if end is not None else last) for name, ended, at, end in known]


def _bar(bar: tuple[str, str, float, float], begin: float, length: float) -> Markup:
    name, ended, at, till = bar
    left, width = 100 * (at - begin) / length, 100 * (till - at) / length
    class_ = f"bar s-{_kind(name)}" + (" failed" if ended in ("failed", "stopped") else "")
    told = f"{name}: {duration(till - at)}"
    return tag(
        "div", name if width > 12 else None, class_=class_, title=told, style=f"left:{left:.2f}%;width:{width:.2f}%"
    )


def _kind(name: str) -> str:
    return name if name in _STEPS else "other"


_STEPS = ("identify", "unlock", "connect", "fetch", "launch", "deliver", "conclude")


# --- what was moved, what was delivered ------------------------------------------------------------------------------


def transfers(report: RunReport, lang: Lang) -> Markup | None:
    rows: list[list[Child]] = []
    several = len(report.nodes) > 1
    any_failed = any(
        listed(one, "failed")
        for node in report.nodes
        for one in (*mapping(node.record, "fetched").values(), *listed(node.record, "delivered"))
    )
    for node in report.nodes[:MOST_NODES]:
        found = [(words.FETCHED.filled(name=name), one) for name, one in mapping(node.record, "fetched").items()]
        found += [(words.DELIVERED.filled(name=part(one, "url")), one) for one in listed(node.record, "delivered")]
        for name, one in found:
            size, seconds = number(part(one, "bytes")) or 0.0, number(part(one, "seconds")) or 0.0
            rows.append(
                [
                    *([str(node.node)] if several else []),
                    cell(name.to(lang), class_="wide"),
                    str(whole(part(one, "files")) or 0),
                    str(whole(part(one, "skipped")) or 0),
                    *([str(len(listed(one, "failed")))] if any_failed else []),
                    readable(size),
                    duration(seconds),
                    f"{readable(size / seconds)}/s" if seconds > 0 and size else "",
                ]
            )
    if not rows:
        return None
    columns = [words.WHAT, words.FILES, words.UNCHANGED, words.SIZE, words.TOOK, words.RATE]
    if any_failed:
        columns.insert(3, words.FAILURES)
    head = [one.to(lang) for one in ([words.NODE, *columns] if several else columns)]
    return _section(words.TRANSFERS, lang, table(head, rows, class_="numbers"))


def outputs(found: Sequence[OutputUrl], most: int, lang: Lang) -> Markup | None:
    """Files with sizes and digests, ``most`` of them."""
    if not found:
        return None
    body: list[Child] = []
    for one in found:
        body.append(tag("h3", one.url))
        if one.why:
            body.append(tag("p", words.UNREADABLE.filled(why=one.why).to(lang), class_="quiet"))
        elif not one.groups:
            body.append(tag("p", words.NOTHING_DELIVERED.to(lang), class_="quiet"))
        for group in one.groups:
            name = words.CHECKPOINT.filled(path=group.checkpoint) if group.checkpoint else words.LOOSE
            state = (words.COMPLETE if group.complete else words.INCOMPLETE).to(lang)
            if group.missing:
                state += ("，" if lang == "zh" else ", ") + words.WITHOUT.filled(missing=", ".join(group.missing)).to(
                    lang
                )
            shown, most = group.files[:most], max(0, most - len(group.files))
            body.append(tag("h4", name.to(lang), " ", tag("span", state, class_="quiet")))
            if shown:
                head = [word.to(lang) for word in (words.PATH, words.SIZE, words.DIGEST)]
                rows = [
                    [cell(tag("code", file.path), class_="wide"), readable(file.size), cell(tag("code", file.sha256))]
                    for file in shown
                ]
                body.append(table(head, rows, class_="files"))
            if len(group.files) > len(shown):
                more = words.AND_MORE.filled(count=len(group.files) - len(shown))
                body.append(tag("p", more.to(lang), class_="quiet"))
    return _section(words.OUTPUTS, lang, *body)


# --- how it was run --------------------------------------------------------------------------------------------------


def job(node: NodeRun, lang: Lang) -> Markup | None:
    record = node.record
    if not record:
        return None
    command = [str(word) for word in listed(record, "launcher", "command") or listed(record, "command")]
    interface = mapping(record, "interface")
    facts: list[tuple[Words, Child]] = [
        (words.COMMAND, tag("code", " ".join(command)) if command else None),
        (words.LAUNCHER, part(record, "launcher", "name")),
        (words.HOST, node.host or None),
        (words.INTERFACE, f"{interface.get('name')} {interface.get('address')}" if interface else None),
        (words.PYTHON, record.get("python")),
        (words.VERSION, part(record, "versions", "bootstrap")),
    ]
    settings = [
        [cell(tag("code", name)), cell(_plain(part(one, "value")), class_="wide"), str(part(one, "source") or "")]
        for name, one in mapping(record, "settings").items()
    ]
    return _section(words.JOB, lang, _facts(facts, lang), table(("", "", ""), settings) if settings else None)


def _plain(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value))
    if isinstance(value, bool):  # as it is written on a command line
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def ends_of_logs(report: RunReport, lines: Sequence[LogLines], lang: Lang) -> Markup:
    first = leading(report.nodes)
    parts: list[Child] = []
    for node, one in zip(report.nodes, lines, strict=False):
        if len(report.nodes) > 1:
            parts.append(tag("h3", words.NUMBERED.filled(node=node.node).to(lang), f" {node.host}"))
        parts.append(one.html(lang, opened=node is first))
        if node.beside:
            told = ", ".join(f"{name} ({readable(size)})" for name, size in node.beside)
            parts.append(tag("p", words.BESIDE.to(lang), ": ", tag("code", told), class_="quiet"))
    return _section(words.LOG_END, lang, *parts)


def _section(title: Words, lang: Lang, *children: Child) -> Markup:
    return tag("section", tag("h2", title.to(lang)), *children)


def _facts(facts: Sequence[tuple[Words, Child]], lang: Lang) -> Markup:
    pairs = [
        tag("div", tag("dt", name.to(lang)), tag("dd", value))
        for name, value in facts
        if value is not None and str(value)
    ]
    return tag("dl", *pairs)
