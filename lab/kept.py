"""What is measured for long is kept in a file after each step; and on which machine it was."""

import os
import platform
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
    return f"{system}, {os.cpu_count()} cores, Python {python}"
