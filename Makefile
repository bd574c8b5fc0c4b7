# Needs Python 3.11 or newer with venv, make, git, and a package index for the first run.
# Everything is installed into .venv, with hashes; the stamp makes a second run quick.

.DEFAULT_GOAL := help
SHELL := /bin/sh
.DELETE_ON_ERROR:

# The first Python found that is new enough; `make PYTHON=/path/to/python3 ...` names another.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo "$$name"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
WORKERS ?= 2
PYTEST_FLAGS ?=

.PHONY: help demo test check bench soak format openapi clean lock

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile

demo: $(STAMP) ## two ministries, one hotline, one node, on this machine
	$(BIN)/liaison demo

test: $(STAMP) ## run the tests
	$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_FLAGS)

check: $(STAMP) ## formatting, lint, types, then the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(MAKE) --no-print-directory test

bench: $(STAMP) ## measure
	$(BIN)/python -m benchmarks

ROUNDS ?= 200
MINUTES ?= 30
soak: $(STAMP) ## kill the node under load, ROUNDS times; a town at work for MINUTES while everything fails
	LIAISON_SOAK_ROUNDS=$(ROUNDS) LIAISON_SOAK_MINUTES=$(MINUTES) $(BIN)/python -m pytest \
		tests/faults/test_kill.py tests/faults/test_ladders.py tests/faults/test_soak.py $(PYTEST_FLAGS)

format: $(STAMP) ## format the code and repair what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

openapi: $(STAMP) ## write protocols/openapi.json anew from the routes
	$(BIN)/python -m liaison.server.routes protocols/openapi.json

clean: ## remove what was built or installed here
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock: ## resolve requirements/*.txt anew; needs uv
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet \
		--output-file requirements/runtime.txt
	uv pip compile pyproject.toml --extra postgresql --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
		--quiet --constraint requirements/runtime.txt --output-file requirements/postgresql.txt
	uv pip compile pyproject.toml --extra postgresql --group dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
		--quiet --constraint requirements/postgresql.txt --output-file requirements/dev.txt

$(STAMP): requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "liaison needs Python 3.11 or newer, and none was found;" \
		"install one or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv module;" \
		"install it (Debian: apt-get install python3-venv)" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(PIP) install --require-hashes --only-binary :all: -r requirements/dev.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
