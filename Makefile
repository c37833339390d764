# Two commands matter: `make demo` and `make test`. Both do all their own set-up in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
MODELS ?= 2
REFERENCE ?=

.PHONY: demo test check bench notebooks clean

# pip older than 25.1 cannot read dependency groups.
$(BIN)/python:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 10), "cascade-routing needs Python 3.10 or newer: make PYTHON=..."'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[langchain,plots,local]" --group demo
	touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[all]" --group demo --group test
	touch $@

$(VENV)/.check: pyproject.toml $(VENV)/.test
	$(BIN)/python -m pip install --quiet --group check
	touch $@

demo: $(VENV)/.demo  ## Real models, fitted, live and measured; MODELS=3 for the largest too.
	$(BIN)/python -m langchain_cascade.demo --models $(MODELS)

test: $(VENV)/.test  ## Unit, property and integration tests, and the notebooks.
	$(BIN)/python -m pytest

check: $(VENV)/.check  ## Linters, type checkers, and the directions of imports.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests/typed_use.py
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/codespell
	$(BIN)/lint-imports

# REFERENCE=path/to/checkout compares with the paper's own code, which needs packages of its own.
bench: $(VENV)/.test  ## Benchmarks: tables and JSON under output/.
	$(if $(REFERENCE),$(BIN)/python -m pip install --quiet --group reference)
	$(BIN)/python tests/benchmarks/bench.py $(if $(REFERENCE),--reference $(REFERENCE))

notebooks: $(VENV)/.test  ## Executes the notebooks and stores what they print.
	$(BIN)/python -m pytest --nbmake --overwrite notebooks

clean:
	rm -rf $(VENV) output dist
