"""``python -m bootstrap``."""

import os
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # the working directory was first
    from modelarts_bootstrap_start import main

    sys.exit(main())
