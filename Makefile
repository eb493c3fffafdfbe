# What people and CI do with a checkout. `make` alone prints this help; `make demo` is where to begin.
.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
BIN := .venv/bin
export PYTHON

.PHONY: help setup demo test check check-lowest check-oldest-postgres lint format bench-quick bench-engine wheel package lock clean

help: ## Print this help
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null || grep '##' Makefile

setup: .venv/.set-up ## Make .venv, install the locked packages, fetch the JDBC driver (first time: a minute or two)

.venv/.set-up: requirements.lock requirements-bootstrap.lock pyproject.toml conf/spark-defaults.conf scripts/setup.sh
	@scripts/setup.sh

demo: .venv/.set-up ## Pay a small campaign on this machine and watch it
	@$(BIN)/bulkpoint demo

test: lint ## Check the code, run all tests (what CI does)
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: lint ## Check the code, run the unit and database tests
	@$(BIN)/python -m pytest -q -n 2 tests/unit tests/database

check-lowest: .venv/.set-up ## Run them with the oldest packages that pyproject.toml allows (.venv-lowest)
	@$(BIN)/uv venv --quiet --clear --python 3.11 .venv-lowest
	@VIRTUAL_ENV=.venv-lowest $(BIN)/uv pip install --quiet --resolution lowest-direct --editable '.[dev]'
	@.venv-lowest/bin/python -m pytest -q -n 2 tests/unit tests/database

check-oldest-postgres: .venv/.set-up ## Run the database tests on the oldest PostgreSQL that is supported
	@TEST_POSTGRES=$$($(BIN)/python -c 'from bulkpoint.embedded.postgres_programs import OLDEST_VERSION as v; print(v)') \
	  $(BIN)/python -m pytest -q -n 2 tests/database

lint: .venv/.set-up ## Check format, style, types and the direction of imports
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: .venv/.set-up ## Format the code and repair what can be repaired
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench-engine: .venv/.set-up ## Measure the engine under trouble (about ten minutes)
	@$(BIN)/python -m bench.engine

bench-quick: .venv/.set-up ## Measure the main figures in a few minutes
	@$(BIN)/python -m bench.quick

wheel: .venv/.set-up ## Build the wheel into dist/
	@$(BIN)/hatchling build -t wheel

package: .venv/.set-up ## Pack the executors' Python packages for a cluster into dist/bulkpoint-env.tar.gz
	@$(BIN)/python scripts/package_environment.py dist/bulkpoint-env.tar.gz

UV_COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade -q

lock: .venv/.set-up ## Take the newest packages that pyproject.toml allows into the lock files
	@$(UV_COMPILE) pyproject.toml --extra dev -o requirements.lock
	@echo uv | $(UV_COMPILE) - -o requirements-bootstrap.lock

clean: ## Remove what set-up and tools made; .bulkpoint, which holds data, stays
	@rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
