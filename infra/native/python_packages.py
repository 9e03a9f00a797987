"""The virtual environments: exactly what the requirements files pin by hash, and the `tradeoff` command.

They are always in the clone, whatever the state directory: a test's stack shares them.
"""

import hashlib
import json
import subprocess
import sys
import venv
from pathlib import Path

from infra.native.failures import Failure
from infra.native.layout import REPO, default_state, read_json
from infra.native.screen import say

VENV = default_state() / "venv"
PYTHON = VENV / "bin" / "python"
STAMP = "installed.json"
"""In an environment, so that it goes with what it vouches for."""

LOCUST = default_state() / "locust"
"""An environment of its own: it shares nothing with the shop but an address."""

LOCUSTS = "infra/load/requirements.txt"

COMMAND = """#!/bin/sh
"exec" "{python}" "$0" "$@"
# Both a shell script and a Python program: a path with a space, or a long one, fits no first line.
import sys

from lab.cli import app

sys.exit(app())
"""


def are_installed(*, dev: bool) -> bool:
    """Development's requirements contain the others."""
    files = ["requirements-dev.txt"] if dev else ["requirements.txt", "requirements-dev.txt"]
    return any(_is_installed(VENV, file) for file in files)


def install(*, dev: bool) -> None:
    if not are_installed(dev=dev):
        _install(VENV, "requirements-dev.txt" if dev else "requirements.txt")
        _write_command()


def locust_is_installed() -> bool:
    return _is_installed(LOCUST, LOCUSTS)


def install_locust() -> None:
    if not locust_is_installed():
        _install(LOCUST, LOCUSTS)


def _is_installed(environment: Path, file: str) -> bool:
    return bool(read_json(environment / STAMP).get(file) == _fingerprint(file))


def _install(environment: Path, file: str) -> None:
    say(f"Installing Python packages from {file} …")
    python = environment / "bin" / "python"
    if not python.exists() or _minor_version(environment) != _own_version():
        venv.create(environment, clear=True, with_pip=True, symlinks=True)
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "--no-cache-dir"]
    command = [*pip, "install", "--require-hashes", "--requirement", str(REPO / file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"pip could not install {file}:\n{(done.stdout + done.stderr).strip()[-3000:]}")
    (environment / STAMP).write_text(json.dumps({file: _fingerprint(file)}), encoding="utf-8")


def _write_command() -> None:
    """Makes the clone's packages importable from everywhere, and `tradeoff` a command."""
    packages = next((VENV / "lib").glob("python3.*/site-packages"))
    (packages / "tradeoff.pth").write_text(f"{REPO}\n", encoding="utf-8")
    command = VENV / "bin" / "tradeoff"
    command.write_text(COMMAND.format(python=PYTHON), encoding="utf-8")
    command.chmod(0o755)


def _fingerprint(file: str) -> str:
    """Of a requirements file together with everything else that decides what is installed."""
    own = f"{COMMAND}{REPO}{_own_version()}".encode()
    return hashlib.sha256((REPO / file).read_bytes() + own).hexdigest()


def _own_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _minor_version(environment: Path) -> str:
    """Of the Python that the environment was made with."""
    lines = (environment / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    told = dict(line.split(" = ", 1) for line in lines if " = " in line)
    return ".".join(told.get("version", "").split(".")[:2])
