# Two commands for a stranger: `make demo` and `make test`. `make help` lists the others.

# The distribution's own interpreter where it will do: it is built with all optimisations.
PYTHON ?= $(shell /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo /usr/bin/python3 || echo python3)
NATIVE := $(PYTHON) -m infra.native
BIN := .tradeoff/venv/bin
ALL ?=
BENCH ?=
ROWS ?=
SOAK ?=
COMPARE ?=
HEADLESS ?=
USERS ?=
RUN_TIME ?=
LOAD ?=

.DEFAULT_GOAL := help
.PHONY: help demo up status logs down clean test storms chaos soak load compare browser-test compose-test check bench python

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: up ## install what is missing, start everything, and watch orders go through it
	@$(BIN)/python -m lab.demo

up: python ## start the shop; what runs as it should is left alone. REPLICAS=n of each service
	@$(NATIVE) up

status: python ## every part: is it ready, where, how often was it restarted
	@$(NATIVE) status

logs: python ## the ends of all logs; PART=order-1 for one of them
	@$(NATIVE) logs $(PART)

down: python ## stop everything; the data stays
	@$(NATIVE) down

clean: python ## stop everything and delete all that was installed in the clone or stored
	@$(NATIVE) clean
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

test: python ## what fits in ten minutes, against a stack of its own; TEST=tests/unit for some
	@$(NATIVE) install --dev
ifdef TEST
	@$(BIN)/pytest $(TEST)
else
	@$(BIN)/pytest -n auto --dist worksteal tests/unit tests/exhaustive tests/sim
	@$(BIN)/pytest tests/faults tests/e2e tests/integration
endif

storms: python ## twenty more minutes: processes and servers die, pause, run out of room, have wrong clocks. ALL=1: forty
	@$(NATIVE) install --dev --locust --clocks
	@STORMS_ALL=$(ALL) $(BIN)/pytest tests/chaos tests/lab

chaos: python ## a table: who is lost at which step, and what it cost; five minutes. ROWS='--all --stacks 3': every step
	@$(NATIVE) install
	@$(BIN)/tradeoff chaos --own $(ROWS)

soak: python ## rounds of anything, two and three things at a time, drawn from a seed. SOAK='--seed 7 --minutes 600'
	@$(NATIVE) install
	@$(BIN)/tradeoff soak --own $(SOAK)

load: up ## customers who browse, order and cancel, on Locust's page; without it: HEADLESS=1 USERS=200 RUN_TIME=60s
	@$(NATIVE) install --locust
	@$(BIN)/tradeoff load $(if $(HEADLESS),--headless) $(if $(USERS),--users $(USERS)) \
	    $(if $(RUN_TIME),--run-time $(RUN_TIME)) $(LOAD)

compare: python ## saga, 2PC, 2PC in groups and 3PC beside one another, as a page. COMPARE=--short: five minutes
	@$(NATIVE) install
	@$(BIN)/tradeoff compare --own $(COMPARE)

browser-test: python ## the page of a comparison, as Chromium lays it out
	@$(NATIVE) install --dev --only python --browser
	@$(BIN)/pytest tests/browser

compose-test: python ## the shop in containers, under a name of its own: orders, crashes, hardening; needs Docker
	@$(NATIVE) install --dev --only python
	@$(BIN)/pytest tests/compose

check: python ## format, lint, types, import rules, house rules, secrets, pins; needs no servers
	@$(NATIVE) install --dev --only python
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/pytest tests/unit/test_house_rules.py tests/unit/test_no_secrets.py tests/unit/test_dependencies.py

bench: up ## finished orders a second, beside the floor (the same rows, no coordination); BENCH='--orders …'
	@$(BIN)/tradeoff bench $(BENCH)

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "Tradeoff needs Python 3.11 or newer as $(PYTHON). Choose another: PYTHON=python3.12 make …" >&2; exit 1; }
