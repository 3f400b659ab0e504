"""One node of a job, from its platform's environment to its engine's end, with the package's own parts.

python one_node.py LAUNCHER DIRECTORY -- COMMAND...
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from bootstrap.launchers.plan import Situation
from bootstrap.launchers.table import plan
from bootstrap.network.interfaces import choose
from bootstrap.network.peers import DEFAULT_PORT, Card, meet
from bootstrap.network.reach import wait_for_port
from bootstrap.network.wire import secret_of
from bootstrap.platforms import identify


class Log:
    def _say(self, event: str, **facts: object) -> None:
        print(event, facts, file=sys.stderr, flush=True)

    debug = info = warning = error = _say


def main(launcher: str, directory: str, command: list[str]) -> int:
    environ, stop, log = dict(os.environ), threading.Event(), Log()
    facts = identify(environ)
    interface = choose(facts.defaults.get("interface"))
    log.info("met as", platform=facts.platform, rank=facts.cluster.node_rank, interface=interface.reason)
    peers = meet(
        facts.cluster,
        Card(environ["HOSTNAME"], interface.address, interface.name),
        port=DEFAULT_PORT,
        secret=secret_of(facts.cluster, facts.job_id),
        deadline_s=60,
        stop=stop,
        log=log,
    )
    cluster = peers.placed(facts.cluster)
    made = plan(
        launcher,
        Situation(cluster, tuple(command), environ, interface.name, interface.address, directory, facts.job_id),
    )
    for name, _ in made.remove:
        del environ[name]
    environ.update({variable.name: variable.value for variable in made.variables})
    for file in made.files:
        Path(file.path).write_text(file.text)
        Path(file.path).chmod(0o755 if file.executable else 0o644)
    if made.wait_for:
        wait_for_port(*made.wait_for, deadline_s=60, stop=stop, log=log)
    for argv in made.before:
        subprocess.run(argv, env=environ, check=True)
    if made.follows_node_0:
        code = peers.wait_for_end_of(0, stop)
    else:
        code = subprocess.run(made.command, env=environ, cwd=directory, check=False).returncode
        peers.ended(code)
    for argv in made.after:
        subprocess.run(argv, env=environ, check=False)
    peers.close()
    return 1 if code is None else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[4:]))
