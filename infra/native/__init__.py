"""The native stack: the whole shop as local processes of this machine, under a supervisor.

It needs nothing but Python 3.11 and its standard library, because it runs before anything is installed:

    python3 -m infra.native install|up|status|logs|down|clean [--state DIR] [--port-offset N] [--replicas N]

Tests and tools use it as a library:

    stack = Stack(state=tmp_path, port_offset=1000, replicas=2, environment={"JOURNAL_SAMPLE": "0.1"})
    stack.up()                                  # returns when every part is ready; a second call does nothing
    stack.told["public_url"]                    # what stack.json tells: URLs, DSNs, tokens
    stack.supervisor.signal("order-1", "KILL")  # also STOP and CONT: the pid is all of the part
    stack.supervisor.pid("order-1")             # 0 while it does not run
    stack.supervisor.stop("redis"); stack.supervisor.start("redis"); stack.supervisor.restart("kafka")
    stack.wait_ready("redis", "order-1")        # until each answers, or raises StartFailed
    stack.down()                                # no process is left
    stack.clean()                               # nor a file

Parts: pg-order, pg-payment, pg-inventory, pg-orchestrator, kafka, redis, nginx, and order-1, order-2,
payment-1, … `Stack.up(only="servers")` starts the servers without the shop. Actions of the supervisor
return at once, except that `stop` and `restart` wait for the old process to be gone. What dies by
itself or by a signal is started again within about a second.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - whoever starts this may not have read pyproject.toml
    sys.exit("Tradeoff needs Python 3.11 or newer. Choose one with: PYTHON=python3.12 make …")

from infra.native.failures import Failure, StartFailed
from infra.native.stack import Stack

__all__ = ["Failure", "Stack", "StartFailed"]
