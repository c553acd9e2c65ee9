# `make help` lists what is supported. Settings of the tools are in pyproject.toml.
SHELL := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
export LC_ALL := C.UTF-8
export TZ := UTC
export PYTHONDONTWRITEBYTECODE := 1

VENV := .venv
BIN := $(VENV)/bin

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z][a-z0-9-]*:[^=].*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 16

.PHONY: check
check: ## format, lint, types, floors, house rules and unit tests; under a minute
	@$(BIN)/ruff format --check --quiet . || { echo "format: run 'make format'" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/pytest -n auto tests/house tests/unit builder

.PHONY: format
format: ## rewrite the source as `make check` wants it
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .
