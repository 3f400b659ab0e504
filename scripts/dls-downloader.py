#!/usr/bin/env python
"""The older name of ``modelarts-downloader.py``, which stands beside it. Runs under any Python, 2.7 too."""

import os
import runpy

here = os.path.dirname(os.path.realpath(__file__))
runpy.run_path(os.path.join(here, "modelarts-downloader.py"), run_name="__main__")
