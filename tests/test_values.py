"""Our dataclasses are the standard library's to everybody: each sentence is said of both."""

import copy
import dataclasses
import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from bootstrap import values
from bootstrap.job import Cluster, Node

MAKERS = {"the standard library's": dataclasses, "ours": values}


@pytest.fixture(params=MAKERS)
def made(request: pytest.FixtureRequest) -> Any:
    """Classes made by the one or the other."""
    by: Any = MAKERS[request.param]

    @by.dataclass(frozen=True, slots=True, order=True)
    class Point:
        """A place."""

        x: int
        y: int = 0
        seen: float = by.field(default=0.0, compare=False, repr=False)
        names: tuple[str, ...] = by.field(default_factory=tuple)

        @property
        def far(self) -> bool:
            return self.x + self.y > 10

    @by.dataclass(slots=True)
    class Tally:
        count: int = 0
        lines: list[Any] = by.field(default_factory=list)

    @by.dataclass
    class Tool:
        name: str = "saw"
        size: int = by.field(init=False)

        def __post_init__(self) -> None:
            self.size = len(self.name)

    @by.dataclass(frozen=True, slots=True)
    class Nothing: ...

    return SimpleNamespace(by=by, Point=Point, Tally=Tally, Tool=Tool, Nothing=Nothing)


def test_arguments_come_by_place_by_name_or_from_the_default(made: Any) -> None:
    point = made.Point(1, seen=2.0)
    assert (point.x, point.y, point.seen, point.names) == (1, 0, 2.0, ())
    assert made.Point(1, 2, 3.0, ("a",)).names == ("a",)
    assert made.Tally().lines is not made.Tally().lines, "two instances share a list"


@pytest.mark.parametrize(
    "given, named",
    [((), {}), ((1, 2, 3.0, (), 5), {}), ((1,), {"x": 1}), ((1,), {"z": 1}), ((1, 2, 3.0, ()), {"z": 1})],
    ids=["one is missing", "too many", "twice", "unknown", "all and unknown"],
)
def test_arguments_that_do_not_fit_are_refused(made: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        made.Point(*given, **named)


def test_what_is_equal_has_one_hash_and_the_fields_left_out_do_not_count(made: Any) -> None:
    assert made.Point(1, 2, 3.0) == made.Point(1, 2, 4.0) != made.Point(1, 3)
    assert hash(made.Point(1, 2, 3.0)) == hash(made.Point(1, 2, 4.0))
    assert made.Point(1) != (1, 0, ()) and made.Nothing() == made.Nothing()
    assert len({made.Point(1), made.Point(1), made.Nothing()}) == 2
    with pytest.raises(TypeError):
        hash(made.Tally())


def test_order_is_that_of_the_fields(made: Any) -> None:
    assert made.Point(1, 9) < made.Point(2, 0) <= made.Point(2) < made.Point(2, 0, names=("a",))
    assert made.Point(2) > made.Point(1, 5, seen=1.0) >= made.Point(1, 5)
    with pytest.raises(TypeError):
        assert made.Tally() < made.Tally()


def test_a_frozen_one_stays_as_it_is(made: Any) -> None:
    point = made.Point(1)
    for change in (lambda: setattr(point, "x", 2), lambda: delattr(point, "x"), lambda: setattr(point, "z", 1)):
        with pytest.raises((AttributeError, TypeError)):  # the library's gives a TypeError for what is no field
            change()
    assert point == made.Point(1)


def test_slots_leave_no_room_for_more_and_others_do(made: Any) -> None:
    tally, tool = made.Tally(), made.Tool()
    tally.count = 2
    with pytest.raises(AttributeError):
        tally.total = 3
    tool.owner = "nobody"
    assert (tool.size, tool.owner, made.Tool.name) == (3, "nobody", "saw")


def test_they_say_what_they_are(made: Any) -> None:
    assert repr(made.Point(1, 2)).endswith("Point(x=1, y=2, names=())")
    assert (made.Point.__doc__, made.Point(9, 9).far) == ("A place.", True)
    match made.Point(1, 2):
        case made.Point(x, y):
            assert (x, y) == (1, 2)


def test_a_default_that_instances_would_share_is_refused(made: Any) -> None:
    with pytest.raises(ValueError, match="default_factory"):

        @made.by.dataclass
        class Shared:
            lines: list[str] = []  # noqa: RUF012  that is what is refused


def test_changes_and_plain_forms_are_ours_and_the_librarys(made: Any) -> None:
    nested = made.Tally(1, [made.Point(1), {"at": made.Point(2)}])
    for by in MAKERS.values() if made.by is values else (dataclasses,):
        assert by.replace(made.Point(1, 2), y=3) == made.Point(1, 3)
        assert by.replace(made.Tool(), name="axe").size == 3
        assert by.asdict(nested)["lines"][1]["at"] == {"x": 2, "y": 0, "seen": 0.0, "names": ()}
        assert by.asdict(nested)["lines"][0]["x"] == 1
        assert by.astuple(made.Point(1)) == (1, 0, 0.0, ())
        assert [one.name for one in by.fields(made.Tool)] == ["name", "size"]
        with pytest.raises(TypeError):
            by.replace(made.Point(1), z=3)
    assert dataclasses.is_dataclass(made.Point) and dataclasses.is_dataclass(made.Tally())


def test_copies_are_equal_and_travel() -> None:
    cluster = Cluster((Node(0, "a"), Node(1, "b", port=7)), 1)
    assert copy.deepcopy(cluster) == copy.copy(cluster) == pickle.loads(pickle.dumps(cluster)) == cluster
