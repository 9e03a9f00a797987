"""`python3 -m infra.native COMMAND`; see the package's docstring."""

import argparse
import os
import sys
from pathlib import Path

from infra.native import Failure, Stack, overview, watchdog
from infra.native.install import Wanted, ensure_installed
from infra.native.screen import say


def main() -> int:
    told = _arguments().parse_args()
    try:
        return int(COMMANDS[told.command](told) or 0)
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # who read has read enough: `make status | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _arguments() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--state", type=Path, help="where the stack keeps its files (TRADEOFF_STATE; .tradeoff)"
    )
    parser = argparse.ArgumentParser(prog="python3 -m infra.native", description="The native stack.")
    commands = parser.add_subparsers(dest="command", required=True)
    install = commands.add_parser("install", help="install what is missing")
    install.add_argument("--dev", action="store_true", help="and what tests and checks need")
    install.add_argument("--locust", action="store_true", help="and what `make load` needs")
    install.add_argument("--browser", action="store_true", help="and a browser, for the tests of pages")
    install.add_argument("--clocks", action="store_true", help="and clocks that can be put wrong, for storms")
    install.add_argument("--only", choices=["python"], help="no servers")
    up = commands.add_parser("up", parents=[common], help="install, start, and return when all is ready")
    up.add_argument("--port-offset", type=int, help="added to every port")
    up.add_argument("--replicas", type=int, help="of each service (REPLICAS; 2)")
    up.add_argument("--only", choices=["all", "servers"], default="all", help="the servers without the shop")
    commands.add_parser("status", parents=[common], help="every part; exit code 1 when one is not ready")
    logs = commands.add_parser(
        "logs", parents=[common], help="the end of the logs; on a terminal, follow them"
    )
    logs.add_argument("part", nargs="?", help="of one part, as `status` names it")
    commands.add_parser("down", parents=[common], help="stop; the data stays")
    commands.add_parser("clean", parents=[common], help="stop and delete everything")
    commands.add_parser("watch", parents=[common], help="what the watchdog of a running stack does")
    return parser


def _install(told: argparse.Namespace) -> None:
    ensure_installed(Wanted(told.only != "python", told.dev, told.locust, told.browser, told.clocks))


def _up(told: argparse.Namespace) -> None:
    ensure_installed()
    stack = Stack(told.state, told.port_offset, told.replicas)
    stack.up(told.only)
    say(overview.summary(stack, servers_only=told.only == "servers"))


def _status(told: argparse.Namespace) -> int:
    text, is_ready = overview.status(Stack.existing(told.state))
    say(text)
    return 0 if is_ready else 1


def _logs(told: argparse.Namespace) -> None:
    files = overview.log_files(Stack.existing(told.state), told.part)
    follow = ["-F"] if sys.stdout.isatty() else []
    sys.stdout.flush()
    os.execvp("tail", ["tail", "-n", "100" if told.part else "10", *follow, *map(str, files)])


def _down(told: argparse.Namespace) -> None:
    Stack.existing(told.state).down()
    say("Tradeoff is down; its data is kept. To delete it: make clean")


def _clean(told: argparse.Namespace) -> None:
    stack = Stack.existing(told.state)
    stack.clean()
    say(f"Nothing is left in {stack.layout.state}.")


def _watch(told: argparse.Namespace) -> None:
    watchdog.watch(Stack.existing(told.state).layout)


COMMANDS = {
    "install": _install,
    "up": _up,
    "status": _status,
    "logs": _logs,
    "down": _down,
    "clean": _clean,
    "watch": _watch,
}

if __name__ == "__main__":
    sys.exit(main())
