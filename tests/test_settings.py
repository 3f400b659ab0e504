"""Every knob: its sources in their order, its parser, and the words when a value cannot be used."""

from __future__ import annotations

import pytest

from bootstrap.errors import BootstrapError, UsageError
from bootstrap.job import Sourced
from bootstrap.settings import flag, knobs, option, resolve, variable


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
        assert (knob.parse is flag) == (not knob.metavar) == (not knob.example), name
        assert not knob.example or knob.parse(knob.example) is not None, "the example is a value that is taken"
        assert variable(name).startswith("BOOTSTRAP_") and option(name).startswith("--")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("65536", 65536),
        ("1k", 1024),
        ("512M", 512 << 20),
        ("1.5KiB", 1536),
        ("2 GB", 2 << 30),
        ("1TiB", 1 << 40),
    ],
)
def test_sizes_are_in_binary_units(text: str, size: int) -> None:
    assert resolve({"log_limit": text}, {}, {}).settings.log_limit == size


@pytest.mark.parametrize("text", ["", "-1", "M", "1PiB", "1.2.3M", "lots"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--log-limit"):
        resolve({"log_limit": text}, {}, {})


@pytest.mark.parametrize(
    ("name", "least", "most"), [("code_failure_exit", 0, 255), ("meet_port", 1, 65535), ("max_restarts", 0, None)]
)
def test_numbers_have_their_bounds(name: str, least: int, most: int | None) -> None:
    for number in (least, most if most is not None else 10**6):
        assert getattr(resolve({name: str(number)}, {}, {}).settings, name) == number
    for wrong in (str(least - 1), "1.5", "x", "", *([str(most + 1)] if most is not None else [])):
        with pytest.raises(UsageError, match=option(name)):
            resolve({name: wrong}, {}, {})


@pytest.mark.parametrize(("text", "name"), [("TERM", "TERM"), (" sigusr1 ", "USR1"), ("SIGINT", "INT")])
def test_signals_go_by_their_names(text: str, name: str) -> None:
    assert resolve({"stop_signal": text}, {}, {}).settings.stop_signal == name


@pytest.mark.parametrize("text", ["KILL", "SIGSTOP", "9", "SIGSIGTERM", "NONE", ""])
def test_what_cannot_be_caught_is_no_signal_to_stop_by(text: str) -> None:
    with pytest.raises(UsageError, match="--stop-signal"):
        resolve({"stop_signal": text}, {}, {})


def test_who_gave_a_value_is_known() -> None:
    resolved = resolve({"code": "/a"}, {"BOOTSTRAP_LOG": "/b"}, {"job_dir": Sourced("/c", "HOME")})
    assert [resolved.by_person(name) for name in ("code", "log", "job_dir", "run_dir")] == [True, True, False, False]


def test_with_a_place_for_them_all_problems_are_kept_and_the_defaults_stand_in() -> None:
    problems: list[BootstrapError] = []
    resolved = resolve({"grace": "soon", "log": "/logs"}, {"BOOTSTRAP_QUIET": "maybe"}, {}, problems)
    assert {problem.what.partition(" ")[0] for problem in problems} == {"--grace", "BOOTSTRAP_QUIET"}
    default = {name: value for name, _, value in knobs()}
    assert (resolved.settings.grace, resolved.settings.quiet) == (default["grace"], default["quiet"])
    assert (resolved.settings.log, resolved.sources["grace"]) == ("/logs", "--grace")
