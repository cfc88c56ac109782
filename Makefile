# Everything is installed into .venv of this clone and nowhere else; with uv if it is there, with plain pip if not.
# Each target does its own set-up, and repeats it only when pyproject.toml or constraints.txt has changed.

VENV := .venv
BIN := $(VENV)/bin

# The first Python that is new enough. PYTHON=... chooses another; it counts when .venv is made, so `make clean` before.
IS_SUPPORTED := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	"$$python" -c '$(IS_SUPPORTED)' 2>/dev/null && command -v "$$python" && break; done)

KILLS ?= 10000
JOBS ?= 1

# A file of tests shares what is costly to make, so its tests stay together; more processes would wait for each other.
SIDE_BY_SIDE := -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# What a shell sets for other projects must not lead the installation out of .venv, nor other packages into it.
unexport PYTHONHOME PYTHONPATH PIP_PREFIX PIP_TARGET PIP_USER

.DEFAULT_GOAL := help
.PHONY: help demo test test-quick test-gpu torture bench lint types format hooks clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.installed ## install and train on embedded data: a minute after the download
	@$(BIN)/runner train experiment=demo

test: $(VENV)/.installed-dev ## every test that needs no GPU and that this machine can run
	$(BIN)/pytest $(SIDE_BY_SIDE)

test-quick: $(VENV)/.installed-dev ## the tests that take seconds
	$(BIN)/pytest -m "not slow" $(SIDE_BY_SIDE)

test-gpu: $(VENV)/.installed-dev ## the tests that need an NVIDIA GPU
	$(BIN)/pytest -m gpu

torture: $(VENV)/.installed-dev ## kill training runs KILLS=10000 times, JOBS=1 at a time, and compare: an hour or more
	$(BIN)/python scripts/torture.py --kills $(KILLS) --jobs $(JOBS)

bench: $(VENV)/.installed ## measure beside the peers and write docs/benchmarks.md: ARGS="--quick", "--only unet"; over half an hour
	@$(BIN)/python -m scripts.bench.environment
	@.bench/venv/bin/python -m scripts.bench $(ARGS)

lint: $(VENV)/.installed-dev ## ruff: rules and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.installed-dev ## mypy, strict
	$(BIN)/mypy

format: $(VENV)/.installed-dev ## rewrite the files as `make lint` wants them
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

hooks: $(VENV)/.installed-dev ## run lint and types before each commit
	$(BIN)/pre-commit install

clean: ## remove .venv, build products and caches; runs under outputs/ stay
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find runner tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@"$(PYTHON)" -c '$(IS_SUPPORTED)' 2>/dev/null || { \
		echo "runner needs Python 3.11 or newer; found: $$("$(or $(PYTHON),python3)" --version 2>/dev/null || echo none)"; \
		echo '  fix: install one, or name it: make PYTHON=/path/to/python3.12'; exit 1; } >&2
	@if command -v uv >/dev/null; then \
		uv venv --quiet --seed --allow-existing --no-python-downloads --python "$(PYTHON)" $(VENV); \
	elif "$(PYTHON)" -c 'import ensurepip' 2>/dev/null; then \
		"$(PYTHON)" -m venv $(VENV); \
	else \
		{ echo '$(PYTHON) cannot make virtual environments: its ensurepip module is missing'; \
		echo '  fix: apt-get install python3-venv (Debian, Ubuntu), or install uv'; exit 1; } >&2; \
	fi
	@touch $@

# The development set contains the other one, so it counts as both.
$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	$(call install,.)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.created pyproject.toml constraints.txt
	$(call install,.[dev])
	@touch $(VENV)/.installed $@

define install
@if command -v uv >/dev/null; then \
	uv pip install --python $(BIN)/python --constraint constraints.txt --editable '$(1)'; \
else \
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable '$(1)'; \
fi
endef
