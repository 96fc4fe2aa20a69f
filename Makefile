# `make` alone lists what there is. Prerequisites: make and Python 3.11, 3.12 or 3.13; nothing else.
VENV := .venv
BIN := $(VENV)/bin
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
# The first Python that runs and fits, or the one you name: make PYTHON=/path/to/python3.12 demo
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.13 python; do \
	$$p -c '$(FITS)' 2>/dev/null && { echo $$p; break; }; done)
FILES ?=
# A folder under tests/, such as serve; empty: all of them.
TESTS ?=
BENCH ?= reading
# Of the bench, such as "--seconds 30".
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all check fmt bench clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/base.stamp  ## make the environment that reads radiographs (no torch, about 1.2 GB)

$(VENV)/base.stamp: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(FITS)' 2>/dev/null || { echo "boxray needs Python 3.11, 3.12 or 3.13; \
	found $$($(or $(PYTHON),python3) --version 2>&1 | head -n 1). Name one: make PYTHON=/path/to/python3.12 setup"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (about a minute) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/base.stamp
	@echo "installing torch and the developer's tools into $(VENV) (some minutes, 6 GB) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(VENV)/base.stamp  ## read the bundled examples (or FILES="a.dcm b.png") into runs/demo
	@$(BIN)/boxray demo $(FILES)

test: $(VENV)/dev.stamp  ## run the tests (under ten minutes on two cores; TESTS=serve: those of one room)
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow" $(addprefix tests/,$(TESTS))

test-all: $(VENV)/dev.stamp  ## run all tests, the long ones too
	@$(BIN)/python -m pytest $(addprefix tests/,$(TESTS))

check: $(VENV)/dev.stamp  ## formatting, lint, types, direction of imports
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fmt: $(VENV)/dev.stamp  ## format, and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/dev.stamp  ## how fast a radiograph is read, and against what (BENCH=data: a million images; BENCH=serve: many clients)
	@$(BIN)/python tests/benchmarks/$(BENCH).py $(ARGS)

clean:  ## remove the environment and the caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
