"""Samples -> plots: one time axis for all, a few hundred values a line.

Counters become rates between two samples; of what is in one step of the axis a rate is averaged and a level keeps its
highest, since it is the peak that ends a job. A step without a sample stays empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..reporting.language import Words
from ..values import dataclass
from . import words
from .model import NodeRun, listed, mapping, number, part

Sample = Mapping[str, Any]
_Points = Iterator[tuple[float, float]]

_LINES = 24  # of one plot
_NODES = 16  # with lines of their own


@dataclass(frozen=True, slots=True)
class Series:
    label: Words | str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """``unit``: bytes, rate (bytes a second), percent, cores, celsius, watts, count. ``limit``: a line across."""

    title: Words
    unit: str
    series: tuple[Series, ...]
    limit: float | None = None

    @property
    def peak(self) -> float:
        return max((value for one in self.series for value in one.values if value is not None), default=0.0)


@dataclass(frozen=True, slots=True)
class Plots:
    """``times`` in seconds of the epoch."""

    times: tuple[float, ...]
    plots: tuple[Plot, ...]


def plots(nodes: Sequence[NodeRun], steps: int) -> Plots | None:
    """With ``steps`` values on the axis; None where there are no samples. Of several nodes each has one line a plot."""
    sampled = [node for node in nodes if len(node.samples) > 1]
    if not sampled:
        return None
    axis = _Axis(sampled, steps)
    found = _of_one(sampled[0], axis) if len(nodes) == 1 else _of_several(sampled[:_NODES], axis)
    return Plots(axis.times, tuple(plot for plot in found if plot.series))


class _Axis:
    def __init__(self, nodes: Sequence[NodeRun], steps: int) -> None:
        times = [float(node.samples[place]["t"]) for node in nodes for place in (0, -1)]
        self._first, most = min(times), max(len(node.samples) for node in nodes)
        steps = max(2, min(steps, most))
        self._width = max((max(times) - self._first) / (steps - 1), 1e-3)
        self.times = tuple(round(self._first + place * self._width, 1) for place in range(steps))

    def level(self, points: Iterable[tuple[float, float]]) -> tuple[float | None, ...]:
        """The highest of each step."""
        return self._placed(points, max)

    def rate(self, points: Iterable[tuple[float, float]]) -> tuple[float | None, ...]:
        """The mean of each step, of a counter's growth a second."""
        return self.mean(_growth(points))

    def mean(self, points: Iterable[tuple[float, float]]) -> tuple[float | None, ...]:
        return self._placed(points, lambda values: sum(values) / len(values))

    def _placed(
        self, points: Iterable[tuple[float, float]], choose: Callable[[list[float]], float]
    ) -> tuple[float | None, ...]:
        found: list[list[float]] = [[] for _ in self.times]
        for time, value in points:
            place = round((time - self._first) / self._width)
            if 0 <= place < len(found):
                found[place].append(value)
        return tuple(choose(values) if values else None for values in found)


def _growth(points: Iterable[tuple[float, float]]) -> _Points:
    """A counter that went back (a process whose time nobody counted, an interface made anew) did not grow."""
    before: tuple[float, float] | None = None
    for time, value in points:
        if before is not None and time > before[0]:
            yield time, max(0.0, value - before[1]) / (time - before[0])
        before = time, value


def _values(samples: Iterable[Sample], *keys: str, at: int | None = None) -> _Points:
    """What is below ``keys``, and there at the place ``at`` of a list."""
    for sample in samples:
        value: object = part(sample, *keys)
        if at is not None:
            value = value[at] if isinstance(value, list) and len(value) > at else None
        told = number(value)
        if told is not None:
            yield float(sample["t"]), told


def _names(samples: Sequence[Sample], key: str) -> list[str]:
    return sorted({name for sample in samples for name in mapping(sample, key)})[:_LINES]


def _line(label: Words | str, values: tuple[float | None, ...]) -> list[Series]:
    return [Series(label, values)] if any(value is not None for value in values) else []


def _of_one(node: NodeRun, axis: _Axis) -> Iterator[Plot]:
    samples, heading = node.samples, node.heading
    cores = number(heading.get("cores"))
    yield Plot(
        words.CPU,
        "cores",
        (
            *_line(words.OF_COMMAND, axis.rate(_values(samples, "cpu_s"))),
            *_line(words.OF_CONTAINER, axis.rate(_values(samples, "container_cpu_s"))),
        ),
        cores,
    )
    yield Plot(
        words.MEMORY,
        "bytes",
        (
            *_line(words.IN_USE, axis.level(_values(samples, "memory"))),
            *_line(words.RSS, axis.level(_values(samples, "rss"))),
        ),
        number(heading.get("memory_limit")),
    )
    for title, key, unit, level in _DEVICE:
        yield Plot(title, unit, tuple(_devices(samples, axis, key, level)))
    chosen = str(heading.get("interface") or "")
    lines: list[Series] = []
    for name in sorted(_names(samples, "net"), key=lambda name: name != chosen):
        mark = f"{name} *" if name == chosen else name
        lines += _line(words.IN.filled(name=mark), axis.rate(_values(samples, "net", name, at=0)))
        lines += _line(words.OUT.filled(name=mark), axis.rate(_values(samples, "net", name, at=1)))
    yield Plot(words.NETWORK, "rate", tuple(lines[:_LINES]))
    lines = []
    for name in _names(samples, "rdma"):
        lines += _line(words.IN.filled(name=name), axis.rate(_values(samples, "rdma", name, at=0)))
        lines += _line(words.OUT.filled(name=name), axis.rate(_values(samples, "rdma", name, at=1)))
    yield Plot(words.RDMA, "rate", tuple(lines[:_LINES]))
    yield Plot(
        words.DISK_IO,
        "rate",
        (
            *_line(words.READ, axis.rate(_values(samples, "io", at=0))),
            *_line(words.WRITTEN, axis.rate(_values(samples, "io", at=1))),
        ),
    )
    rooms = [
        line for name in _names(samples, "disks") for line in _line(name, axis.level(_share(samples, "disks", name)))
    ]
    rooms += _line("/dev/shm", axis.level(_share(samples, "shm")))
    yield Plot(words.DISKS, "percent", tuple(rooms[:_LINES]), 100.0)
    yield Plot(words.PROCESSES, "count", tuple(_line(words.COUNT, axis.level(_values(samples, "processes")))))


