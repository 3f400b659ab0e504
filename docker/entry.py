"""The first lines of Python in an image: the environment as the image meant it, then the command line.

Started by /opt/bootstrap/bin/bootstrap (bootstrap.c), which hides the variables that would upset our own loader.
"""

import gc
import os
import sys

# 2 ms and 6 ms sooner: what the module `site` would do (-S), and no search for garbage while modules are loaded.
sys.path.append(os.path.join(os.path.dirname(os.__file__), "site-packages"))
gc.set_threshold(50_000)

HIDDEN = "BOOTSTRAP_HIDDEN_"  # as in bootstrap.c

del os.environ["LC_ALL"]  # bootstrap.c's
for name in [name for name in os.environ if name.startswith(HIDDEN)]:
    os.environ[name[len(HIDDEN) :]] = os.environ.pop(name)

if not os.path.exists("/etc/nsswitch.conf"):
    # Small images have none, and our libc then asks the name server alone. Everybody else looks into /etc/hosts first.
    import ctypes

    ctypes.CDLL(None).__nss_configure_lookup(b"hosts", b"files dns")

from modelarts_bootstrap_start import main  # noqa: E402

sys.exit(main())
