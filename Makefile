# Each target works on a fresh machine that has Python 3.11 or newer, pip and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# of the test suite; tests of one file stay together
JOBS ?= 2

.PHONY: quickstart test browser chaos check bench-latency bench-search bench-service format clean

quickstart: $(VENV)/installed
	$(BIN)/stairprune run configs/quickstart.yaml

test: $(VENV)/installed browser
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile \
	  --no-loadscope-reorder

# Tests of the page run in Debian's Chromium; without one they are skipped, and say so.
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null || if [ "$$(id -u)" = 0 ] \
	  && command -v apt-get >/dev/null; then \
	  apt-get update -qq && apt-get install -y -qq chromium >/dev/null; \
	else echo "no Chromium here: tests of the page are skipped"; fi

# some two hours: 300 kills per store, 200 harms to a cluster, 300 kills of the server, 20 seeds of
# real searches, 100,000 damaged files
chaos: $(VENV)/installed
	STAIRPRUNE_KILLS=300 $(BIN)/python -m pytest tests/test_jobs_chaos.py -k random
	STAIRPRUNE_KILLS=200 $(BIN)/python -m pytest tests/test_jobs_launchers.py -k random
	STAIRPRUNE_KILLS=50 $(BIN)/python -m pytest tests/test_jobs_full_disk.py
	STAIRPRUNE_SERVER_KILLS=300 $(BIN)/python -m pytest tests/test_service_serve.py -k kills
	STAIRPRUNE_SEEDS=20 $(BIN)/python -m pytest tests/test_service_chaos.py
	STAIRPRUNE_STAGES=all $(BIN)/python -m pytest tests/test_service_pipeline.py
	STAIRPRUNE_TRAIN_KILLS=50 STAIRPRUNE_SAVE_KILLS=300 $(BIN)/python -m pytest \
	  tests/test_training_resume.py -k "random or saving"
	FUZZ_TOTAL=100000 $(BIN)/python -m pytest tests/test_latency_tables_fuzz.py -k 100000

check: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# QUICK=1: five minutes instead of half an hour
bench-latency: $(VENV)/installed
	$(BIN)/python -m benchmarks.latency $(TABLE) $(if $(QUICK),--quick)

# all peers, ten seeds: some 40 minutes; a killed run continues. QUICK=1: minutes
bench-search: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[peers]"
	$(BIN)/python -m benchmarks.search.pricing
	$(BIN)/python -m benchmarks.search.exact
	$(BIN)/python -m benchmarks.search $(if $(QUICK),--quick)

# the server under load, on SQLite and PostgreSQL: two minutes
bench-service: $(VENV)/installed
	$(BIN)/python -m benchmarks.service $(if $(QUICK),--quick)

format: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) runs .mypy_cache .pytest_cache .ruff_cache
