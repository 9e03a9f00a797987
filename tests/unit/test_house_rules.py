"""What we ask of one another's code (CONTRIBUTING.md), as far as a machine can look."""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LONGEST_FILE = 300
LONGEST_FUNCTION = 40
LONGEST_CORE_FILE = 200
LARGEST_RUNTIME = 2_500

CORE = "orchestrator/core/"
RUNTIME = "services/runtime/"

PURE = {"collections", "dataclasses", "enum", "typing"}
"""All that a protocol may import, beside its own package: nothing that has a clock, a dice or a wire."""

SHOP_WORDS = {
    *("account", "basket", "card", "cart", "catalogue", "charge", "checkout", "currency", "customer"),
    *("goods", "inventory", "invoice", "money", "order", "payment", "price", "product", "purchase"),
    *("refund", "restock", "sell", "ship", "shipment", "shop", "sku", "stock", "warehouse"),
}
NOT_THE_SHOP = re.compile(
    r"\b(?:in|out of) (?:(?!an? )\w+ ){0,2}order\b|\b(?:their|same|causal|lock) order\b|\bthe order of\b"
)
"""Order as in "in order", not as in "an order"."""

ELSEWHERE = {
    # What Kafka's image reads its settings from is nobody's.
    "a folder of somebody's machine": r"(?<![\w.])/(?:work|home|root|Users|mnt(?!/shared/config)|private)/\w",
    "a registry's address": (
        r"index-url|\bpypi\.org|pythonhosted\.org|repo1?\.maven|\bregistry\.[\w-]+\.|\b(?:docker|ghcr|quay)\.io/"
    ),
    "an address of a private network": r"\b(?:10|192\.168|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2,3}\b",
}


@cache
def files() -> tuple[Path, ...]:
    """What is or will be under version control; in a tree without git, what looks like it."""
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        out = subprocess.run(listed, capture_output=True, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        return tuple(
            sorted(p for p in ROOT.glob("[!.]*/**/*") if p.is_file() and "__pycache__" not in p.parts)
        )
    return tuple(sorted(path for name in out.split("\0") if name and (path := ROOT / name).is_file()))


def code(under: str = "") -> list[Path]:
    return [path for path in files() if path.suffix == ".py" and name_of(path).startswith(under)]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def lines_in(path: Path) -> int:
    return len(path.read_text().splitlines())


def imports_of(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of each import, wherever in the file; the name is empty for `import module`."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (("." * node.level + (node.module or ""), alias.name) for alias in node.names)


def test_there_is_something_to_look_at() -> None:
    assert len(code()) > 100 and code(CORE) and code(RUNTIME) and code("tests/")


def test_no_file_is_longer_than_one_sitting() -> None:
    assert {name_of(p): n for p in code() if (n := lines_in(p)) > LONGEST_FILE} == {}


def test_no_protocol_is_longer_than_its_paper() -> None:
    assert {name_of(p): n for p in code(CORE) if (n := lines_in(p)) > LONGEST_CORE_FILE} == {}


def test_the_runtime_stays_small() -> None:
    """A shared package grows by every favour. What one service needs belongs to that service."""
    assert sum(lines_in(p) for p in code(RUNTIME)) <= LARGEST_RUNTIME


def test_no_function_is_longer_than_a_screen() -> None:
    too_long: dict[str, int] = {}
    for path in code():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    too_long[f"{name_of(path)}::{node.name}"] = length
    assert too_long == {}


def test_every_public_module_says_what_it_is() -> None:
    silent = [
        name_of(path)
        for path in code()
        if not path.name.startswith("_") and tree_of(path).body and not ast.get_docstring(tree_of(path))
    ]
    assert silent == []


def test_a_protocol_imports_nothing_that_is_not_pure() -> None:
    impure = {
        f"{name_of(path)}: {module}"
        for path in code(CORE)
        for module, _ in imports_of(path)
        if module.partition(".")[0] not in PURE and not module.startswith("orchestrator.core")
    }
    assert impure == set()


def test_the_contract_is_pure_data() -> None:
    allowed = {*sys.stdlib_module_names, "msgspec"}
    foreign = {
        f"{name_of(path)}: {module}"
        for path in code("services/contract/")
        for module, _ in imports_of(path)
        if module.partition(".")[0] not in allowed and not module.startswith("services.contract")
    }
    assert foreign == set()


def test_only_the_bus_speaks_to_kafka_and_only_the_outbox_through_it() -> None:
    """A message sent from anywhere else might be of a transaction that rolls back: the dual write."""
    allowed = {
        "AIOKafkaConsumer": {"services/runtime/bus.py"},
        "AIOKafkaProducer": {"services/runtime/bus.py"},
        "Producer": {"services/runtime/outbox.py", "services/runtime/plumbing.py"},
    }
    importers = {
        f"{name_of(path)}: {name}"
        for folder in ("services/", "orchestrator/", "infra/", "lab/")
        for path in code(folder)
        for _, name in imports_of(path)
        if name in allowed and name_of(path) not in allowed[name]
    }
    assert importers == set()


def words_of(identifier: str) -> set[str]:
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)
    return {word.lower().removesuffix("s") for word in words} | {word.lower() for word in words}


def prose_of(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
        match node:
            case ast.Expr(ast.Constant(str(text))):  # also what documents a constant
                yield text


def identifiers_of(path: Path) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.NAME:
            yield token.string


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("the order of the ids, in order, out of order", set()),
        ("an order's message", {"order"}),
        ("HoldStock for orders", {"order", "stock"}),
        ("ordered", set()),
        ("shipping", set()),
    ],
)
def test_words_are_told_apart(text: str, said: set[str]) -> None:
    assert words_of(NOT_THE_SHOP.sub("", text)) & SHOP_WORDS == said


