"""What is measured for long is kept in a file after each step; and on which machine it was."""

import os
import platform
import subprocess
from contextlib import suppress
from pathlib import Path

import msgspec


def write(result: msgspec.Struct, path: Path) -> None:
    """As JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1))
    new.replace(path)


def machine() -> str:
    system, python = f"{platform.system()} {platform.machine()}", platform.python_version()
    return f"{system}, {os.cpu_count()} cores{_model()}, Python {python}"


def _model() -> str:
    """Where the system tells."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return f" ({line.partition(':')[2].strip()})"
    return ""


def revision() -> str:
    """The commit of this clone, with `+` if files were changed since; nothing where there is no clone."""
    describe = ("git", "describe", "--always", "--dirty=+", "--exclude=*")
    with suppress(OSError, subprocess.CalledProcessError):
        folder = Path(__file__).parent
        return subprocess.run(describe, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
    return ""
