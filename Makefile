# make run     a fresh environment, the installation, and the main job on embedded data
# make test    the tests, in the same environment
# make lint    format and style;  make types    static types;  make clean    take it all away
#
# PYTHON=python3.12         the interpreter, 3.11 or later
# TORCH_INDEX=https://download.pytorch.org/whl/cpu    where else pip looks for torch: the builds on
#                           PyPI bring CUDA along, several GB of it

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --constraint constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: run test lint types clean

run: $(VENV)/installed
	$(BIN)/kasmina experiment=digits_grow

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest

lint: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/installed-dev
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than 3.11; choose another: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(INSTALL) --editable ".[dev]"
	@touch $@
