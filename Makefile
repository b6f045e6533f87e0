# Laurel's verbs. `make` alone lists them; nothing needs a person, a secret or a browser.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
CLUSTER := $(BIN)/python -m tests.cluster
LOCK := $(BIN)/uv pip compile --quiet --generate-hashes --no-annotate --no-header --universal --python-version 3.11
# the domain, the verifier, who may call and webhook authentication: every branch is tested
CORE := $(BIN)/coverage report --fail-under=100 --include='*/pipeline/domain/*,*/pipeline/trust/*,*/pipeline/access/*,*/pipeline/ledger/tokens.py,*/webhook_service/access.py,*/webhook_service/bearers.py,*/webhook_service/links.py,*/webhook_service/delivery.py'

.PHONY: help dev fmt lint types imports test acceptance quick check matrix docs bench demo image dist lock clean
.PHONY: cluster-smoke cluster-test cluster-up cluster-down bench-cluster

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

dev: .venv/.ready ## make the environment in .venv/

.venv/.ready: tests/requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Laurel needs Python 3.11 or later; set PYTHON=/path/to/python3.11")'
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "Python has no venv: install it (Debian: apt-get install python3-venv)"; exit 1; }
	@echo "making .venv (once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv==$$(sed -nE 's/^uv==([0-9.]+).*/\1/p' tests/requirements.lock)"
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --compile-bytecode --require-hashes tests/requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

lock: ## resolve both locks anew: the environment's, and that of Laurel's own image
	$(LOCK) --extra demo --extra docker --extra kserve --extra notify --extra s3 --group dev pyproject.toml -o tests/requirements.lock
	$(LOCK) --extra docker --extra kserve --extra notify --extra s3 pyproject.toml -o dockerfiles/laurel.lock
	echo 'setuptools>=77' | $(LOCK) - -o dockerfiles/build.lock

fmt: dev ## format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: dev ## style, workflow and Dockerfile checks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/zizmor --quiet --offline --persona pedantic .github/workflows
	$(BIN)/hadolint dockerfiles/*.Dockerfile

types: dev ## strict types, tests included
	$(BIN)/mypy

imports: dev ## the architecture as contracts
	PYTHONPATH=. $(BIN)/lint-imports

quick: dev ## the tests that take seconds
	$(PYTEST) tests/unit tests/architecture -q

test: lint types imports ## every module and every contract, and what of them is tested
	$(BIN)/python -m tests.servers.go_tools
	$(PYTEST) -n 2 --dist loadgroup --cov --cov-report=term -m 'not cluster and not matrix' --ignore tests/acceptance
	@$(CORE) > .core.txt || { cat .core.txt; exit 1; }

acceptance: dev ## the product as people use it, between real servers, killed at every step
	$(BIN)/python -m tests.servers.go_tools
	$(PYTEST) -n 2 --dist loadgroup -m 'not matrix' tests/acceptance

check: test acceptance ## both; with cluster-smoke it is what CI runs

cluster-smoke: dev ## the core scenarios on a real cluster; builds it on first use, needs root
	$(CLUSTER) build
	@trap '$(CLUSTER) tidy' EXIT; $(PYTEST) -n 2 --dist loadgroup -m 'cluster and smoke' tests/cluster

cluster-test: dev ## every test on a real cluster; builds it on first use, needs root
	$(CLUSTER) build
	@trap '$(CLUSTER) tidy' EXIT; $(PYTEST) -n 2 --dist loadgroup -m cluster tests/cluster

cluster-up: dev ## a cluster to work with; prints the line that kubectl needs
	@$(CLUSTER) up

cluster-down: dev ## take it down
	@$(CLUSTER) down

matrix: dev ## the long ones, each of which `make check` shows in smaller parts
	$(BIN)/python -m tests.servers.go_tools
	$(PYTEST) -m matrix

docs: dev ## write the pages of docs/ that the program knows best
	$(BIN)/python -m tests.architecture.pages

bench: dev ## each figure a ratio against its peer; writes tests/benchmarks/RESULTS.md
	$(BIN)/python -m tests.benchmarks

bench-cluster: dev ## rollbacks beside the same patches sent by hand; writes tests/benchmarks/CLUSTER.md, needs root
	$(BIN)/python -m tests.benchmarks.cluster_rollbacks

demo: dev ## the whole product on this machine: no cluster, no account, no container engine
	$(BIN)/laurel demo $(if $(KEEP),--keep)

image: dev ## Laurel's own image by its own layer code, into build/images or to LAUREL_REGISTRY
	@$(BIN)/python -m pipeline.own_image

dist: dev ## wheel and sdist, the same bytes wherever the same checkout is, into build/dist
	@$(BIN)/python -m pipeline.own_release build build/dist

clean: ## remove the environment and caches of the checkout
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
