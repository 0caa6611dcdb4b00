# Two commands do everything, with a Rust toolchain and Python 3.11 or newer:
#
#   make demo    build, draw an archive, convert it, read it back
#   make test    every test; makes a private Python environment in .venv
#
# Also: faults, kills, fuzz, lint, schemas, table, pictures, bench, bench-decode, clean-demo. Nothing is
# installed outside this folder and cargo's.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
DCMSHARD := "$(TARGET)/release/dcmshard"
STORED_VALUES := "$(TARGET)/release/examples/stored_values"
# never the scripts of .venv/bin: their first lines do not survive a path with a space
VENV_PYTHON := .venv/bin/python

.PHONY: help build demo test faults kills lint schemas table pictures bench bench-decode clean-demo fuzz fuzz-build

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
	@$(CARGO) build --release --locked --quiet --example stored_values
	@$(VENV_PYTHON) -m pytest tests/python -q -rs
	@[ -d ../shared/data ] || echo "skipped: all that needs real DICOM: ../shared/data is not here (Rust: decode_real, real_heads)"

lint:
	@$(CARGO) fmt --check
	@$(CARGO) clippy --release --locked --all-targets -- -D warnings
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --no-deps --quiet

# --- fuzzing, on the stable toolchain: make fuzz [TARGET=scan] [RUNS=1000000]

FUZZ_TARGETS := scan file deflated attributes rle jpeg_dct jpeg_lossless jpeg_ls jpeg2000 jpeg_xl recipe out_json out_table
RUNS ?= 5000
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
FUZZER = fuzz/target/$(HOST)/release/fuzz
# what cargo-fuzz passes, but for a sanitizer: counters of branches, and what is compared
FUZZ_RUSTFLAGS := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
  -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1
# the oracle: memory in MiB, seconds for one input
FUZZ_LIMITS := -rss_limit_mb=512 -malloc_limit_mb=64 -timeout=5

fuzz-build:
	@CARGO_TARGET_DIR=fuzz/target RUSTFLAGS="$(FUZZ_RUSTFLAGS)" \
	  $(CARGO) build --release --quiet --manifest-path fuzz/Cargo.toml --target $(HOST)
	@[ -d fuzz/corpus ] || SEEDS=fuzz/corpus $(FUZZER)

fuzz: fuzz-build
	@for target in $(or $(TARGET),$(FUZZ_TARGETS)); do \
	  mkdir -p fuzz/corpus/$$target fuzz/artifacts/$$target; \
	  echo "== $$target"; \
	  TARGET=$$target $(FUZZER) fuzz/corpus/$$target $(FUZZ_LIMITS) -max_len=4096 -runs=$(RUNS) \
	    -artifact_prefix=fuzz/artifacts/$$target/ -print_final_stats=1 2> fuzz/artifacts/$$target.log \
	    || { tail -40 fuzz/artifacts/$$target.log; exit 1; }; \
	  grep -E 'stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb)' fuzz/artifacts/$$target.log; \
	done

# all cases of the promises about faults; `make test` tries every n-th.
FAULTS := power_loss fault_injection syscalls disks equivalence::sixty_runs

faults:
	@DCMSHARD_ALL_FAULTS=1 $(CARGO) test --release --locked --test promises -- --nocapture $(FAULTS)

# a thousand SIGKILLs at random instants
kills:
	@DCMSHARD_ALL_FAULTS=1 $(CARGO) test --release --locked --test promises -- --nocapture kills

# --- files that are made and committed

schemas: build
	@$(DCMSHARD) schema --write .

# the README's table of transfer syntaxes
table: build .venv/test.stamp
	@$(CARGO) build --release --locked --quiet --example stored_values
	@DCMSHARD_WRITE_TABLE=1 $(VENV_PYTHON) -m pytest tests/python/test_syntaxes.py -q

pictures: build .venv/test.stamp
	@rm -rf demo/pictures && mkdir -p demo/pictures docs
	@$(DCMSHARD) phantom demo/pictures/archive --heads 3 --slices 16
	@$(DCMSHARD) convert demo/pictures/archive --out demo/pictures/shards --set privacy=uids
	@$(VENV_PYTHON) docs/before_and_after.py demo/pictures/archive demo/pictures/shards docs/before-after.png

# --- benches

# CPU time of every kernel and stage, one thread
bench:
	@$(CARGO) bench --profile release --locked --quiet --bench kernels

# one process at a time, and of that one thread; arguments: ONLY="jpeg-ls .4.90"
bench-decode: build .venv/test.stamp
	@$(CARGO) build --release --locked --quiet --example stored_values
	@$(VENV_PYTHON) bench/decode.py $(STORED_VALUES) $(DCMSHARD) $(ONLY)

# --- the private Python environment; a stamp is newer than what it was made from, or is made again

.venv/examples.stamp: examples/requirements.txt
	@$(VENV_PYTHON) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check -r examples/requirements.txt
	@touch $@

.venv/test.stamp: requirements-test.txt .venv/examples.stamp
	@$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	@touch $@
