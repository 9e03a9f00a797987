"""No secret is in the repository, nor in the image that is built from it."""

import math
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.unit.test_house_rules import ROOT, files, name_of

KNOWN = {
    "a private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
    "a cloud's key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{35}\b",
    "a code host's token": r"\bgh[pousr]_[0-9A-Za-z]{36}|\bgithub_pat_\w{22,}|\bglpat-[\w-]{20}",
    "a chat's token": r"\bxox[abposr]-[0-9A-Za-z-]{10,}",
    "a payment provider's key": r"\b[rs]k_live_[0-9A-Za-z]{16,}",
    "a package index's token": r"\bpypi-[\w-]{50,}|\bnpm_[0-9A-Za-z]{36}",
    "a signed token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
    "a password in a URL": r"\b[a-z][a-z0-9+]*://[^\s:/@'\"{}<>$]*:(?!p@)[^\s:/@'\"{}<>$]{3,}@",
    "a password that is set": r"(?i)\b(?:password|passwd|requirepass|secret|token)\s*[=:]\s*[\"']?[\w-]{16,}",
}

WORD = re.compile(r"(?<![\w/+=.-])[A-Za-z0-9+/_-]{24,}={0,2}(?![\w/+=.-])")
HASH = re.compile(r"sha256:[0-9a-f]{64}")

MOST_BITS = 4.0
"""A character, in a word with capitals, small letters and digits: what is generated has more, names less."""


def looks_random(word: str) -> bool:
    kinds = (r"[a-z]", r"[A-Z]", r"\d")
    return all(re.search(kind, word) for kind in kinds) and bits(word) > MOST_BITS


def bits(word: str) -> float:
    """Shannon's entropy of a character."""
    return -sum(n / len(word) * math.log2(n / len(word)) for n in Counter(word).values())


def texts() -> list[Path]:
    return [path for path in files() if path != Path(__file__)]


@pytest.mark.parametrize("what", KNOWN)
def test_no_file_holds(what: str) -> None:
    found = [
        f"{name_of(path)}:{number}"
        for path in texts()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if re.search(KNOWN[what], line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a private key", "-----BEGIN OPENSSH PRIVATE KEY-----"),
        ("a cloud's key", "AKIA" + "A1" * 8),
        ("a code host's token", "ghp_" + "a1" * 18),
        ("a chat's token", "xoxb-1234567890-abc"),
        ("a payment provider's key", "sk_live_" + "a1" * 8),
        ("a package index's token", "pypi-" + "a1" * 30),
        ("a signed token", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"),
        ("a password in a URL", "postgresql://order:hunter22@127.0.0.1/order"),
        ("a password that is set", "requirepass = 0123456789abcdef"),
    ],
)
def test_it_would_be_seen(what: str, text: str) -> None:
    assert re.search(KNOWN[what], text)


def test_no_word_looks_like_a_generated_secret() -> None:
    found = [
        f"{name_of(path)}:{number}: {word}"
        for path in texts()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        for word in WORD.findall(HASH.sub("", line))
        if looks_random(word)
    ]
    assert found == []


def test_a_generated_secret_would_be_seen() -> None:
    made = "qx3DRvSIHErn-j5o8Uf-W2wWaP-VoY4e"
    assert WORD.fullmatch(made) and looks_random(made)
    assert not looks_random("test_an_order_that_can_be_paid_and_shipped_is_confirmed")


def test_what_a_stack_generates_is_never_committed_nor_copied_into_an_image() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/.tradeoff", "/.env"} <= set(ignored)
    first, *others = (ROOT / ".dockerignore").read_text().split()
    assert first == "*"
    copied = {line.removeprefix("!") for line in others if line.startswith("!")}
    assert copied == {"requirements.txt", "infra", "lab", "orchestrator", "services"}
    secret = {"credentials.json", "stack.json", ".env", ".pgpass"}
    assert [name_of(path) for path in files() if path.name in secret] == []
