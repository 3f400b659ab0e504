#!/usr/bin/env python
"""Downloads and uploads with the flags that scripts have always given it, over ``bootstrap downloader``.

``python modelarts-downloader.py -r -s obs://bucket/code/ -d ./``; ``--help`` explains the rest. Runs under whatever
Python the image has, 2.7 too, and therefore only hands over to the one that the bootstrap runs on.
"""

import os
import sys

here = os.path.dirname(os.path.realpath(__file__))
os.execv("/bin/sh", ["sh", os.path.join(here, "run_bootstrap.sh"), "downloader"] + sys.argv[1:])
