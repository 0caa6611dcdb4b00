# Two commands do everything, with a Rust toolchain and Python 3.11 or newer:
#
#   make demo    build, draw an archive, convert it, read it back
#   make test    every test; makes a private Python environment in .venv
#
# Also: faults, lint, schemas, pictures, clean-demo. Nothing is installed outside this folder and cargo's.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
DCMSHARD := "$(TARGET)/release/dcmshard"
# never the scripts of .venv/bin: their first lines do not survive a path with a space
VENV_PYTHON := .venv/bin/python

.PHONY: help build demo test faults lint schemas pictures clean-demo

help:
	@awk '!/^#/ {exit} {sub(/^# ?/, ""); print}' Makefile

build:
	@$(CARGO) build --release --locked

# --- the demo; the same command again continues, and has nothing left to do

demo: build .venv/examples.stamp demo/archive/truth.json
	@echo "== converting demo/archive"
	@$(DCMSHARD) convert demo/archive --out demo/shards
	@echo "== the shards"
	@find demo/shards/data -name '*.parquet' -size +0 -exec ls -lh {} + | awk '{print $$5 "  " $$NF}'
	@echo "== read back with Polars: examples/load_polars.py demo/shards"
	@$(VENV_PYTHON) examples/load_polars.py demo/shards

# truth.json is written last: an archive without it is drawn again
demo/archive/truth.json: | build
	@echo "== drawing 4 heads of 16 slices in demo/archive"
	@$(DCMSHARD) phantom demo/archive --heads 4 --slices 16 --extras

clean-demo:
	@rm -rf demo

# --- tests and lints

test: build .venv/test.stamp
	@$(CARGO) test --release --locked
	@$(CARGO) run --release --locked --quiet --example one_file >/dev/null
	@$(CARGO) run --release --locked --quiet --example own_stage >/dev/null
	@$(VENV_PYTHON) -m pytest tests/python -q -rs
	@[ -d ../shared/data ] || echo "skipped: all that needs real DICOM: ../shared/data is not here (Rust: decode_real, real_heads)"

lint:
	@$(CARGO) fmt --check
	@$(CARGO) clippy --release --locked --all-targets -- -D warnings
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --no-deps --quiet

# all cases of the promises about faults; `make test` tries every n-th
faults:
	@DCMSHARD_ALL_FAULTS=1 $(CARGO) test --release --locked --test promises -- --nocapture power_loss fault_injection

# --- files that are made and committed

schemas: build
	@$(DCMSHARD) schema --write .

pictures: build .venv/test.stamp
	@rm -rf demo/pictures && mkdir -p demo/pictures docs
	@$(DCMSHARD) phantom demo/pictures/archive --heads 3 --slices 16
	@$(DCMSHARD) convert demo/pictures/archive --out demo/pictures/shards --set privacy=uids
	@$(VENV_PYTHON) docs/before_and_after.py demo/pictures/archive demo/pictures/shards docs/before-after.png

# --- the private Python environment; a stamp is newer than what it was made from, or is made again

.venv/examples.stamp: examples/requirements.txt
	@$(VENV_PYTHON) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check -r examples/requirements.txt
	@touch $@

.venv/test.stamp: requirements-test.txt .venv/examples.stamp
	@$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	@touch $@
