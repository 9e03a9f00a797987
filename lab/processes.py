"""Which processes a stack consists of, and what CPU time and memory they cost, read from /proc.

A part is whoever listens on its port, with all its children. On a system without /proc nothing is found.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PYTHON = "python"  # the sum over the stack's own processes


def listeners(ports: Mapping[str, int]) -> dict[str, int]:
    """The pid that listens on each part's port; parts that nobody (or another user) runs are left out."""
    inodes = {inode: port for inode, port in _listening() if port in set(ports.values())}
    holders: dict[int, set[int]] = defaultdict(set)
    for pid in _pids():
        for inode in _sockets(pid) & inodes.keys():
            holders[inodes[inode]].add(pid)
    return {name: _eldest(holders[port]) for name, port in ports.items() if port in holders}


def _eldest(family: set[int]) -> int:
    """nginx and Postgres share their socket with their children: the one whose parent does not have it."""
    return next(
        (pid for pid in sorted(family) if (stat := _stat(pid)) and stat[0] not in family), min(family)
    )


def _listening() -> Iterable[tuple[str, int]]:
    for table in ("tcp", "tcp6"):
        try:
            lines = (PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A":
                yield fields[9], int(fields[1].rpartition(":")[2], 16)


def _pids() -> list[int]:
    try:
        return sorted(int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())
    except OSError:
        return []


def _sockets(pid: int) -> set[str]:
    found = set()
    try:
        with os.scandir(PROC / str(pid) / "fd") as opened:
            for fd in opened:
                target = os.readlink(fd.path)
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    except OSError:  # gone, or not ours
        pass
    return found


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of CPU since their start, and MiB of memory now, by part."""

    cpu_s: Mapping[str, float]
    rss_mib: Mapping[str, float]


def usage(roots: Mapping[str, int]) -> Usage:
    """`roots`: the pid of each part. A child's time goes to its parent when it dies, so nothing is lost."""
    stats = {pid: stat for pid in _pids() if (stat := _stat(pid))}
    children: dict[int, list[int]] = defaultdict(list)
    for pid, (parent, _, _) in stats.items():
        children[parent].append(pid)
    cpu_s, rss_mib = {}, {}
    for name, root in roots.items():
        family = [pid for pid in _family(root, children) if pid in stats]
        waited = stats[root][2] if root in stats else 0
        cpu_s[name] = TICK_S * (sum(stats[pid][1] for pid in family) + waited)
        shared = name.startswith("postgres")
        rss_mib[name] = round(sum(_memory_kib(pid, shared=shared) for pid in family) / 1024, 1)
    return Usage(cpu_s, rss_mib)


def _family(root: int, children: Mapping[int, list[int]]) -> list[int]:
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _stat(pid: int) -> tuple[int, int, int] | None:
    """Parent, own ticks, ticks of children that were waited for."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])


def _memory_kib(pid: int, *, shared: bool) -> int:
    """Resident memory; of those who share their buffers the proportional part, or it would count often."""
    name, field = ("smaps_rollup", "Pss:") if shared else ("status", "VmRSS:")
    try:
        lines = (PROC / str(pid) / name).read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(field)), 0)


def spent(before: Usage, after: Usage, python: Iterable[str], units: int) -> dict[str, int]:
    """Microseconds of CPU a unit of work, by part, and for the stack's own Python processes together."""
    cost = {
        name: round(1e6 * (after.cpu_s[name] - before.cpu_s.get(name, 0.0)) / max(units, 1))
        for name in after.cpu_s
    }
    return cost | {PYTHON: sum(cost.get(name, 0) for name in python)}
