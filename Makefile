# make backtest | check | prove | compare | bench | mutate | browser | wheel | lock | clean

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := check
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	"$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest
SEEDS ?= 1 2 3
# The commit whose results this checkout gives too. A commit that changes results on purpose names the configs in CHANGED; the next one
# makes it the BASE and empties CHANGED.
BASE ?= 7a402eb9f0216598f51e96ef754ec3472b95cbe1
CHANGED :=

.PHONY: backtest check lint types imports test results prove compare bench mutate browser wheel lock clean

backtest: $(BIN)/basis
	rm -rf build/sample
	$(BIN)/basis data sample build/sample
	$(BIN)/basis backtest config/eth_basis.yaml --data build/sample

check: lint types imports results test

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/dev.stamp
	$(BIN)/mypy --strict src

imports: .venv/dev.stamp
	$(BIN)/lint-imports --no-cache

test: .venv/dev.stamp build/pip/stamp node_modules/.package-lock.json browser
	mkdir -p build/coverage
	$(PYTEST) --hypothesis-profile=ci --cov --cov-report=
	$(BIN)/coverage report --skip-covered --fail-under=95
	$(BIN)/coverage report --skip-covered --fail-under=100 --include='*/core/*,*/execution/*,*/monitoring/*'

prove: .venv/dev.stamp node_modules/.package-lock.json
	for seed in $(SEEDS); do \
		BASIS_SEED=$$seed $(PYTEST) -m "prove or hypothesis" --hypothesis-profile=prove --hypothesis-seed=$$seed; \
	done

results: $(BIN)/basis
	$(BIN)/python tools/compare.py $(BASE) --sample-only --changed $(CHANGED)

compare: $(BIN)/basis
	$(BIN)/python tools/compare.py $(BASE)

bench: .venv/dev.stamp
	for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python "$$file"; done

mutate: .venv/dev.stamp
	$(BIN)/mutmut run
	$(BIN)/mutmut results

browser:
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium; } \
			</dev/null >/dev/null || echo "chromium could not be installed: the browser tests are skipped (with CI=true they fail)"; \
	else echo "chromium is not installed: the browser tests are skipped (with CI=true they fail)"; fi

wheel: .venv/dev.stamp
	$(BIN)/python -m build --no-isolation --outdir dist .

lock: .venv/dev.stamp
	$(BIN)/uv pip compile $(LOCK_OPTIONS) --group build --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile $(LOCK_OPTIONS) --extra live --group build --group dev --constraint requirements.lock \
		--output-file requirements-dev.lock pyproject.toml
	npm install --no-progress

LOCK_OPTIONS := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock"

clean:
	rm -rf .venv build dist node_modules mutants .hypothesis .pytest_cache .mypy_cache .ruff_cache .coverage

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer with its venv module is needed; name it with make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv .venv

# A lock names everything, so nothing is resolved: a newer release of something that it pins cannot get in the way.
.venv/run.stamp: requirements.lock | $(BIN)/python
	$(PIP) install --quiet --no-deps --require-hashes -r requirements.lock
	[ -e .venv/dev.stamp ] || $(PIP) check
	touch $@

$(BIN)/basis: pyproject.toml .venv/run.stamp
	$(PIP) install --quiet --no-build-isolation --no-deps --editable .
	touch $@

.venv/dev.stamp: requirements-dev.lock | $(BIN)/basis
	$(PIP) install --quiet --no-deps --require-hashes -r requirements-dev.lock
	$(PIP) check
	touch $@

# An old pip and the newest one, for tests/test_install.py.
build/pip/stamp: requirements-dev.lock | $(BIN)/python
	rm -rf build/pip
	$(PIP) download --quiet --no-deps --dest build/pip pip==23.2
	$(PIP) download --quiet --no-deps --dest build/pip pip
	touch $@

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --ignore-scripts --no-progress
	touch $@
