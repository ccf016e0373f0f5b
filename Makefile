# What there is to do in this clone. Each verb prepares what it needs by itself: var/venv and, below var/, a private
# RabbitMQ and PostgreSQL. Numbers are given as in `make demo SECONDS=30` or `make smoke FAULTS=all WORKERS=2 SEED=7`.

PYTHON ?= python3
BIN := var/venv/bin
READY := var/venv/.complete
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header

# "--seconds 30" if SECONDS was given on make's command line. The environment does not count: other programs, and bash
# itself, have variables of these names.
option = $(if $(filter command,$(origin $(1))),--$(2) '$($(1))')
flag = $(if $(filter command,$(origin $(1))),--$(2))
options = $(call option,SECONDS,seconds) $(call option,USERS,users) $(call option,GROUPS,groups) \
	$(call option,WORKERS,workers) $(call option,FAULTS,faults) $(call option,SEED,seed)

.DEFAULT_GOAL := help
.PHONY: help demo smoke chaos test test-long load check audit bench screenshots lock venv clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' Makefile

demo: $(READY) ## Run the whole system on this machine, with a lively company: SECONDS, USERS, GROUPS, WORKERS, SEED
	@$(BIN)/python -m deploy.local.demo $(options)

smoke: $(READY) ## Run it under load and faults and compare in the end: SECONDS, USERS, GROUPS, CHANGES, WORKERS, FAULTS, SEED, DATABASE
	@$(BIN)/python -m deploy.local.smoke $(options) $(call option,CHANGES,changes) $(call option,DATABASE,database)

chaos: $(READY) ## Strike it with faults of every kind at once and prove that nothing was lost: SECONDS, SEED, USERS, GROUPS
	@$(BIN)/python -m tests.chaos $(options)

test: $(READY) ## Run all tests, three files at a time: JOBS; ARGS goes to pytest, as in ARGS='-k phones'
	@$(BIN)/python -m deploy.local prepare
	@$(BIN)/python -m pytest -n $(or $(JOBS),3) --dist loadfile $(ARGS)

test-long: $(READY) ## Play 5,000 random histories, then fuzz with 5,000 inputs a test (about 40 minutes): HISTORIES, EXAMPLES
	@MODEL_HISTORIES=$(or $(HISTORIES),5000) FUZZ_EXAMPLES=$(or $(EXAMPLES),5000) \
		$(BIN)/python -m pytest tests/faults/test_model.py tests/fuzz $(ARGS)

load: $(READY) ## Post to the webhook at a rate, among strangers, with a broker that comes and goes: SECONDS, RATE; ARGS
	@$(BIN)/python -m tests.load $(call option,SECONDS,seconds) $(call option,RATE,rate) $(ARGS)

check: $(READY) ## Lint, formatting, types, direction of imports, pinned dependencies
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m deploy.local.pins
	$(BIN)/uv pip check --quiet --python $(BIN)/python

audit: $(READY) ## Ask OSV over the network whether anything is known against the pinned dependencies
	@$(BIN)/python -m deploy.local.audit

bench: $(READY) ## Measure, and write benchmarks/results.json and the tables of docs/performance.md: QUICK=1, FULL=1, ONLY; ARGS
	@$(BIN)/python -m benchmarks $(call flag,QUICK,quick) $(call flag,FULL,full) $(call option,ONLY,only) $(ARGS)

screenshots: $(READY) ## Take the pictures of docs/operations.md anew, of RabbitMQ's pages in a real run (2 minutes)
	@$(BIN)/python -m deploy.local.screenshots

lock: $(READY) ## Pin what pyproject.toml asks for in requirements*.txt; ARGS=--upgrade takes the newest versions
	$(LOCK) $(ARGS) -o requirements.txt
	$(LOCK) $(ARGS) --group dev -o requirements-dev.txt

venv: $(READY) ## Make the virtual environment var/venv, or bring it up to date

clean: ## Stop what runs here and remove var/ (data, logs, virtual environment)
	@$(PYTHON) -m deploy.local.leftovers
	@rm -rf var

$(READY): requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo 'Python 3.11 or newer is needed as $(PYTHON): apt-get install python3, or make PYTHON=/path/to/python3'; exit 1; }
	@$(PYTHON) -m deploy.local.venv
