# `make` lists the targets. Every target installs what it needs into $(VENV) first, once.

VENV ?= .venv
PYTHON ?=
PIP_ARGS ?=
ARGS ?=

# Plots are written to files, so a display is never needed.
export MPLBACKEND ?= Agg

PY := $(VENV)/bin/python

.DEFAULT_GOAL := help
# Two pip processes must not write into one environment at a time (make -j).
.NOTPARALLEL:
.PHONY: help venv demo test lint bench docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  Variables: PYTHON=python3.12 (interpreter, 3.11 or newer), VENV=.venv (environment),"
	@echo "  PIP_ARGS='...' (more options for pip install), ARGS='...' (more arguments for demo and test)"

venv: $(VENV)/.installed-test ## create the environment for development (tests, linter, both simulators)
	@echo "Ready: source $(VENV)/bin/activate"

demo: $(VENV)/.installed-demo ## train a robust QMIX team on a six-zone office, evaluate it in six climates
	@$(PY) examples/sustaingym_rqmix.py $(ARGS)

# One process per core; each takes up to 1.5 GB.
test: lint ## lint, then run the tests and the examples in the docstrings
	@$(PY) -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

lint: $(VENV)/.installed-test ## check style and format
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

bench: $(VENV)/.installed-test ## run every script in benchmarks/
	@found=0; for script in benchmarks/[!_]*.py; do \
	  [ -f "$$script" ] || continue; found=1; \
	  echo "== $$script"; $(PY) "$$script" || exit 1; \
	done; \
	[ $$found = 1 ] || echo "There are no benchmarks in benchmarks/ yet."

docs: $(VENV)/.installed-docs ## build the documentation into docs/_build, warnings as errors
	@$(PY) -m sphinx -W --keep-going -q -b html docs docs/_build
	@echo "Open docs/_build/index.html"

clean: ## remove what builds and tests left (keeps the environment and the results in runs/)
	@rm -rf build dist docs/_build .pytest_cache .ruff_cache *.egg-info
	@find torchrl_drigm tests examples benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +

# --- installation: one stamp per set of extras, so that a second make is quick -------------------

$(VENV)/.installed-demo: EXTRAS = sustaingym
$(VENV)/.installed-test: EXTRAS = test,docs,sustaingym,vmas,smax,sweep,onnx
$(VENV)/.installed-docs: EXTRAS = docs

$(VENV)/.installed-%: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing torchrl_drigm[$(EXTRAS)] into $(VENV), in the versions of constraints.txt."
	@echo "PyTorch is most of the download: the first time takes minutes, silently unless it fails."
	@start=$$(date +%s); \
	$(PY) -m pip install -qq --disable-pip-version-check $(PIP_ARGS) \
	  -c constraints.txt -e ".[$(EXTRAS)]" && \
	echo "Installed in $$(( $$(date +%s) - start )) s."
	@touch $@

# PYTHON, or the first interpreter that is new enough. An interpreter is asked rather than looked
# up, since a version manager's shim is found on the path also where it cannot run.
$(VENV)/.created:
	@for candidate in $(if $(PYTHON),"$(PYTHON)",python3.11 python3.12 python3.13 python3 python); do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    "$$candidate" -m venv "$(VENV)" && touch $@; exit $$?; \
	  fi; \
	done; \
	found=$$("$(or $(PYTHON),python3)" --version 2>/dev/null) || found="no '$(or $(PYTHON),python3)' that runs"; \
	echo "torchrl_drigm needs Python 3.11 or newer; found: $$found." >&2; \
	echo "Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1
