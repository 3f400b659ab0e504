"""The functions that derived boot scripts source from utils.sh: their names, arguments and exit codes, in real bash."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.lab.stores import Bucket, Store
from tests.scripts.conftest import Image, text

DOCUMENTED = {
    "DLS_UTILS_DIR",
    "decrypt_dls_aes_env",
    "decrypt_dls_aes_env_by_decryptor",
    "decrypt_dls_aes_env_by_key_client",
    "dls_bootstrap",
    "dls_create_log",
    "dls_fix_dns",
    "dls_get_app",
    "dls_get_executor",
    "dls_logger",
    "dls_upload_log",
    "dls_upload_train",
    "unset_job_env",
    "unset_job_env_except_self",
}


@pytest.fixture
def job(image: Image, store: Store) -> Image:
    """A v1 container with a store."""
    image.environ |= {**store.env(), "DLS_TASK_INDEX": "0", "DLS_USE_DOWNLOADER": "1", "DLS_DLKS_JOB_ID": "job-7"}
    return image


def test_sourcing_defines_the_documented_names_and_nothing_else(image: Image) -> None:
    done = image.bash(
        "true | true\nnames() { compgen -v; compgen -A function; }\nnames\nsource utils.sh\necho --\nnames"
    )
    before, _, after = done.stdout.decode().partition("--\n")
    assert set(after.split()) - set(before.split()) == DOCUMENTED, text(done)


def test_it_can_be_sourced_and_used_under_strict_options(image: Image) -> None:
    done = image.bash(
        "set -euo pipefail\nsource utils.sh\n"
        'dls_fix_dns\nunset_job_env_except_self "${DLS_JOB_ID:-}"\nunset_job_env\ndecrypt_dls_aes_env\n'
        'dls_create_log /dev/null; echo x | dls_logger ""; dls_get_app ""\necho reached'
    )
    assert done.returncode == 0, text(done)
    assert done.stdout.endswith(b"reached\n")


def test_it_is_found_again_after_a_change_of_directory(image: Image) -> None:
    (image.home / "deep").mkdir()
    done = image.bash("source utils.sh\ncd deep\ndls_bootstrap --version")
    assert done.stdout.startswith(b"modelarts-bootstrap "), text(done)


# --- the environment ------------------------------------------------------------------------------------------------


def test_strangers_variables_are_unset_and_the_jobs_own_stay(image: Image) -> None:
    env = {
        "JOBA1B_20190101_WORKER_HOST": "ours",
        "JOBC2D_20190101_WORKER_HOST": "theirs",
        "KUBERNETES_PORT": "theirs",
        "KEPT": "1",
        "DLS_TASK_INDEX": "0",
    }
    done = image.bash("source utils.sh\nunset_job_env_except_self joba1b-20190101\nenv", env=env)
    left = {line.partition("=")[0] for line in done.stdout.decode().splitlines()}
    assert left >= {"JOBA1B_20190101_WORKER_HOST", "KEPT"}, text(done)
    assert not left & {"JOBC2D_20190101_WORKER_HOST", "KUBERNETES_PORT"}


def test_a_platform_that_contradicts_itself_does_not_end_a_script_that_only_cleans_up(image: Image) -> None:
    env = {"DLS_TASK_NUMBER": "2", "DLS_TASK_INDEX": "0"}
    done = image.bash("set -e\nsource utils.sh\nunset_job_env_except_self abc\necho reached", env=env)
    assert done.stdout == b"reached\n", text(done)
    assert b"nothing is removed" in done.stderr


# A tool that stands for the platform's closed one: it gives back the ciphertext's file, whatever bytes are in it.
DECRYPTOR = '#!/bin/sh\ncat "$1/$2"\n'


@pytest.mark.parametrize(
    "value", [b"plain", b'it\'s $(touch hacked) `id` "quoted" \\ *', b"two\nlines\n\n", b"\xff\xfe not utf-8"]
)
def test_decrypted_values_arrive_byte_for_byte(image: Image, tmp_path: Path, value: bytes) -> None:
    image.program("dls-decryptor", DECRYPTOR)
    (tmp_path / "cipher").write_bytes(value + b"\n")
    env = {"DLS_AES__SECRET": "cipher", "DLS_DECRYPTOR_KEY_FILE": str(tmp_path)}
    done = image.bash('source utils.sh\ndecrypt_dls_aes_env\nprintf %s "$SECRET"', env=env)
    assert done.stdout == value, text(done)
    assert not (image.home / "hacked").exists()


def test_a_decryption_that_fails_is_the_functions_failure(image: Image, tmp_path: Path) -> None:
    image.program("dls-decryptor", "#!/bin/sh\nexit 3\n")
    env = {"DLS_AES__SECRET": "cipher", "DLS_DECRYPTOR_KEY_FILE": str(tmp_path)}
    done = image.bash('source utils.sh\ndecrypt_dls_aes_env\necho "status $? ${SECRET-unset}"', env=env)
    assert done.stdout == b"status 117 unset\n", text(done)
    assert b"DLS_AES__SECRET" in done.stderr


@pytest.mark.parametrize("switch", ["", "0"])
def test_name_resolution_stays_as_it_is_unless_asked_for(image: Image, switch: str) -> None:
    done = image.bash('source utils.sh\ndls_fix_dns\necho "${RES_OPTIONS-unset}"', env={"DLS_USE_DNS_TCP": switch})
    assert done.stdout == b"unset\n"


def test_name_resolution_over_tcp_needs_no_setuid_tool(image: Image) -> None:
    env = {"DLS_USE_DNS_TCP": "1", "RES_OPTIONS": "ndots:2"}
    done = image.bash("source utils.sh\ndls_fix_dns\nenv | grep ^RES_OPTIONS", env=env)
    assert done.stdout == b"RES_OPTIONS=ndots:2 use-vc\n"


def test_the_images_own_tool_for_it_is_preferred(image: Image) -> None:
    image.program("dls-dns-fixer", "#!/bin/sh\necho fixed\n")
    done = image.bash('source utils.sh\ndls_fix_dns\necho "${RES_OPTIONS-unset}"', env={"DLS_USE_DNS_TCP": "1"})
    assert done.stdout == b"fixed\nunset\n"


# --- logs -----------------------------------------------------------------------------------------------------------


def test_a_log_is_created_readable_for_the_platforms_collector_and_the_umask_stays(image: Image) -> None:
    done = image.bash(
        "umask 0077\nsource utils.sh\nlog='logs here/task.log'\n"
        'dls_create_log "$log"\necho x | dls_logger "$log"\numask'
    )
    log = image.home / "logs here" / "task.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o644, text(done)
    assert log.read_text() == "x\n"
    assert done.stdout == b"0077\n"


def test_the_logger_replaces_or_appends_byte_for_byte(image: Image) -> None:
    script = r"""
