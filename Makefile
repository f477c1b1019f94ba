# Holdfast's two commands: `make demo` (what the tool is for, on real files, in a minute) and `make test`.
# PYTHON chooses the interpreter; each environment lives in its own folder and is made once.
PYTHON ?= python3
VENV ?= .venv
DEMO_VENV ?= .venv-demo
BIN = $(VENV)/bin
# A test that waits in C, where no signal is heard, ends its worker, which says where it stood.
HANGING = -o faulthandler_timeout=330 -o faulthandler_exit_on_timeout=true
STAMP = $(VENV)/.installed-test
DEMO_STAMP = $(DEMO_VENV)/.installed-demo

.PHONY: demo diagnose-score docs failures test test-long lint bench conformance doctor-matrix matrix zoo clean help

help:
	@sed -n 's/^## //p' Makefile

## demo          small install, then the doctor on checkpoints of several formats, sound and damaged
demo: $(DEMO_STAMP)
	@$(DEMO_VENV)/bin/python examples/demo.py

## test          every test but the long sweeps, with the real frameworks
test: $(STAMP)
	$(BIN)/python -m compileall -q src # for the hundreds of processes that tests start, also where Python may write none
	$(BIN)/python -m pytest -n $(or $(JOBS),2) --dist loadscope --max-worker-restart=0 $(HANGING) $(PYTEST_ARGS)

## test-long     fuzzing and the long sweeps
test-long: $(STAMP)
	$(BIN)/python -m pytest -m long -n $(or $(JOBS),2) $(PYTEST_ARGS)

## conformance   the table of formats against the shared zoo and files, and the small zoo of our own
conformance: $(STAMP)
	$(BIN)/python tests/conformance/table.py

## matrix        every mutation between saving and restoring, on every format: expected against got
matrix: $(STAMP)
	$(BIN)/python tests/matrix/table.py

## doctor-matrix each kind of damage on each format: what the doctor says of it, with totals
doctor-matrix: $(STAMP)
	$(BIN)/python tests/examine/damage_matrix.py

## lint          ruff and mypy
lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

## docs          docs/commands.md and docs/rules.md anew, from this version's own output
docs: $(STAMP)
	$(BIN)/python docs/generate_commands.py

## failures      docs/failures anew: each script of examples/failures really run under `holdfast run` (minutes)
failures: $(STAMP)
	$(BIN)/python docs/generate_failures.py

## diagnose-score  how many of the shared corpus' real failures get their cause, and which are confused
diagnose-score: $(STAMP)
	$(BIN)/python tests/diagnose/score.py all

## bench         every benchmark, as ratios against peers in the same run
bench: $(STAMP)
	for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[test]'
	@touch $@

$(DEMO_STAMP): pyproject.toml
	$(PYTHON) -m venv $(DEMO_VENV)
	$(DEMO_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(DEMO_VENV)/bin/python -m pip install --quiet -e .
	@touch $@

clean:
	rm -rf $(VENV) $(DEMO_VENV) .demo build dist