# what a device tells, and whether its highest in a step counts (else its mean)
_DEVICE = (
    (words.DEVICE_USE, "use", "percent", False),
    (words.DEVICE_MEMORY, "memory", "bytes", True),
    (words.DEVICE_TEMPERATURE, "temperature", "celsius", True),
    (words.DEVICE_POWER, "power", "watts", False),
    (words.DEVICE_ERRORS, "errors", "count", True),
)


def _of_several(nodes: Sequence[NodeRun], axis: _Axis) -> Iterator[Plot]:
    def each(title: Words, unit: str, values: Callable[[NodeRun], tuple[float | None, ...]]) -> Plot:
        return Plot(
            title,
            unit,
            tuple(line for node in nodes for line in _line(words.NUMBERED.filled(node=node.node), values(node))),
        )

    yield each(words.CPU, "cores", lambda node: axis.rate(_values(node.samples, "cpu_s")))
    yield each(words.MEMORY_SHARE, "percent", lambda node: axis.level(_memory_share(node)))
    for title, key, unit, level in _DEVICE[:3]:
        yield each(title, unit, lambda node, key=key, level=level: _all_devices(node, axis, key, level))  # type: ignore[misc]
    yield each(words.NETWORK, "rate", lambda node: axis.rate(_network(node)))
    yield each(words.DISK_IO, "rate", lambda node: axis.rate(_both(node.samples, "io")))


def _share(samples: Iterable[Sample], *keys: str) -> _Points:
    """Percent used of a file system."""
    for sample in samples:
        room = part(sample, *keys)
        if (
            isinstance(room, list)
            and len(room) > 1
            and (size := number(room[1]))
            and (used := number(room[0])) is not None
        ):
            yield float(sample["t"]), 100.0 * used / size


def _memory_share(node: NodeRun) -> _Points:
    limit = number(node.heading.get("memory_limit"))
    if limit:
        yield from ((time, 100.0 * used / limit) for time, used in _values(node.samples, "memory"))


def _both(samples: Iterable[Sample], *keys: str) -> _Points:
    for sample in samples:
        pair = part(sample, *keys)
        if isinstance(pair, list) and all(number(one) is not None for one in pair[:2]):
            yield float(sample["t"]), float(sum(pair[:2]))


def _network(node: NodeRun) -> _Points:
    """In and out of the interface between the nodes and of RDMA, else of all interfaces."""
    chosen = str(node.heading.get("interface") or "")
    for sample in node.samples:
        net, rdma = mapping(sample, "net"), mapping(sample, "rdma")
        used = [net[chosen]] if chosen in net else list(net.values())
        pairs = [pair for pair in (*used, *rdma.values()) if isinstance(pair, list)]
        yield float(sample["t"]), float(sum(number(one) or 0.0 for pair in pairs for one in pair[:2]))


def _device_points(samples: Iterable[Sample], index: int, key: str) -> _Points:
    for sample in samples:
        for device in listed(sample, "devices"):
            if part(device, "index") == index and (value := number(part(device, key))) is not None:
                yield float(sample["t"]), value


def _indices(samples: Sequence[Sample]) -> list[int]:
    return sorted(
        {
            index
            for sample in samples
            for device in listed(sample, "devices")
            if isinstance(index := part(device, "index"), int)
        }
    )


def _devices(samples: Sequence[Sample], axis: _Axis, key: str, level: bool) -> Iterator[Series]:
    for index in _indices(samples)[:_LINES]:
        yield from _line(str(index), _placed(axis, _device_points(samples, index, key), level))


def _placed(axis: _Axis, points: _Points, level: bool) -> tuple[float | None, ...]:
    return axis.level(points) if level else axis.mean(points)


def _all_devices(node: NodeRun, axis: _Axis, key: str, level: bool) -> tuple[float | None, ...]:
    """The highest of a node's devices where the highest counts, else their mean."""

    def points() -> _Points:
        for sample in node.samples:
            values = [value for one in listed(sample, "devices") if (value := number(part(one, key))) is not None]
            if values:
                yield float(sample["t"]), max(values) if level else sum(values) / len(values)

    return _placed(axis, points(), level)
