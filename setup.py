"""The old names (run_train.sh and the rest) travel in the wheel, beside the package's own files.

They lie in scripts/, where people look for them and copy them from; `bootstrap scripts DIR` finds them in both places.
"""

import shutil
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from bootstrap.old_names import NAMES  # noqa: E402


class BuildWithScripts(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "bootstrap", "scripts")
        target.mkdir(parents=True, exist_ok=True)
        for name in NAMES:
            shutil.copy2(HERE / "scripts" / name, target / name)


setup(cmdclass={"build_py": BuildWithScripts})
