# Everything a developer or a CI runs; `make help` lists it. Needs Python 3.11+ and a shell, nothing else.
PYTHON = python3
ARGS =
TEST_ARGS = -n 2 --dist loadfile
CHROMIUM =

PY = .venv/bin/python
MAKEFLAGS += --no-print-directory

# What a production environment looks like to `manage.py check --deploy`; keys, database and broker come from crm.local.run.
DEPLOYED = DEBUG=false PUBLIC_BASE_URL=https://crm.example.com ALLOWED_HOSTS=crm.example.com

# mypy's Django plugin loads the settings; nothing is connected to.
SETTINGS = SECRET_KEY=unused DATABASE_URL=postgresql://unused PUBLIC_BASE_URL=http://localhost \
	FIELD_ENCRYPTION_KEYS=unused:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA

.PHONY: help demo test soak check permissions pictures bench clean distclean local dev
.DEFAULT_GOAL = help

help:
	@echo 'make demo                    run everything on this machine until Ctrl-C'
	@echo 'make demo ARGS="--once"      the same, play one call, print one JSON line, end'
	@echo 'make demo ARGS="--help"      its other options'
	@echo 'make test                    the whole test suite; ARGS="tests/local -k postgres" for a part of it'
	@echo 'make soak                    the long forms: kill -9, outages of a minute, races (about two hours); prints counts'
	@echo 'make check                   format, lint, types, import contracts, migration drift, check --deploy'
	@echo 'make permissions             ask every address as everybody, and write docs/permissions.md'
	@echo 'make pictures                play the story of the browser tests, and take the pictures of the README from it'
	@echo 'make bench                   the benchmarks'
	@echo 'make clean                   remove local data and caches; distclean: .venv as well'
	@echo 'Another Python: make PYTHON=python3.12 ...'

local dev:
	@for python in $(PYTHON) python3.14 python3.13 python3.12 python3.11; do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			exec "$$python" crm/local/install.py $@; \
		fi; \
	done; \
	echo 'Python 3.11 or newer is needed, and $(PYTHON) is not: install it, or name it: make PYTHON=/path/to/python3.' >&2; exit 1

# `exec` and $$PPID: the demo ends with this make, even if make is killed.
demo: local
	@exec $(PY) -m crm.local.demo --end-with $$PPID $(ARGS)

test: dev
	@chromium=$$(CHROMIUM='$(CHROMIUM)' $(PY) -m crm.local.chromium) || exit 1; \
	if [ -n "$$chromium" ]; then CHROMIUM="$$chromium"; export CHROMIUM; else set -- -m 'not browser'; fi; \
	exec $(PY) -m pytest $(TEST_ARGS) "$$@" $(ARGS)

# Alone on the machine: it holds the 100 ms that the short forms stretch.
soak: dev
	@FAULT_ROUNDS=20 FAULT_SECONDS=60 FAULT_CUTS=500 FAULT_P99_MS=100 CALLBACK_ORDERS=500 RACE_ROUNDS=500 CLICK_ROUNDS=200 \
		STORM_ROUNDS=240 \
		$(PY) -m pytest -n 0 -s tests/faults tests/calls/test_reconcile.py tests/calls/test_orders.py \
		tests/calls/test_api.py tests/calls/test_storm.py $(ARGS)

check: dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(SETTINGS) $(PY) -m mypy
	.venv/bin/lint-imports
	$(DEPLOYED) $(PY) -m crm.local.run --fresh --migrate -- sh -c '$(PY) manage.py makemigrations --check --dry-run && $(PY) manage.py check --deploy --fail-level WARNING --database default'

permissions: dev
	@$(PY) -m pytest -n 0 -q tests/crm/test_permissions.py --write-permissions

pictures: dev
	@mkdir -p .data/pictures
	@SCREENSHOTS='$(CURDIR)/.data/pictures' $(MAKE) test TEST_ARGS='-n 0' ARGS=tests/browser/test_story.py
	@for one in $$(grep -o 'docs/pictures/[a-z-]*\.png' README.md | sort -u); do cp ".data/pictures/$${one##*/}" "$$one" || exit 1; done

bench: dev
	@$(PY) -m crm.local.run --fresh --migrate -- $(PY) -m bench $(ARGS)

clean:
	@if [ -x $(PY) ] && $(PY) -c 'import psycopg' 2>/dev/null; then $(PY) -m crm.local.clean; fi
	rm -rf .data .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage staticfiles
	find . -path ./.venv -prune -o -path ./.git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

distclean: clean
	rm -rf .venv
