# make run    everything set up, and the service on http://localhost:8666
# make test   everything set up, and the tests passed
# The rest is in CONTRIBUTING.md.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
PYTEST_WORKERS ?= 3
FUZZ_SECONDS ?= 60

.PHONY: run demo test crash-test fuzz container-test check format lock screenshots docs benchmark soak clean

run: $(VENV)/ready
	$(BIN)/rolltape serve

demo: $(VENV)/ready
	$(BIN)/rolltape demo

test: $(VENV)/dev-ready
	./tests/install-servers
	$(BIN)/pytest -n $(PYTEST_WORKERS) --dist worksteal

# Every step broken off, and refused, at each of its calls; `make test` tries a few of them. docs/reliability.md
crash-test: $(VENV)/dev-ready
	./tests/install-servers
	$(BIN)/python -m tests.crash

# All that reads what strangers sent, fed with anything, for FUZZ_SECONDS each. What crashed is kept in build/fuzz.
fuzz: $(VENV)/dev-ready
	$(PIP) --require-hashes -r requirements-fuzz.txt
	$(BIN)/python -m tests.fuzz $(FUZZ_SECONDS)

# Builds the image, runs it and takes it down again, with docker or podman. What this machine needs for that comes from
# the environment: CONTAINER_ENGINE, CONTAINER_BUILD_OPTIONS, CONTAINER_RUN_OPTIONS, CONTAINER_COMPOSE_OPTIONS.
container-test: $(VENV)/dev-ready
	./tests/install-servers
	$(BIN)/pytest -o addopts="-q --strict-markers --strict-config" tests/container

check: $(VENV)/dev-ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev-ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

benchmark: $(VENV)/dev-ready
	@echo "Each prints its own table; see docs/performance.md:"
	@grep -l __main__ benchmarks/*.py | sed "s|^|  $(BIN)/python |"

# Half an hour of faults, with a plot of it into docs/images; wants root. SOAK_OPTIONS="--minutes 5" makes it shorter.
soak: $(VENV)/dev-ready
	./tests/install-servers
	$(BIN)/python benchmarks/soak.py $(SOAK_OPTIONS)

# Every page in both themes and at both widths, into build/screenshots; the best of them into docs/images.
screenshots: $(VENV)/dev-ready
	./tests/install-servers
	$(BIN)/python docs/screenshots.py

# The parts of the documents that the program knows best: settings, routes, error codes.
docs: $(VENV)/dev-ready
	$(BIN)/python docs/reference.py

# Pins with hashes and without addresses; wants uv.
lock:
	for group in "pyproject.toml -o requirements.txt" "--group dev pyproject.toml -o requirements-dev.txt" \
	    "requirements-build.in -o requirements-build.txt" "requirements-fuzz.in -o requirements-fuzz.txt"; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	    --no-emit-index-url $$group || exit 1; \
	done

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(VENV)/ready: requirements.txt requirements-build.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Rolltape needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r requirements-build.txt
	$(PIP) --require-hashes -r requirements.txt
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/dev-ready: $(VENV)/ready requirements-dev.txt
	$(PIP) --require-hashes -r requirements-dev.txt
	touch $@
