# Two verbs do all the set-up on a machine with Python 3.11 or later and make: `make demo` and `make test`.

.PHONY: help demo test lint format docs clean
.DELETE_ON_ERROR:

BIN := .venv/bin
PYTHONS := $(or $(PYTHON),python3.11 python3.12 python3.13 python3.14 python3)

help:
	@echo "make demo     install into .venv and run the demo"
	@echo "make test     install into .venv, then lint, types, arrows and all tests"
	@echo "make lint     lint, types and arrows only"
	@echo "make format   let ruff rewrite what it can"
	@echo "make docs     make the pages and blocks of output in the docs again (minutes)"
	@echo "make clean    take .venv and all caches away"

demo: .venv/demo.stamp
	$(BIN)/unslow demo

test: .venv/dev.stamp
	$(BIN)/python -m tools.test

lint: .venv/dev.stamp
	$(BIN)/python -m tools.test lint format types arrows

format: .venv/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/dev.stamp
	$(BIN)/python -m tools.docs

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build

# Each candidate is run, not only found: a version manager's `python3.12` may be an empty shell.
$(BIN)/python:
	@for candidate in $(PYTHONS); do \
	    if "$$candidate" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "making .venv with $$("$$candidate" --version)" >&2; \
	        "$$candidate" -m venv --clear .venv && exit 0; \
	        rm -rf .venv; exit 1; \
	    fi; \
	done; \
	echo "unslow wants Python 3.11 or later with its venv module; tried: $(PYTHONS)." >&2; \
	echo "Install one (Debian, Ubuntu: python3.11 and python3.11-venv), or name yours:" >&2; \
	echo "make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
	exit 1

# Installed again when pyproject.toml changed; the interpreter itself is only made once.
.venv/%.stamp: pyproject.toml | $(BIN)/python
	@echo "installing unslow[$*] into .venv (a minute or two the first time)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@
