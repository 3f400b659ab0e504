#!/usr/bin/env python
"""Addresses on the fast network (``ib0``), under the name and with the flags of the old image, over ``bootstrap ip``.

    python ip_mapper.py                 this node's address on ib0
    python ip_mapper.py -i eth0
    python ip_mapper.py -c HOST:PORT HOST:PORT ... -H OWN_HOST:OWN_PORT -i ib0 -P

The last is run by every node of the list at about the same time: they tell each other their addresses on that
interface and print them as ADDRESS:PORT,ADDRESS:PORT,... in the list's order (without -P, addresses alone). And
``from ip_mapper import get_ip, log, err``.

The body of the original was never published: its flags and functions are known from a script that uses it, and that
it answered in the grammar of BATCH_WORKER_HOSTS is an inference. -p and -l are accepted and not needed: node 0 is met
at its own port, the job is known from the environment. Runs under whatever Python the image has, 2.7 too.
"""

from __future__ import print_function

import argparse
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))


def get_ip(iface="ib0"):
    """The address of this node on ``iface``. Raises RuntimeError when it has none; the reason is on stderr."""
    return bootstrap_ip("--interface", iface)


def log(text):
    print("[ip_mapper] INFO: %s" % text, file=sys.stderr)


def err(text):
    print("[ip_mapper] ERROR: %s" % text, file=sys.stderr)


def bootstrap_ip(*arguments):
    """What ``bootstrap ip ARGUMENTS`` prints, one address a line."""
    command = ["/bin/sh", os.path.join(HERE, "run_bootstrap.sh"), "ip"] + list(arguments)
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    output = process.communicate()[0]
    if process.returncode:
        raise RuntimeError("bootstrap ip %s ended with %d" % (" ".join(arguments), process.returncode))
    return output.decode().strip()


def main():
    parser = argparse.ArgumentParser(description="addresses of this node or of the cluster")
    parser.add_argument("-c", nargs="+", metavar="HOST:PORT", help="the cluster's hosts")
    parser.add_argument("-H", metavar="HOST:PORT", help="which of them this node is")
    parser.add_argument("-i", default="ib0", metavar="NAME", help="this node's interface (default: ib0)")
    parser.add_argument("-P", action="store_true", help="with ports")
    for flag in "-p", "-l":
        parser.add_argument(flag, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.c and not given.H:
        parser.error("-c needs -H: which of the hosts is this node?")
    try:
        if not given.c:
            print(get_ip(given.i))
        else:
            asked = ["--exchange", "--interface", given.i, "--own", given.H] + ["--ports"] * given.P
            print(",".join(bootstrap_ip(*asked + given.c).split()))
    except RuntimeError as error:
        err(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
