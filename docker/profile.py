"""What the compiler learns from, to make it fast: what a job waits for before its command starts, imports above all."""

import dataclasses
import importlib
import json
import re
import sys

MODULES = [
    "argparse",
    "ast",
    "configparser",
    "contextlib",
    "datetime",
    "email.message",
    "fnmatch",
    "hashlib",
    "http.client",
]
MODULES += [
    "inspect",
    "ipaddress",
    "logging",
    "platform",
    "selectors",
    "shutil",
    "socket",
    "ssl",
    "string",
    "subprocess",
]
MODULES += ["tarfile", "tempfile", "typing", "urllib.parse", "xml.etree.ElementTree", "zipfile"]
ours = set(sys.modules)

for number in range(20):
    for name in MODULES:
        importlib.import_module(name)
    for name in set(sys.modules) - ours:
        if str(getattr(sys.modules[name], "__file__", "")).endswith(".py"):
            del sys.modules[name]
    fields = [(f"field_{number}", str, ""), ("count", int, 0), ("names", "tuple[str, ...]", ())]
    for frozen in (True, False):
        made = dataclasses.make_dataclass("Made", fields, frozen=frozen, slots=True)
        assert made() == made(), repr(made())
    re.purge()
    for pattern in (r"(?P<scheme>[a-z]+)://(?P<rest>.*)", r"^[A-Z0-9]{6}_[0-9]{8}_", r"(?i)\b(out of memory|killed)\b"):
        re.compile(pattern).search(f"obs://bucket/{number} was Killed")
    json.loads(json.dumps({"steps": [{"name": name, "seconds": number / 7} for name in MODULES]}, indent=2))
