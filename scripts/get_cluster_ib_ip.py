#!/usr/bin/env python
"""Writes the cluster's addresses into ``.cluster_ib_ips`` and this node's into ``.local_ib_ip``, as the old image did.

Both in the working directory. Every worker runs this at about the same time; they tell each other their addresses on
the interface that DLS_IPOIB_DEVICE names, ib0, or what ``bootstrap ip`` finds instead. ``.cluster_ib_ips`` is
``ADDRESS:PORT,ADDRESS:PORT,...`` in the nodes' order, ``.local_ib_ip`` this node's address. A parameter server ends
at once with 0 and writes nothing, as ever.

Unlike the original: no sleep at the start, the other nodes are waited for until a deadline (``--timeout SECONDS``,
300), DLS_IPOIB_DEVICE counts for both files, and BATCH_TASKGROUP_NAME may be missing. Runs under whatever Python the
image has, 2.7 too.
"""

import os
import sys

if os.environ.get("BATCH_TASKGROUP_NAME") == "server":
    sys.exit(0)
here = os.path.dirname(os.path.realpath(__file__))
command = ["sh", os.path.join(here, "run_bootstrap.sh"), "ip", "--exchange", "--own-role", "--ports", "--files"]
os.execv("/bin/sh", command + sys.argv[1:])