source utils.sh
printf 'old' >log
printf 'a\0\xff' | dls_logger log
printf 'b' | dls_logger log append
(exit 7) | dls_logger log append
echo "${PIPESTATUS[@]}"
"""
    done = image.bash(script)
    assert (image.home / "log").read_bytes() == b"a\0\xffb"
    assert done.stdout == b"7 0\n", text(done)


def test_a_log_that_cannot_be_written_does_not_kill_the_training(image: Image) -> None:
    (image.home / "file").write_text("")
    done = image.bash('source utils.sh\nseq 1 100000 | dls_logger file/log | tail -n 1\necho "${PIPESTATUS[@]}"')
    assert done.stdout == b"100000\n0 0 0\n", text(done)
    assert b"cannot be written" in done.stderr


def test_the_images_own_pipe_gets_its_words(image: Image) -> None:
    image.program("modelarts-pipe", '#!/bin/sh\necho "pipe: $*"; cat\n')
    done = image.bash(
        "source utils.sh\ndls_create_log l </dev/null\necho x | dls_logger l\necho y | dls_logger l append"
    )
    assert done.stdout == b"pipe: l create\npipe: l\nx\npipe: l append\ny\n"


# --- transfers ------------------------------------------------------------------------------------------------------


def test_the_code_lands_below_its_last_directory_name(job: Image, bucket: Bucket) -> None:
    bucket.put_tree("a/code/", {"train.py": "print()", "lib/x.py": ""})
    done = job.bash(f"source utils.sh\nmkdir job && cd job\ndls_get_app {bucket.url('a/code')}")
    assert done.returncode == 0, text(done)
    assert (job.home / "job/code/train.py").read_text() == "print()"
    assert (job.home / "job/code/lib/x.py").exists()


@pytest.mark.parametrize("switch", ["", "0"])
def test_without_the_downloader_the_code_is_a_local_directory(image: Image, tmp_path: Path, switch: str) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text("print()")
    done = image.bash(f"source utils.sh\ndls_get_app {tmp_path}/code/", env={"DLS_USE_DOWNLOADER": switch})
    assert done.returncode == 0, text(done)
    assert (image.home / "code" / "train.py").read_text() == "print()"


def test_a_job_without_a_code_directory_fetches_nothing_and_goes_on(image: Image) -> None:
    done = image.bash('source utils.sh\ndls_get_app "" && echo on', env={"DLS_USE_DOWNLOADER": "1"})
    assert done.stdout.endswith(b"on\n"), text(done)


def test_code_that_is_not_there_is_255_and_no_success_is_claimed(job: Image, bucket: Bucket) -> None:
    bucket.put("a/code/train.py")
    done = job.bash(f"source utils.sh\ndls_get_app {bucket.url('a/coed/')}")
    assert done.returncode == 255, text(done)
    assert b"success" not in done.stdout + done.stderr
    assert b"a/code" in done.stderr


def test_a_log_goes_to_the_jobs_folder_and_replaces_an_older_one(job: Image, bucket: Bucket) -> None:
    bucket.put("logs/dls-log-job-7/task.log", "older")
    done = job.bash(f"source utils.sh\necho newer >task.log\ndls_upload_log task.log {bucket.url('logs')}")
    assert done.returncode == 0, text(done)
    assert bucket.tree("logs/") == {"dls-log-job-7/task.log": b"newer\n"}


def test_a_log_of_a_job_without_an_id_goes_to_the_old_place(job: Image, bucket: Bucket) -> None:
    job.bash(f"unset DLS_DLKS_JOB_ID\nsource utils.sh\necho x >task.log\ndls_upload_log task.log {bucket.url('logs/')}")
    assert bucket.list() == ["logs/dls-log-unknown-id/task.log"]


def test_the_content_of_an_output_directory_is_uploaded_names_with_blanks_too(job: Image, bucket: Bucket) -> None:
    done = job.bash(
        "source utils.sh\nmkdir -p 'cache/sub dir' && echo m >'cache/model 1.pt' && echo s >'cache/sub dir/s'\n"
        f"dls_upload_train cache/ {bucket.url('out')}"
    )
    assert done.returncode == 0, text(done)
    assert bucket.tree("out/") == {"model 1.pt": b"m\n", "sub dir/s": b"s\n"}


def test_an_upload_that_fails_is_255(image: Image, rclone: Store) -> None:
    image.environ |= rclone.env()
    done = image.bash(
        "source utils.sh\nmkdir cache && echo >cache/x\ndls_upload_train cache s3://no-such-bucket-at-all/out/"
    )
    assert done.returncode == 255, text(done)


@pytest.mark.parametrize(("file", "program"), [("code/A.PY", "python"), ("x.pyc", "python"), ("run.sh", "bash")])
def test_the_executor_of_a_boot_file(image: Image, file: str, program: str) -> None:
    done = image.bash(f"source utils.sh\ndls_get_executor {file}")
    assert Path(done.stdout.decode().strip()).name == program


def test_a_file_of_another_kind_has_no_executor(image: Image) -> None:
    done = image.bash("source utils.sh\ndls_get_executor model.bin")
    assert (done.returncode, done.stdout) == (0, b"")
