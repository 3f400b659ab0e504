"""What the images weigh, and how long a command waits for its first instruction in them.

    python -m benchmarks.images
    python -m benchmarks.images --rounds 31 --json results.json

The runtime's own Python is measured beside a normal install: the same package, byte-compiled, in the same container,
under the Python of Debian; once of the release that has the same Python, once of the one before. A round starts each
of them once, in turn; medians, in ms from just before the start to the command's own clock. Needs the container lab
(podman, runc, mmdebstrap, root).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from tests.images import recipe
from tests.lab.containers import Engine, engine

NORMAL = """
FROM {python}
COPY --from={runtime} /opt/bootstrap /opt/bootstrap
RUN cp -r /opt/bootstrap/lib/python3.*/site-packages/. /usr/lib/python3/dist-packages \\
    && python3 -m compileall -q /usr/lib/python3/dist-packages
"""
SUITES = {"trixie": "3.13, as the runtime", "bookworm": "3.11"}
WAYS = {
    "bare exec": "",
    "the runtime": "/opt/bootstrap/bin/bootstrap run --quiet --",
    "a normal install": "python3 -m bootstrap run --quiet --",
}
ROUND = """
while [ "$rounds" -gt 0 ]; do
    rounds=$((rounds - 1))
{starts}
done
"""
START = "    began=$(date +%s%N); ended=$({way} date +%s%N 2>/dev/null); echo '{name}' $((ended - began))"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", metavar="FILE", help="write the results here as well")
    arguments = parser.parse_args()
    with engine() as lab, tempfile.TemporaryDirectory() as directory:
        context = recipe.make_context(lab, Path(directory))
        base = lab.base("bookworm")
        runtime = recipe.runtime(lab, context)
        images = {"runtime": runtime, "debian:bookworm-slim": base}
        images |= {target: recipe.base_image(lab, target, context, base) for target in ("base-v1", "base-v2")}
        results = {"sizes": sizes(lab, images), "tree": tree(lab, runtime)}
        for suite, python in SUITES.items():
            normal = installed(lab, Path(directory), suite, runtime)
            results[f"first instruction, ms: {suite}, Python {python}"] = starts(lab, normal, arguments.rounds)
    tell(results)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results, indent=2) + "\n")
    return 0


def installed(lab: Engine, directory: Path, suite: str, runtime: str) -> str:
    """An image with Debian's Python and a normal install, and with the runtime."""
    context = directory / suite
    context.mkdir()
    python = lab.base(suite, include=["python3"])
    (context / "Dockerfile").write_text(NORMAL.format(python=python, runtime=runtime))
    return lab.build(context, f"localhost/lab/normal-install-{suite}")


def sizes(lab: Engine, images: dict[str, str]) -> dict[str, float]:
    """MB of each image, its base included."""
    shown = {name: lab.podman("image", "inspect", "--format", "{{.Size}}", tag) for name, tag in images.items()}
    return {name: int(answer.stdout) / 1e6 for name, answer in shown.items()}


def tree(lab: Engine, image: str) -> dict[str, float]:
    """MB on disk of the parts of /opt/bootstrap."""
    root = Path(lab.podman("image", "mount", image).stdout.strip()) / "opt/bootstrap"
    try:
        packages = next((root / "lib").glob("python3.*/site-packages"))
        library = on_disk(packages.parent)
        return {
            "all": on_disk(root),
            "interpreter, glibc, OpenSSL": on_disk(root) - library,
            "standard library": library - on_disk(packages),
            "packages": on_disk(packages),
            "of these: cryptography": on_disk(packages / "cryptography"),
            "of these: botocore": on_disk(packages / "botocore"),
            "of these: bootstrap": on_disk(packages / "bootstrap"),
        }
    finally:
        lab.podman("image", "unmount", image)


def on_disk(directory: Path) -> float:
    return sum(path.lstat().st_blocks * 512 for path in [directory, *directory.rglob("*")]) / 1e6


def starts(lab: Engine, image: str, rounds: int) -> dict[str, float]:
    """Median ms until the command's first instruction."""
    script = ROUND.format(starts="\n".join(START.format(name=name, way=way) for name, way in WAYS.items()))
    answer = lab.run(image, "-c", script, env={"rounds": str(rounds + 1)}, options=["--entrypoint=sh"], timeout=600)
    if answer.returncode:
        raise SystemExit(answer.stderr)
    times: dict[str, list[float]] = {name: [] for name in WAYS}
    for line in answer.stdout.splitlines():
        name, _, nanoseconds = line.rpartition(" ")
        times[name].append(int(nanoseconds) / 1e6)
    return {name: statistics.median(values[1:]) for name, values in times.items()}  # the first one warms the caches


def tell(results: dict[str, dict[str, float]]) -> None:
    titles = {"sizes": "image, MB", "tree": "/opt/bootstrap, MB on disk"}
    for part, values in results.items():
        title = titles.get(part, part)
        print(f"{title}\n{'-' * len(title)}")
        for name, value in values.items():
            print(f"{name:<30} {value:8.1f}")
        print()


if __name__ == "__main__":
    sys.exit(main())
