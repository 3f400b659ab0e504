"""The plots' places on the page, and the numbers that the script draws them of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..reporting.language import Lang, Words
from . import words
from .amounts import readable
from .markup import Markup, tag
from .model import NodeRun, moment, part
from .series import Plot, Plots

_UNITS = {"percent": "%", "celsius": "°C", "watts": "W", "cores": "", "count": ""}


def html(plots: Plots | None, lang: Lang) -> Markup:
    if plots is None:
        return tag("p", words.NO_SAMPLES.to(lang), class_="quiet")
    figures = [
        tag(
            "figure",
            tag("figcaption", tag("b", plot.title.to(lang)), " ", tag("span", _summary(plot, lang), class_="quiet")),
            tag("div", class_="plot", data_plot=str(place)),
        )
        for place, plot in enumerate(plots.plots)
    ]
    return tag("div", tag("noscript", tag("p", words.NEEDS_SCRIPT.to(lang))), tag("div", *figures, class_="plots"))


def data(plots: Plots | None, nodes: Sequence[NodeRun], lang: Lang) -> dict[str, Any]:
    """What the script is given. ``marks``: moments at which the command began, ended or failed first."""
    if plots is None:
        return {"times": [], "plots": [], "marks": []}
    return {
        "times": list(plots.times),
        "plots": [
            {
                "unit": plot.unit,
                "limit": plot.limit,
                "series": [
                    {"label": _label(one.label, lang), "values": [_short(value) for value in one.values]}
                    for one in plot.series
                ],
            }
            for plot in plots.plots
        ],
        "marks": _marks(nodes, lang),
    }


def embedded(document: object) -> Markup:
    """JSON inside HTML: nothing in it can end the element that it is in."""
    told = json.dumps(document, separators=(",", ":"), ensure_ascii=True)
    for letter in "<>&":
        told = told.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(told)


def _label(label: Words | str, lang: Lang) -> str:
    return label if isinstance(label, str) else label.to(lang)


def _marks(nodes: Sequence[NodeRun], lang: Lang) -> list[dict[str, Any]]:
    first = next((found for node in nodes if (found := moment(part(node.record, "first_failure", "at")))), None)
    return [{"t": first, "label": words.FIRST_FAILURE.to(lang)}] if first is not None else []


def _summary(plot: Plot, lang: Lang) -> str:
    values = [value for one in plot.series for value in one.values if value is not None]
    mean = sum(values) / len(values) if values else 0.0
    told = words.SUMMARY.filled(mean=shown(mean, plot.unit), peak=shown(plot.peak, plot.unit)).to(lang)
    if plot.limit and plot.unit != "percent":
        told += ("，" if lang == "zh" else ", ") + words.LIMIT.filled(limit=shown(plot.limit, plot.unit)).to(lang)
    return told


def shown(value: float, unit: str) -> str:
    """``1.5 GB``, ``12.3 MB/s``, ``97 %``."""
    if unit in ("bytes", "rate"):
        return readable(value) + ("/s" if unit == "rate" else "")
    return f"{value:.3g} {_UNITS[unit]}".rstrip() if value < 1000 else f"{value:.0f} {_UNITS[unit]}".rstrip()


def _short(value: float | None) -> float | int | None:
    """Four digits: what a plot can show, and a third of the bytes."""
    if value is None:
        return None
    told = float(f"{value:.4g}")
    return int(told) if told == int(told) else told
