# The common tasks; continuous integration runs the same. Override PYTHON for another environment.
PYTHON ?= .venv/bin/python

.PHONY: coverage check fix test test-fast test-oldest docs bench look

check:  ## lint, format, types, generated docs
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) docs/generate.py --check

fix:  ## fix what a machine can fix
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

test:  ## the whole suite
	$(PYTHON) -m pytest

test-fast:  ## tests without processes, browsers and heavy libraries, for use while you write
	$(PYTHON) -m pytest -q --fast -n 2

coverage:  ## the whole suite with line coverage, at least 92%
	$(PYTHON) -m pytest --cov --cov-report=term

test-oldest:  ## the whole suite with the oldest versions that the ranges allow (7 GB, an hour)
	$(PYTHON) benchmarks/versions.py oldest build/oldest

docs:  ## write the generated pages, and build the site into build/site with warnings as errors
	$(PYTHON) docs/generate.py
	$(PYTHON) docs/build_site.py

bench:  ## print the benchmark tables (minutes)
	$(PYTHON) benchmarks/metrics.py

look:  ## pictures of every tab and chart of the leaderboard, in light and dark mode and on a phone, in build/look
	$(PYTHON) benchmarks/look.py