def test_the_runtime_does_not_know_that_we_are_a_shop() -> None:
    said: set[str] = set()
    for path in code(RUNTIME):
        texts = [NOT_THE_SHOP.sub("", " ".join(text.split())) for text in prose_of(path)]
        for text in (*texts, *identifiers_of(path)):
            said |= {f"{name_of(path)}: {word}" for word in words_of(text) & SHOP_WORDS}
    assert said == set()


@pytest.mark.parametrize("what", ELSEWHERE)
def test_no_file_names_a_place_that_others_do_not_have(what: str) -> None:
    found: list[str] = []
    for path in files():
        if path == Path(__file__):
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if re.search(ELSEWHERE[what], line):
                found.append(f"{name_of(path)}:{number}: {line.strip()[:100]}")
    assert found == []


def test_no_test_sleeps() -> None:
    """Wait for a condition, with a deadline: a sleep is too short on one machine, too long on the next."""
    sleeps: list[str] = []
    for path in code("tests/"):
        sleeps += [f"{name_of(path)}: from {m} import sleep" for m, n in imports_of(path) if n == "sleep"]
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "asyncio.sleep"):
                sleeps.append(f"{name_of(path)}:{node.lineno}")
    assert sleeps == []


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"\b(?:TODO|FIX" + r"ME|XXX)\b")
    left = [
        f"{name_of(path)}:{number}"
        for path in files()
        if path != Path(__file__) and path.name != "LICENSE"
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if later.search(line)
    ]
    assert left == []


def test_links_between_documents_lead_somewhere() -> None:
    broken: list[str] = []
    for path in files():
        if path.suffix != ".md":
            continue
        prose = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            file = target.partition("#")[0]
            if not re.match(r"[a-z]+:", target) and file and not (path.parent / file).exists():
                broken.append(f"{name_of(path)}: {target}")
    assert broken == []


def test_the_documents_name_only_files_and_tests_that_there_are() -> None:
    tests = {name for path in code("tests/") for name in re.findall(r"def (test_\w+)", path.read_text())}
    tests |= {path.stem for path in code("tests/")}
    gone: list[str] = []
    for path in files():
        if path.suffix != ".md":
            continue
        for named in re.findall(r"`([\w./-]+)", path.read_text()):
            if re.match(r"(?:tests|lab|services|orchestrator|infra|docs)/", named):
                is_there = (ROOT / named).exists()
            elif named.startswith("test_"):
                is_there = named.removesuffix(".py") in tests
            else:
                continue
            if not is_there:
                gone.append(f"{name_of(path)}: {named}")
    assert gone == []
