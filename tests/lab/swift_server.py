"""OpenStack Swift with s3api on one directory: its four servers on ports of 127.0.0.1. For the Python that has Swift.

    swift_server.py DIRECTORY ACCESS_KEY SECRET_KEY REGION PROXY_PORT ACCOUNT_PORT CONTAINER_PORT OBJECT_PORT

One disk, one copy, no replication, no memcache. Run with the Python of Debian's ``python3-swift``, so nothing of this
package is imported.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

SERVER = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {place}
devices = {place}/devices
mount_check = false
log_address = {place}/no-syslog
log_level = ERROR
"""

BACKEND = """\
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""

PROXY = """\
[pipeline:main]
pipeline = catch_errors gatekeeper cache listing_formats bulk s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = {region}
auth_pipeline_check = false
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{name} = {secret} .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""


def main() -> None:
    place, key, secret, region = Path(sys.argv[1]), *sys.argv[2:5]
    proxy, *backends = map(int, sys.argv[5:])
    account, _, name = key.partition(":")
    (place / "devices/d1").mkdir(parents=True, exist_ok=True)
    (place / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = lab\n")
    os.environ["TMPDIR"] = str(place)
    utils: Any = importlib.import_module("swift.common.utils")
    utils.SWIFT_CONF_FILE = str(place / "swift.conf")
    builder = importlib.import_module("swift.common.ring").RingBuilder
    user = os.environ.get("USER", "root")
    for kind, port in zip(("account", "container", "object"), backends, strict=True):
        ring = builder(4, 1, 1)
        ring.add_dev({"id": 0, "region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "d1", "weight": 1.0})
        ring.rebalance()
        ring.get_ring().save(str(place / f"{kind}.ring.gz"))
        text = SERVER.format(port=port, place=place, user=user) + BACKEND.format(name=kind)
        (place / f"{kind}-server.conf").write_text(text)
        if os.fork() == 0:
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # with the parent
            serve(place, kind)
    text = SERVER.format(port=proxy, place=place, user=user)
    text += PROXY.format(region=region, account=account, name=name, secret=secret)
    (place / "proxy-server.conf").write_text(text)
    serve(place, "proxy")


def serve(place: Path, kind: str) -> None:
    wsgi = importlib.import_module("swift.common.wsgi")
    more: dict[str, Any] = {}
    if kind == "object":
        more = {"global_conf_callback": importlib.import_module("swift.obj.server").global_conf_callback}
    sys.exit(wsgi.run_wsgi(str(place / f"{kind}-server.conf"), f"{kind}-server", **more))


main()
