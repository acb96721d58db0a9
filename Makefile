# SPDX-License-Identifier: Apache-2.0
# One file of commands. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON  ?= python3
PROFILE ?= embedded
VENV    := .venv
BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip --disable-pip-version-check --quiet
JARS    := deploy/kafka/libs/.complete
# What installs go by: a change here sets up anew, nothing else does.
RUN     := $(VENV)/.installed-run
FULL    := $(VENV)/.installed-full
DEV     := $(VENV)/.installed-dev

export TONGBAN_SANDBOX ?= 1

.PHONY: help
help: ## This list.
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- use it ----------------------------------------------------------------

.PHONY: run
run: $(RUN) ## Set up and start everything in the foreground (embedded profile, sandbox city).
	@$(BIN)/tongban run

.PHONY: demo
demo: $(if $(filter full,$(PROFILE)),$(FULL) $(JARS),$(RUN)) ## A birth through the public door of a throw-away system; PROFILE=full for Kafka and PostgreSQL.
	@$(BIN)/tongban demo --profile $(PROFILE)

.PHONY: stack
stack: $(FULL) $(JARS) ## Start the full profile: Kafka, PostgreSQL, every service its own process.
	@$(BIN)/tongban stack start

.PHONY: stack-stop
stack-stop: ## Stop what `make stack` started.
	@$(BIN)/tongban stack stop

# ---- set up ----------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Tongban needs Python 3.11 or newer; set PYTHON=/path/to/it."; exit 1; }
	@echo "Setting up $(VENV) (once; a minute or so) ..."
	@$(PYTHON) -m venv $(VENV)

define install
	@$(PIP) install --require-hashes -r $(1)
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@
endef

$(RUN): requirements.lock pyproject.toml | $(BIN)/python
	$(call install,requirements.lock)

$(FULL): requirements-full.lock pyproject.toml | $(BIN)/python
	$(call install,requirements-full.lock)
	@touch $(RUN)

$(DEV): requirements-dev.lock pyproject.toml | $(BIN)/python
	$(call install,requirements-dev.lock)
	@touch $(RUN) $(FULL)

$(JARS): deploy/kafka/pom.xml
	@echo "Fetching Kafka's jars (once) ..."
	@cd deploy/kafka && mvn -q -B dependency:copy-dependencies -DoutputDirectory=libs
	@touch $@

.PHONY: lock
lock: $(DEV) ## Resolve the locks anew from pyproject.toml (hashes, no addresses).
	@$(BIN)/uv pip compile -q --generate-hashes --universal --no-annotate --no-header --no-emit-index-url --extra dev --extra full pyproject.toml -o requirements-dev.lock
	@sed -n 's/^\([a-z0-9][^ ]*==[^ ]*\).*/\1/p' requirements-dev.lock > $(VENV)/pins.txt
	@$(BIN)/uv pip compile -q --generate-hashes --universal --no-annotate --no-header --no-emit-index-url -c $(VENV)/pins.txt --extra full pyproject.toml -o requirements-full.lock
	@$(BIN)/uv pip compile -q --generate-hashes --universal --no-annotate --no-header --no-emit-index-url -c $(VENV)/pins.txt pyproject.toml -o requirements.lock

.PHONY: setup
setup: $(DEV) $(JARS) ## Install what tests and checks need.

# ---- check it --------------------------------------------------------------

.PHONY: check
check: lint types imports proto-check test-unit test-contract test-rules ## The gate: format, lint, types, imports, contracts, fast tests.

.PHONY: test
test: setup ## Every test, both profiles where their parts can be had.
	@$(BIN)/python -m pytest tests

.PHONY: format
format: $(DEV) ## Format the code and the contracts.
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix --quiet . ; $(BIN)/buf format -w

.PHONY: lint
lint: $(DEV) ## Format and lint, changing nothing.
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .

.PHONY: types
types: $(DEV) ## mypy, strict.
	@$(BIN)/mypy

.PHONY: imports
imports: $(DEV) ## Who may import whom.
	@$(BIN)/lint-imports --no-cache

.PHONY: proto
proto: $(DEV) ## Generate gen/ from protos/.
	@$(BIN)/python protos/generate.py

.PHONY: proto-check
proto-check: $(DEV) ## Contracts: lint, format, drift of gen/, and nothing broken since the last commit on main.
	@$(BIN)/buf lint && $(BIN)/buf format --diff --exit-code && $(BIN)/python protos/generate.py --check
	@$(BIN)/buf breaking --against '.git#ref=$(or $(BASE),HEAD)'

.PHONY: test-unit
test-unit: $(DEV) ## Rules and refusals; no sockets.
	@$(BIN)/python -m pytest -q tests/unit

.PHONY: test-contract
test-contract: $(DEV) ## Yesterday's bytes; memory and SQL stores pass one suite.
	@$(BIN)/python -m pytest -q tests/contract

.PHONY: test-rules
test-rules: $(DEV) ## The house rules, read off the code itself.
	@$(BIN)/python -m pytest -q tests/rules

.PHONY: test-integration
test-integration: setup ## Real databases and brokers.
	@$(BIN)/python -m pytest tests/integration

.PHONY: test-e2e
test-e2e: setup ## Journeys through the public doors, both profiles.
	@$(BIN)/python -m pytest tests/e2e

# ---- measure it ------------------------------------------------------------

.PHONY: bench
bench: setup ## Benchmarks as ratios to a baseline of the same run; NAME=exchange_query for one.
	@$(BIN)/python -m bench $(NAME)

.PHONY: faults
faults: setup ## Kill everything at random moments and check the invariants; KILLS=20 per process.
	@$(BIN)/python -m tests.faults --kills $(or $(KILLS),20) --profile all

.PHONY: kills
kills: setup ## kill -9 two gateways at every commit they make; KILLS=1000 for each profile, goes on where it was cut off.
	@$(BIN)/python -m tests.kills --kills $(or $(KILLS),1000) --profile all

.PHONY: clean
clean: ## Remove what was set up and built; data under var/ stays.
	@rm -rf $(VENV) deploy/kafka/libs *.egg-info .mypy_cache .ruff_cache .hypothesis
