# What people and CI do with a checkout. `make` alone prints the help; start with `make demo`.
.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
BIN := .venv/bin
export PYTHON

.PHONY: help setup demo test check check-lowest check-oldest-postgres lint format docs bench bench-quick bench-engine bench-growth wheel package lock clean

help: ## Print this help
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null || grep '##' Makefile

setup: .venv/.set-up ## Create .venv with the locked packages; fetch the JDBC driver, PostgreSQL and Kafka (first time: 2 minutes)

.venv/.set-up: requirements.lock requirements-bootstrap.lock pyproject.toml conf/spark-defaults.conf scripts/setup.sh
	@scripts/setup.sh

demo: .venv/.set-up ## Pay a small campaign on this machine, watch it, and prove it
	@$(BIN)/bulkpoint demo

test: lint ## Run lint and all tests (what CI does)
	@$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder  # on two cores: many tests wait for leases

check: lint ## Run lint, the unit tests and the database tests: before each commit
	@$(BIN)/python -m pytest -q -n 2 tests/unit tests/database

check-lowest: .venv/.set-up ## Run the same tests with the oldest packages that pyproject.toml allows (in .venv-lowest)
	@$(BIN)/uv venv --quiet --clear --python 3.11 .venv-lowest
	@VIRTUAL_ENV=.venv-lowest $(BIN)/uv pip install --quiet --resolution lowest-direct --editable '.[dev]'
	@.venv-lowest/bin/python -m pytest -q -n 2 tests/unit tests/database

check-oldest-postgres: .venv/.set-up ## Run the database tests on the oldest PostgreSQL that is supported
	@TEST_POSTGRES=$$($(BIN)/python -c 'from bulkpoint.embedded.postgres_programs import OLDEST_VERSION as v; print(v)') \
	  $(BIN)/python -m pytest -q -n 2 tests/database

lint: .venv/.set-up ## Check format, style, types and import contracts
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: .venv/.set-up ## Format the code and fix what can be fixed automatically
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: .venv/.set-up ## Write docs/json.md, its schema, docs/errors.md and docs/metrics.md from the code
	@$(BIN)/python -m bulkpoint.views.json_docs
	@$(BIN)/python -m bulkpoint.views.error_docs
	@$(BIN)/python -m bulkpoint.views.metrics_docs

bench: .venv/.set-up ## Measure bulkpoint and wrk, a script, the literal job, Celery, DBOS in turn (about 20 minutes)
	@$(BIN)/python -m bench.suite

bench-engine: .venv/.set-up ## Measure the job under outages, throttling and restarts (about twelve minutes)
	@$(BIN)/python -m bench.engine

bench-quick: .venv/.set-up ## Measure the main figures, and those of wrk and a script (under five minutes)
	@$(BIN)/python -m bench.suite --quick

bench-growth: .venv/.set-up ## Measure 10,000 to 1,000,000 targets, and 10 to 10,000 campaigns in one database (about 35 minutes)
	@$(BIN)/python -m bench.growth --campaigns 10,1000,10000 --targets 10000,100000,1000000

wheel: .venv/.set-up ## Build the wheel into dist/
	@$(BIN)/hatchling build -t wheel

package: .venv/.set-up ## Pack the Python packages that executors import, for a cluster, into dist/bulkpoint-env.tar.gz
	@$(BIN)/python scripts/package_environment.py dist/bulkpoint-env.tar.gz

UV_COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade -q

lock: .venv/.set-up ## Update the lock files to the newest packages that pyproject.toml allows
	@$(UV_COMPILE) pyproject.toml --extra dev -o requirements.lock
	@echo uv | $(UV_COMPILE) - -o requirements-bootstrap.lock

clean: ## Remove what set-up and tools made; data in .bulkpoint stays
	@rm -rf .venv .venv-lowest .bench dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
