"""Which mutants are tried: mistakes that somebody could make, where they could be seen."""

from __future__ import annotations

import pytest

from tests.lab.mutants import likely, unseen_in

SOURCE = """\
@dataclass(frozen=True)
class Unit:
    size: int | None = 2 * 3

    def names(self, *more: str, **facts: object) -> list[str]:
        return [*more, *(f for f in facts)]

made = Unit(*[1], **{"a": 1})
power = 2 ** 3
"""


def test_what_nobody_could_see_is_left_out() -> None:
    lines = SOURCE.splitlines()
    found = sorted({lines[row - 1][begin:end] for (row, begin), (_, end) in unseen_in(SOURCE)})
    assert found == sorted({
        "dataclass(frozen=True)", "int | None", "str", "object", "list[str]", "*", "**",
    })  # fmt: skip
    kept = [(row, column) for row, text in enumerate(lines, 1) for column in range(len(text)) if text[column] == "*"]
    seen = [place for place in kept if not any(begin <= place < end for begin, end in unseen_in(SOURCE))]
    assert seen == [(3, lines[2].index("*")), *((9, lines[8].index("*") + more) for more in (0, 1))]


@pytest.mark.parametrize(
    ("operator", "tried"),
    [
        ("core/ReplaceBinaryOperator_Add_Sub", True),
        ("core/ReplaceBinaryOperator_Add_BitXor", False),
        ("core/ReplaceBinaryOperator_Div_Pow", False),
        ("core/ReplaceComparisonOperator_Lt_LtE", True),
        ("core/ReplaceComparisonOperator_Lt_Is", False),
        ("core/NumberReplacer", True),
        ("core/AddNot", True),
        ("core/RemoveDecorator", False),
    ],
)
def test_what_nobody_would_write_is_left_out(operator: str, tried: bool) -> None:
    assert likely(operator) is tried
