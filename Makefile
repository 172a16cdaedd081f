# One way to work; continuous integration runs the same. Override PYTHON for another environment.
PYTHON ?= .venv/bin/python

.PHONY: coverage check fix test test-fast test-oldest docs bench look

check:  ## lint, format, types, generated docs
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) docs/generate.py --check

fix:  ## what a machine can put right
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

test:  ## the whole suite
	$(PYTHON) -m pytest

test-fast:  ## what needs no processes, no browser and no heavy library: the loop while you write
	$(PYTHON) -m pytest -q --fast -n 2

coverage:  ## the whole suite, and how many lines its processes run: at least 92%
	$(PYTHON) -m pytest --cov --cov-report=term

test-oldest:  ## the whole suite at the oldest versions that the ranges allow (7 GB, an hour)
	$(PYTHON) benchmarks/versions.py oldest build/oldest

docs:  ## write the generated pages, and build the site into build/site with warnings as errors
	$(PYTHON) docs/generate.py
	$(PYTHON) docs/build_site.py

bench:  ## print the benchmark tables (minutes)
	$(PYTHON) benchmarks/metrics.py

look:  ## pictures of every tab and chart of the leaderboard, by day, by night and on a phone, in build/look
	$(PYTHON) benchmarks/look.py
