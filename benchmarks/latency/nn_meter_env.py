"""Makes the environment in which nn-Meter runs, apart from ours: its versions exclude our own.

Packages and versions are those of nn_meter_requirements.txt, fetched from the package index once;
a finished environment of the same list is left as it is. Run it with Python 3.11: scikit-learn 1.2
has no wheels for later ones. Does not know whether nn-Meter then works: `benchmarks.latency.rivals`
tells.

    python -m benchmarks.latency.nn_meter_env [FOLDER]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.latency.output import ENVIRONMENT

REQUIREMENTS = Path(__file__).parent / "nn_meter_requirements.txt"
DONE = "requirements.txt"


def make(folder: Path) -> bool:
    """Makes the environment unless it is there; whether anything was done.

    Raises:
        subprocess.CalledProcessError: a package could not be installed.
    """
    wanted, done = REQUIREMENTS.read_text(encoding="utf-8"), folder / DONE
    if done.is_file() and done.read_text(encoding="utf-8") == wanted:
        return False
    venv.create(folder, clear=True, with_pip=True)
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    options = ["--only-binary", ":all:", "--requirement", str(REQUIREMENTS)]
    subprocess.run([str(python_of(folder)), *install, *options], check=True)
    done.write_text(wanted, encoding="utf-8")
    return True


def python_of(folder: Path) -> Path:
    """Its interpreter."""
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.latency.nn_meter_env",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, nargs="?", default=ENVIRONMENT)
    folder = parser.parse_args(arguments).folder
    print(f"{folder}: {'made' if make(folder) else 'is there already'}")


if __name__ == "__main__":
    main()
