"""Runs a job to its end, and shows what it said when it failed."""

import os
import subprocess

from infra.native.failures import StartFailed
from infra.native.layout import REPO, Layout
from infra.native.parts import Job
from infra.native.screen import tail

LONGEST_S = 300


def run(job: Job, layout: Layout) -> None:
    log = layout.logs / f"job-{job.name}.log"
    with open(log, "w", encoding="utf-8") as output:
        try:
            done = subprocess.run(
                job.command,
                cwd=REPO,
                env={**os.environ, **job.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=LONGEST_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise StartFailed(f"The job {job.name} took more than {LONGEST_S} s:\n{tail(log)}") from None
    if done.returncode != 0:
        raise StartFailed(f"The job {job.name} failed:\n{tail(log)}")
