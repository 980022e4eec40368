# Everything that this project does by hand or in CI. `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# make migrations: a database of its own, made and thrown away
SCRATCH := var/migrations
# make run CONFIG=…: another configuration than config.yaml; what make seed has made lies in SEED
CONFIG ?=
SEED := var/seed
# make test ARGS="-k storescu": more of pytest's options
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup peers viewer demo run seed test coverage validate readers pictures lint format types contracts migrations check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## make .venv and install everything into it (PYTHON=python3.12 chooses one)

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is not Python 3.11 or newer. Name one: make setup PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) has no venv module. On Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): setup.cfg pyproject.toml constraints.txt scripts/install_torch.sh scripts/install_assets.sh | $(PY)
	scripts/install_torch.sh $(PY)
	scripts/install_assets.sh
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	  --editable '.[test,dev]'
	@touch $@

peers: ## install what the tests talk to: dcmtk, orthanc, redis, postgresql, java, chromium, ohif
	scripts/install_peers.sh
	scripts/install_readers.sh

viewer: ## fetch OHIF, which the worklist page then serves under /viewer/
	scripts/install_viewer.sh

demo: setup ## one radiograph from C-STORE to report (IMAGE=hand.png SEX=F AGE=10.5), in var/demo
	$(PY) -m dicom_node demo --out var/demo $(if $(IMAGE),--image '$(IMAGE)') \
	  $(if $(SEX),--sex '$(SEX)') $(if $(AGE),--age '$(AGE)')

run: setup ## the node in the foreground, as config.yaml says (CONFIG=…); Ctrl-C stops it
	$(PY) -m dicom_node $(if $(CONFIG),--config '$(CONFIG)') serve

seed: setup ## a node full of invented jobs to try the page on, in var/seed; says how to go on
	$(PY) -m worklist seed --into $(SEED)

test: setup ## all tests (ARGS="-k storescu" for some)
	scripts/install_peers.sh --throwaway
	scripts/install_readers.sh
	$(PY) -m pytest $(ARGS)

coverage: setup ## all tests, with what lines and branches they reach
	$(PY) -m pytest --cov --cov-report=term $(ARGS)

validate: setup ## the whole validation set past every external validator
	VALIDATE_ALL=1 $(PY) -m pytest -m validate $(ARGS)

readers: setup ## what docs/readers.md shows: OHIF's picture, dsrdump's and dcmjs's texts
	scripts/install_readers.sh
	$(PY) -m tests.readers

pictures: setup ## the pictures of the worklist page in docs/worklist, of invented patients only
	$(PY) -m tests.pictures

lint: setup ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup ## let ruff repair and format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: setup ## mypy, strict
	$(BIN)/mypy

contracts: setup ## who may import whom
	$(BIN)/lint-imports --config setup.cfg

migrations: setup ## fail when a table has no migration
	@rm -rf $(SCRATCH) && mkdir -p $(SCRATCH)
	@echo 'data_directory: .' >$(SCRATCH)/config.yaml
	DICOM_NODE_CONFIG=$(SCRATCH)/config.yaml $(BIN)/alembic -c setup.cfg upgrade head
	DICOM_NODE_CONFIG=$(SCRATCH)/config.yaml $(BIN)/alembic -c setup.cfg check

check: lint types contracts migrations ## all of these four

clean: ## remove .venv and what the tools leave behind; var/ stays
	rm -rf $(VENV) build *.egg-info .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache \
	  .import_linter_cache .hypothesis $(SCRATCH)
	find . -name __pycache__ -type d -not -path './var/*' -exec rm -rf {} +
