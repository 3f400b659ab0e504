"""Prints what the process of one device was told. The rank that argv names fails once all others are there."""

import json
import os
import sys
import time
from pathlib import Path

NAMES = (
    "JOB_ID",
    "RANK_ID",
    "RANK_SIZE",
    "DEVICE_ID",
    "ASCEND_DEVICE_ID",
    "HCCL_CONNECT_TIMEOUT",
    "HCCL_SOCKET_IFNAME",
)
table = json.loads(Path(os.environ["RANK_TABLE_FILE"]).read_text())
print(json.dumps([Path.cwd().name, table["version"], *(os.environ[name] for name in NAMES)]))
if len(sys.argv) > 2:
    meeting = Path(sys.argv[1])
    (meeting / f"here-{os.environ['RANK_ID']}").touch()
    while len(list(meeting.glob("here-*"))) < int(os.environ["RANK_SIZE"]):
        time.sleep(0.02)
    if os.environ["RANK_ID"] == sys.argv[2]:
        raise ValueError(f"rank {sys.argv[2]} has no HBM left")
    time.sleep(300)
