# Two commands on a fresh machine: `make demo` and `make test`. Needs Python 3.11, 3.12 or 3.13.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
	>/dev/null 2>&1 && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
QUICK := not slow and not peer

.PHONY: demo test lint test-slow test-peer train-smoke schema bench clean help

help:
	@echo "make demo       set up and segment the demo scans"
	@echo "make test       set up, check style and types, run the tests"
	@echo "make test-slow  the tests that take minutes"
	@echo "make train-smoke  train on phantoms for a minute or two; ends with Dice 0.9 or fails"
	@echo "make test-peer  the tests that need other programs or the shared data"
	@echo "make schema     configs/training.schema.json anew, which editors check configs by"
	@echo "make bench      the benchmarks behind docs/benchmarks.md"

demo: .venv/.medseg
	@$(BIN)/medseg demo

test: .venv/.develop lint
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "$(QUICK)"

lint: .venv/.develop
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-slow: .venv/.develop
	$(BIN)/python -m pytest -m slow

test-peer: .venv/.develop
	$(BIN)/python -m pytest -m peer

train-smoke: .venv/.develop
	$(BIN)/python -m pytest tests/training/test_smoke.py --durations 1

schema: .venv/.medseg
	$(BIN)/medseg config-schema --out configs/training.schema.json

bench: .venv/.develop
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script; done

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "medseg needs Python 3.11, 3.12 or 3.13 with venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) install --constraint constraints.txt --upgrade pip

.venv/.medseg: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing medseg into .venv (some minutes the first time)"
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

.venv/.develop: .venv/.medseg
	@echo "Installing what the tests need"
	$(PIP) install --constraint constraints.txt --editable '.[decoders,formats,tensorboard]' --group test --group lint
	@touch $@

clean:
	rm -rf .venv build dist medseg-demo
