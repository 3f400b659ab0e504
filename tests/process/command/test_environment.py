"""What the command sees of the environment."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bootstrap.process.command.environment import child_environment

names = st.text("ABCDEFGHIJ_", min_size=1, max_size=6)
OURS = {"PYTHONUNBUFFERED": "1", "PYTHONPATH": "/job"}


@given(st.dictionaries(names, st.text(max_size=5)))
def test_what_the_user_set_is_kept(environ: dict[str, str]) -> None:
    assert child_environment(environ, job_dir="/job") == {**environ, **OURS}


def test_names_to_remove_are_removed() -> None:
    assert child_environment({"A": "1", "B": "2"}, job_dir="/job", remove=["A", "C"]) == {"B": "2", **OURS}


def test_defaults_yield_to_the_user_and_additions_do_not() -> None:
    child = child_environment(
        {"A": "user", "B": "user"}, job_dir="/job", defaults={"A": "d", "C": "d"}, add={"B": "a", "C": "a"}
    )
    assert (child["A"], child["B"], child["C"]) == ("user", "a", "a")


def test_the_job_dir_is_in_front_of_pythonpath_once() -> None:
    path = child_environment({"PYTHONPATH": "/a:/job:/b"}, job_dir="/job")["PYTHONPATH"]
    assert path == "/job:/a:/b"
    assert child_environment({"PYTHONPATH": ""}, job_dir="/job")["PYTHONPATH"] == "/job"


def test_the_working_directory_is_told_as_a_shell_tells_it() -> None:
    assert child_environment({"PWD": "/"}, job_dir="/job", work_dir="/job/code")["PWD"] == "/job/code"


def test_a_prefix_of_our_own_leaves_no_trace() -> None:
    child = child_environment(
        {
            "BOOTSTRAP_PREFIX": "/opt/bootstrap",
            "VIRTUAL_ENV": "/opt/bootstrap/",
            "PYTHONHOME": "/opt/bootstrap",
            "PATH": "/opt/bootstrap/bin:/opt/bootstrap2/bin:/usr/bin:",
            "LD_LIBRARY_PATH": "/opt/bootstrap/lib:/usr/local/cuda/lib64",
        },
        job_dir="/job",
    )
    assert child == {
        "PATH": "/opt/bootstrap2/bin:/usr/bin:",
        "LD_LIBRARY_PATH": "/usr/local/cuda/lib64",
        **OURS,
    }


def test_where_we_live_in_the_users_environment_its_python_stays() -> None:
    environ = {"VIRTUAL_ENV": "/home/me/venv", "PATH": "/home/me/venv/bin:/usr/bin", "PYTHONHOME": "/home/me"}
    assert child_environment(environ, job_dir="/job") == {**environ, **OURS}
