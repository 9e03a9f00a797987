"""A witness whose verdict is a test's."""

import pytest

from lab import witness


class Witness(witness.Witness):
    async def clean(self) -> str:
        """Fails when anything at all was wrong; returns a line of figures."""
        seen = await self.verdict()
        assert seen.wrong == []
        return str(seen)


def report(capsys: pytest.CaptureFixture[str], what: str, verdict: str) -> None:
    """The figures are what a reader wants."""
    with capsys.disabled():
        print(f"\n  {what}: {verdict}")  # noqa: T201
