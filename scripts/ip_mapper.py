#!/usr/bin/env python
"""Addresses on the fast network (``ib0``), under the name and with the flags of the old image, over ``bootstrap ip``.

    python ip_mapper.py                                     this node's address on ib0
    python ip_mapper.py -i eth0
    python ip_mapper.py -c HOST:PORT HOST:PORT ... -P       the cluster's addresses, ADDRESS:PORT,ADDRESS:PORT,...

and ``from ip_mapper import get_ip, log, err``. The body of the original was never published; its flags and functions
are known from scripts that use it, and that it answered in the grammar of BATCH_WORKER_HOSTS is an inference.

One limit: the original had the nodes tell each other their addresses on ib0. This one asks the name service, which
gives the addresses that the platform has published for these hosts. -H, -p and -l, which the exchange needed, are
accepted. Runs under whatever Python the image has, 2.7 too.
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
    parser.add_argument("-i", default="ib0", metavar="NAME", help="this node's interface (default: ib0)")
    parser.add_argument("-P", action="store_true", help="with ports")
    for flag in "-H", "-p", "-l":
        parser.add_argument(flag, help=argparse.SUPPRESS)
    given = parser.parse_args()
    try:
        if given.c:
            print(",".join(bootstrap_ip(*(["--ports"] if given.P else []) + given.c).split()))
        else:
            print(get_ip(given.i))
    except RuntimeError as error:
        err(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
