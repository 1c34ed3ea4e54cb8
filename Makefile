# make backtest | fast | check | prove | compare | bench | testnet | mutate | docs | browser | screenshots | wheel | lock | clean

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := check
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	"$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; done)
# The environment that everything runs in, and the pip it gets: PIP_RELEASE is `==23.2`, or empty for the one that PYTHON brings.
VENV ?= .venv
PIP_RELEASE ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest
# A file's tests stay together, and files begin in the order of tests/conftest.py: the slow ones first.
TWO_PROCESSES := --numprocesses 2 --dist loadfile --no-loadscope-reorder
FAST := $(PYTEST) $(TWO_PROCESSES) -m "not slow" --hypothesis-profile=fast
SUITE := $(PYTEST) $(TWO_PROCESSES) --hypothesis-profile=ci
SEEDS ?= 1 2 3
# The commit whose results this checkout gives too. A commit that changes results on purpose names the configs in CHANGED; the next one
# makes it the BASE and empties CHANGED.
BASE ?= 7a402eb9f0216598f51e96ef754ec3472b95cbe1
CHANGED := blocks btc_basis custom custom_simple eth_basis eth_leveraged eth_staking_only pure_lending usdt_market_neutral

.PHONY: backtest fast tested-with check lint types imports results anyhow test suite prove compare bench testnet mutate docs browser screenshots wheel lock clean

backtest: $(BIN)/basis
	rm -rf build/sample
	$(BIN)/basis data sample build/sample
	$(BIN)/basis backtest config/eth_basis.yaml --data build/sample

fast: $(VENV)/dev.stamp
	$(FAST)

check: lint types imports results anyhow test

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp
	$(BIN)/mypy --strict src

imports: $(VENV)/dev.stamp
	$(BIN)/lint-imports --no-cache

results: $(BIN)/basis
	$(BIN)/python tools/compare.py $(BASE) --sample-only --changed $(CHANGED)

anyhow: $(VENV)/dev.stamp
	tools/anyhow.sh $(FAST)

# The data of each run are in a folder of its own, so that two at once do not meet; the last one's stay for `coverage report`.
test: tested-with
	mkdir -p build/coverage
	run="$$(mktemp -d build/coverage/run.XXXXXX)"; trap 'rm -rf "$$run"' EXIT; export COVERAGE_FILE="$$PWD/$$run/data"; \
	$(SUITE) --cov --cov-report=; \
	cp "$$COVERAGE_FILE" build/coverage/data; \
	$(BIN)/coverage report --skip-covered --fail-under=95; \
	$(BIN)/coverage report --skip-covered --fail-under=100 --include='*/core/*,*/execution/*,*/monitoring/*'

suite: tested-with
	$(SUITE)

tested-with: $(VENV)/dev.stamp $(VENV)/wheels/stamp node_modules/.package-lock.json browser

prove: tested-with
	for seed in $(SEEDS); do \
		BASIS_SEED=$$seed $(PYTEST) -m "prove or hypothesis" --hypothesis-profile=prove --hypothesis-seed=$$seed; \
	done
	tools/anyhow.sh $(SUITE)
	$(MAKE) VENV=build/python/pip-23.2 PIP_RELEASE===23.2 suite
	$(BIN)/python tools/pythons.py | while read -r version python; do \
		$(MAKE) VENV=build/python/$$version PYTHON="$$python" "PIP_RELEASE=>=23.2" suite </dev/null; \
	done

compare: $(BIN)/basis
	$(BIN)/python tools/compare.py $(BASE)

bench: $(VENV)/dev.stamp
	for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python "$$file"; done

testnet: $(VENV)/dev.stamp
	$(BIN)/python tools/testnet.py

mutate: $(VENV)/dev.stamp
	$(BIN)/mutmut run
	$(BIN)/python tools/survivors.py

docs: $(VENV)/dev.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

browser:
	@if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium; } \
			</dev/null >/dev/null || echo "chromium could not be installed: the browser tests are skipped (with CI=true they fail)"; \
	else echo "chromium is not installed: the browser tests are skipped (with CI=true they fail)"; fi

screenshots: backtest $(VENV)/dev.stamp browser
	$(BIN)/python tools/screenshots.py "$$(ls -t results/*/report.html | head -n 1)" build/screenshots

wheel: $(VENV)/dev.stamp
	$(BIN)/python -m build --no-isolation --outdir dist .

lock: $(VENV)/dev.stamp
	$(BIN)/uv pip compile $(LOCK_OPTIONS) --group build --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile $(LOCK_OPTIONS) --extra live --extra cluster --extra search --group build --group dev --constraint requirements.lock \
		--output-file requirements-dev.lock pyproject.toml
	npm install --no-progress

LOCK_OPTIONS := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock"

clean:
	rm -rf .venv build dist node_modules mutants .hypothesis .pytest_cache .mypy_cache .ruff_cache .coverage

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer with its venv module is needed; name it with make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	[ -z "$(PIP_RELEASE)" ] || $(PIP) install --quiet --upgrade "pip$(PIP_RELEASE)"

# A lock names everything, so nothing is resolved: a newer release of something that it pins cannot get in the way.
$(VENV)/run.stamp: requirements.lock | $(BIN)/python
	$(PIP) install --quiet --no-deps --require-hashes -r requirements.lock
	[ -e $(VENV)/dev.stamp ] || $(PIP) check
	touch $@

$(BIN)/basis: pyproject.toml $(VENV)/run.stamp
	$(PIP) install --quiet --no-build-isolation --no-deps --editable .
	touch $@

$(VENV)/dev.stamp: requirements-dev.lock | $(BIN)/basis
	$(PIP) install --quiet --no-deps --require-hashes -r requirements-dev.lock
	$(PIP) check
	touch $@

# What tests/test_install.py installs from, without a network: what the package needs, an old pip and the newest one.
$(VENV)/wheels/stamp: requirements.lock | $(BIN)/python
	rm -rf $(@D)
	$(PIP) download --quiet --no-deps --require-hashes --dest $(@D) -r requirements.lock
	$(PIP) download --quiet --no-deps --dest $(@D) pip==23.2
	$(PIP) download --quiet --no-deps --dest $(@D) pip
	touch $@

node_modules/.package-lock.json: package.json package-lock.json
	@[ ! -L node_modules ] || { echo "node_modules is a link, and npm would empty the folder that it leads to: remove the link first"; exit 2; }
	npm ci --ignore-scripts --no-progress
	touch $@
