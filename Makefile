# Two commands for everybody: `make demo` and `make test`. Both make .venv first, from the exact versions of the lock.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint types unit faults bench sizes scoring bench-gpu ingest steady session cameras calibration evaluate frontier \
  promise kinds taxonomy pictures clean

demo: $(VENV)/ready
	$(BIN)/framewatch demo

test: lint types unit

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready
	$(BIN)/mypy

# Two workers: many tests start the whole daemon, which is at home on two cores.
unit: $(VENV)/ready
	$(BIN)/python -m pytest -q -n 2 --dist worksteal --ignore tests/faults

# What must survive a kill, a full disk, a flood: minutes each. One at a time, since each keeps the machine busy.
faults: $(VENV)/ready
	$(BIN)/python -m pytest -q tests/faults

# Benchmarks print ratios against a baseline of the same run; they are not tests.
bench: $(VENV)/ready
	$(BIN)/framewatch bench

# The two pictures of docs/performance.md: about half an hour. `--draw` draws again what build/frame-sizes.json holds.
sizes: $(VENV)/ready
	@mkdir -p build
	$(BIN)/python -m tests.benchmarks.frame_sizes --json build/frame-sizes.json --pictures docs/pictures

scoring: $(VENV)/ready
	$(BIN)/python -m tests.benchmarks.scoring_cost

ingest: $(VENV)/ready
	$(BIN)/python -m tests.benchmarks.ingest_rate
	$(BIN)/python -m tests.benchmarks.batch_cost

# Ten million frames: a quarter of an hour of two cores.
steady: $(VENV)/ready
	$(BIN)/python -m tests.benchmarks.steady_state

# Scores of a GPU against float64 on the processor, and how many a second; exit status 2 without one.
bench-gpu: $(VENV)/ready
	@mkdir -p build
	$(BIN)/python -m tests.benchmarks.gpu --json build/gpu.json

cameras: $(VENV)/ready
	$(BIN)/python -m tests.benchmarks.camera_rate

session: $(VENV)/ready
	$(BIN)/python -m tests.benchmarks.session

calibration: $(VENV)/ready
	$(BIN)/python -m tests.benchmarks.calibration_time
	$(BIN)/python -m tests.benchmarks.limits_time

# The tables of docs/detection.md; the real frames of docs/data.md where FRAMEWATCH_DATA names their folder.
evaluate: $(VENV)/ready
	$(BIN)/python -m tests.benchmarks.evaluate --out docs/detection.md

# The tables and pictures of docs/networks.md: about an hour of one core; a second run goes on from those trainings in
# build/frontier.json that the same sources of models/ and calibration/ made.
frontier: $(VENV)/ready
	@mkdir -p build
	$(BIN)/python -m tests.benchmarks.frontier --json build/frontier.json --out docs/networks.md

# The tables and the picture of docs/limits.md: the better part of an hour of one core. What was measured is kept in
# build/, and `--from` in place of `--json` writes it again.
promise: $(VENV)/ready
	@mkdir -p build
	$(BIN)/python -m tests.benchmarks.promise --json build/promise-streams.json --out docs/limits.md
	$(BIN)/python -m tests.benchmarks.promise.camera --json build/promise-camera.json --out docs/limits.md
	$(BIN)/python -m tests.benchmarks.unseen_groups --json build/promise-groups.json --out docs/limits.md

# The tables of docs/taxonomy_embeddings.md, from the recorded frames of docs/data.md: a quarter of an hour of one core.
kinds: $(VENV)/ready
	@mkdir -p build
	$(BIN)/python -m tests.benchmarks.kinds_real --json build/kinds.json --out docs/taxonomy_embeddings.md

# The tables of docs/taxonomy.md: about half an hour of one core. The networks of the first run are kept in build/.
taxonomy: $(VENV)/ready
	@mkdir -p build
	$(BIN)/python -m tests.benchmarks.taxonomy --bundle build/taxonomy --json build/taxonomy.json --out docs/taxonomy.md
	$(BIN)/python -m tests.benchmarks.taxonomy.grouping --bundle build/taxonomy --json build/grouping.json --out docs/taxonomy.md
	$(BIN)/python -m tests.benchmarks.taxonomy.stem --bundle build/stem --json build/stem.json --out docs/taxonomy.md

# The pictures of docs/cameras.md and docs/taxonomy_embeddings.md.
pictures: $(VENV)/ready
	$(BIN)/python -m docs.draw_cameras
	$(BIN)/python -m docs.draw_turned

$(VENV)/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "framewatch needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) --version); try make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "$(PYTHON) lacks its venv module; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "making $(VENV) from requirements.lock: a minute or two, longer where a CUDA build of torch is fetched"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

clean:
	rm -rf $(VENV) demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
