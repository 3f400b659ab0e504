"""One process an accelerator: real processes, with the variables and logs of the old Ascend launcher."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

TABLE = {
    "version": "1.0",
    "status": "completed",
    "server_count": "2",
    "server_list": [
        {"server_id": "10.1.0.5", "device": [{"device_id": "4", "device_ip": "a", "rank_id": "0"}]},
        {
            "server_id": "10.1.0.6",
            "device": [
                {"device_id": "0", "device_ip": "b", "rank_id": "1"},
                {"device_id": "1", "device_ip": "c", "rank_id": "2"},
            ],
        },
    ],
}


def start(tmp_path: Path, script: str, **more: Any) -> subprocess.Popen[str]:
    (tmp_path / "jobstart_hccl.json").write_text(json.dumps(TABLE))
    environ = {
        **os.environ,
        "RANK_TABLE_FILE": str(tmp_path),
        "MA_CURRENT_HOST_IP": "10.1.0.6",
        "DLS_JOB_ID": "job7",
    }
    front = [sys.executable, "-m", "bootstrap.launchers.per_device", "--deadline", "20"]
    return subprocess.Popen(
        [*front, "--workspace", str(tmp_path / "w"), "--", *(more.get("command") or [sys.executable, "-uc", script])],
        env=environ,
        cwd=more.get("cwd"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


TELL = """
import json, os
names = ("RANK_ID", "RANK_SIZE", "DEVICE_ID", "ASCEND_DEVICE_ID", "RANK_TABLE_FILE", "HCCL_CONNECT_TIMEOUT", "JOB_ID")
print(json.dumps([os.path.basename(os.getcwd()), *(os.environ[name] for name in names)]))
"""


def test_each_device_of_this_server_has_its_process_variables_directory_and_log(tmp_path: Path) -> None:
    said, complaint = start(tmp_path, TELL).communicate(timeout=60)
    table = str(tmp_path / "w/rank_table/jobstart_hccl.json")
    assert sorted(json.loads(line) for line in said.splitlines()) == [
        ["device0", "1", "3", "0", "0", table, "1800", "job7"],
        ["device1", "2", "3", "1", "1", table, "1800", "job7"],
    ], complaint
    assert json.loads(Path(table).read_text()) == TABLE
    log = tmp_path / "w/logs/job7-proc-rank-2-device-1.txt"
    assert json.loads(log.read_text())[1] == "2"


def test_planted_names_are_neither_followed_nor_waited_for(tmp_path: Path) -> None:
    (tmp_path / "w/logs").mkdir(parents=True)
    (tmp_path / "w/rank_table").mkdir()
    (tmp_path / "elsewhere").write_text("mine")
    for name in ("logs/job7-proc-rank-1-device-0.txt", "rank_table/jobstart_hccl.json"):
        (tmp_path / "w" / name).symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "w/logs/job7-proc-rank-2-device-1.txt")
    process = start(tmp_path, TELL)
    said, complaint = process.communicate(timeout=60)
    assert process.returncode == 0
    assert len(said.splitlines()) == 2, "what they say is told all the same"
    assert complaint.count("is not written") == 2, complaint
    assert (tmp_path / "elsewhere").read_text() == "mine"
    table = tmp_path / "w/rank_table/jobstart_hccl.json"
    assert json.loads(table.read_text()) == TABLE and not table.is_symlink()


def test_a_script_is_found_though_every_process_has_a_directory_of_its_own(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("import sys; print(sys.argv[0])\n")
    for command in (["train.py"], [sys.executable, "train.py"]):
        running = start(tmp_path, "", command=command, cwd=tmp_path)
        said, complaint = running.communicate(timeout=60)
        assert said == f"{script}\n{script}\n", complaint


def test_the_first_process_that_fails_ends_the_others_with_its_code(tmp_path: Path) -> None:
    script = "import os, sys, time\nif os.environ['RANK_ID'] == '2': sys.exit(7)\ntime.sleep(300)"
    running = start(tmp_path, script)
    _, complaint = running.communicate(timeout=60)
    assert running.returncode == 7
    assert "rank 2 failed first, with 7; ending the others" in complaint


def test_a_process_that_a_signal_ended_counts_as_128_and_its_number(tmp_path: Path) -> None:
    script = "import os, signal, time\nif os.environ['RANK_ID'] == '1': os.kill(0, 9)\ntime.sleep(300)"
    running = start(tmp_path, script)
    running.communicate(timeout=60)
    assert running.returncode == 137


def test_a_stop_request_reaches_every_process(tmp_path: Path) -> None:
    script = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('saved'), sys.exit(0)))\nprint('up')\ntime.sleep(300)"
    )
    running = start(tmp_path, script)
    assert running.stdout is not None
    assert [running.stdout.readline() for _ in range(2)] == ["up\n", "up\n"]
    running.send_signal(signal.SIGTERM)
    said, _ = running.communicate(timeout=60)
    assert said == "saved\nsaved\n"
    assert running.returncode == 0


def test_a_command_that_is_not_there_is_said_as_a_shell_says_it(tmp_path: Path) -> None:
    running = start(tmp_path, "", command=["no-such-command"])
    _, complaint = running.communicate(timeout=60)
    assert running.returncode == 127
    assert "no-such-command: No such file" in complaint
