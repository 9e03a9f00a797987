"""The virtual environment: exactly what the requirements files pin by hash, and the `tradeoff` command.

It is always in the clone, whatever the state directory: a test's stack shares it.
"""

import hashlib
import json
import subprocess
import sys
import venv

from infra.native.failures import Failure
from infra.native.layout import REPO, default_state, read_json
from infra.native.screen import say

VENV = default_state() / "venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "installed.json"
"""Inside, so that it goes with what it vouches for."""

COMMAND = """#!/bin/sh
"exec" "{python}" "$0" "$@"
# Both a shell script and a Python program: a path with a space, or a long one, fits no first line.
import sys

from lab.cli import app

sys.exit(app())
"""


def are_installed(*, dev: bool) -> bool:
    """Development's requirements contain the others."""
    present = read_json(STAMP)
    wanted = _fingerprints()
    return any(present.get(name) == wanted[name] for name in _files(dev=dev, alone=False))


def install(*, dev: bool) -> None:
    if are_installed(dev=dev):
        return
    [file] = _files(dev=dev, alone=True)
    say(f"Installing Python packages from {file} …")
    if not PYTHON.exists() or _minor_version() != f"{sys.version_info.major}.{sys.version_info.minor}":
        venv.create(VENV, clear=True, with_pip=True, symlinks=True)
    pip = [str(PYTHON), "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "--no-cache-dir"]
    command = [*pip, "install", "--require-hashes", "--requirement", str(REPO / file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"pip could not install {file}:\n{(done.stdout + done.stderr).strip()[-3000:]}")
    _write_command()
    STAMP.write_text(json.dumps({file: _fingerprints()[file]}), encoding="utf-8")


def _write_command() -> None:
    """Makes the clone's packages importable from everywhere, and `tradeoff` a command."""
    packages = next((VENV / "lib").glob("python3.*/site-packages"))
    (packages / "tradeoff.pth").write_text(f"{REPO}\n", encoding="utf-8")
    command = VENV / "bin" / "tradeoff"
    command.write_text(COMMAND.format(python=PYTHON), encoding="utf-8")
    command.chmod(0o755)


def _files(*, dev: bool, alone: bool) -> list[str]:
    if dev:
        return ["requirements-dev.txt"]
    return ["requirements.txt"] if alone else ["requirements.txt", "requirements-dev.txt"]


def _fingerprints() -> dict[str, str]:
    """Of each requirements file together with everything else that decides what is installed."""
    own = f"{COMMAND}{REPO}{sys.version_info.major}.{sys.version_info.minor}".encode()
    return {
        name: hashlib.sha256((REPO / name).read_bytes() + own).hexdigest()
        for name in ("requirements.txt", "requirements-dev.txt")
    }


def _minor_version() -> str:
    """Of the Python that the environment was made with."""
    lines = (VENV / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    told = dict(line.split(" = ", 1) for line in lines if " = " in line)
    return ".".join(told.get("version", "").split(".")[:2])
