"""Every knob: its sources in their order, its parser, and the words when a value cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.errors import UsageError
from bootstrap.job import Sourced
from bootstrap.settings import flag, knobs, option, resolve, variable

README = Path(__file__).parent.parent / "README.md"


def test_an_option_beats_a_variable_beats_the_platform_beats_the_default() -> None:
    defaults = {"code": Sourced("s3://platform/", "DLS_APP_URL")}
    variables = {"BOOTSTRAP_CODE": "s3://variable/"}
    options = {"code": "s3://option/"}

    def found(*sources: dict[str, object]) -> tuple[str, str]:
        resolved = resolve(*sources)  # type: ignore[arg-type]
        return resolved.settings.code, resolved.sources["code"]

    assert found(options, variables, defaults) == ("s3://option/", "--code")
    assert found({}, variables, defaults) == ("s3://variable/", "BOOTSTRAP_CODE")
    assert found({}, {}, defaults) == ("s3://platform/", "DLS_APP_URL")
    assert found({}, {}, {}) == ("", "default")


def test_an_empty_variable_is_not_set() -> None:
    resolved = resolve({}, {"BOOTSTRAP_CODE": ""}, {"code": Sourced("s3://platform/", "DLS_APP_URL")})
    assert resolved.sources["code"] == "DLS_APP_URL"


def test_an_empty_option_is_a_choice() -> None:
    resolved = resolve({"code": ""}, {}, {"code": Sourced("s3://platform/", "DLS_APP_URL")})
    assert (resolved.settings.code, resolved.sources["code"]) == ("", "--code")


@pytest.mark.parametrize(
    ("text", "seconds"), [("30", 30), ("1.5", 1.5), ("90s", 90), ("10m", 600), ("2h", 7200), ("1 D", 86400)]
)
def test_durations(text: str, seconds: float) -> None:
    assert resolve({"grace": text}, {}, {}).settings.grace == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.2.3", "10 minutes", "nan", "inf"])
def test_what_is_no_duration_is_refused_by_the_name_it_came_under(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        resolve({"grace": text}, {}, {})
    assert "--grace" in str(raised.value)
    if text:
        with pytest.raises(UsageError, match="BOOTSTRAP_GRACE"):
            resolve({}, {"BOOTSTRAP_GRACE": text}, {})


@pytest.mark.parametrize(("text", "value"), [("1", True), ("Yes", True), ("on", True), ("0", False), ("FALSE", False)])
def test_switches(text: str, value: bool) -> None:
    assert resolve({}, {"BOOTSTRAP_QUIET": text}, {}).settings.quiet is value


def test_a_switch_that_is_neither_is_refused() -> None:
    with pytest.raises(UsageError, match="BOOTSTRAP_QUIET"):
        resolve({}, {"BOOTSTRAP_QUIET": "maybe"}, {})


def test_repeatable_settings_are_options_again_and_again_or_one_variable_divided() -> None:
    pairs = (("data", "obs://b/d=1/"), ("more", "s3://b/m"))
    assert resolve({"input": ["data=obs://b/d=1/", "more=s3://b/m"]}, {}, {}).settings.input == pairs
    assert resolve({}, {"BOOTSTRAP_INPUT": "data=obs://b/d=1/; more=s3://b/m"}, {}).settings.input == pairs
    assert resolve({}, {"BOOTSTRAP_INPUT": "data=obs://b/d=1/\nmore=s3://b/m\n"}, {}).settings.input == pairs


@pytest.mark.parametrize("text", ["obs://b/data/", "=obs://b/", "data="])
def test_a_pair_needs_both_sides(text: str) -> None:
    with pytest.raises(UsageError, match="NAME=URL"):
        resolve({"input": [text]}, {}, {})


def test_of_several_items_the_wrong_one_is_named() -> None:
    with pytest.raises(UsageError, match="BOOTSTRAP_INPUT cannot be 'more'"):
        resolve({}, {"BOOTSTRAP_INPUT": "data=obs://b/d/; more"}, {})


def test_addressing_is_one_of_three() -> None:
    with pytest.raises(UsageError, match="auto, virtual, path"):
        resolve({"addressing": "vhost"}, {}, {})


def test_every_setting_has_a_group_a_help_and_a_name_of_its_own() -> None:
    names = [name for name, _, _ in knobs()]
    assert len(names) == len(set(names))
    for name, knob, _ in knobs():
        assert knob.group and knob.help, name
        assert (knob.parse is flag) == (not knob.metavar), name
        assert variable(name).startswith("BOOTSTRAP_") and option(name).startswith("--")


@pytest.mark.parametrize("name", [name for name, _, _ in knobs()])
def test_the_readme_lists_it(name: str) -> None:
    (knob,) = [knob for other, knob, _ in knobs() if other == name]
    shown = f"`{option(name)} {knob.metavar}`" if knob.metavar else f"`{option(name)}`"
    (row,) = [line for line in README.read_text().splitlines() if line.startswith(f"| {shown} |")]
    assert f"| `{variable(name)}` |" in row
    assert row.endswith(f"| {knob.help} |")
