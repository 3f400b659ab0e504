"""Another node's failure stops our command, and does not start our own grace: what there is is delivered to its end."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.e2e.job import Container
from tests.lab.faulty_proxy import FaultyProxy, delayed
from tests.lab.stores import Store

# The whole job in one process, in which somebody else's failure is heard as the meeting's listener would tell of it.
HEARD = """
import sys, threading, time, os
from bootstrap import lifecycle
from bootstrap.job import AskedBy
from bootstrap.process.stop.signals import Signals

class Listening(Signals):
    def __enter__(self):
        entered = super().__enter__()
        def hear():
            while not os.path.exists("ready"):
                time.sleep(0.02)
            self.request_stop(AskedBy.PEER, "node 1 failed")
        threading.Thread(target=hear, daemon=True).start()
        return entered

lifecycle.Signals = Listening
import modelarts_bootstrap_start
sys.argv[0:1] = ["bootstrap", "run"]
sys.exit(modelarts_bootstrap_start.main())
"""


def test_deliveries_may_take_longer_than_the_grace(container: Container, rclone: Store, tmp_path: Path) -> None:
    bucket = rclone.make_bucket()
    (container.work / "out").mkdir()
    (container.work / "out" / "model").write_bytes(b"m" * 1000)
    with FaultyProxy(rclone.endpoint) as proxy:
        proxy.inject(delayed(2.5), method="PUT", key="*out/model", times=1)
        environ = {**rclone.env(), "S3_ENDPOINT": proxy.endpoint}
        words = ["--grace", "1", "--output", f"out={bucket.url('out/')}"]
        command = ["sh", "-c", "touch ready; exec sleep 600"]
        result = container.run(argv=[sys.executable, "-c", HEARD, *words, "--", *command], environ=environ)
    assert result.code == 143, result.stderr
    assert bucket.get("out/model") == b"m" * 1000
    assert result.record["delivered"][0]["complete"], result.stderr
    assert result.record["user"]["asked_by"] == "peer"
