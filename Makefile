# headgate. `make demo` to see it, `make test` to run what CI runs, `make check` for the fast part before a commit.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ifneq ($(words $(VENV)),1)
$(error VENV is one name without spaces, relative to the checkout)
endif
MARK := $(VENV)/.installed
# The same as users install it: compiled.
COMPILED := .venv-compiled
COMPILED_MARK := $(COMPILED)/.installed
SOURCES := $(shell find src -name '*.py' -o -name '*.c')

# One that waits for more than a minute, beside the others.
SILENT := tests/system/test_silent_stream.py
# Tests of what is compiled, which are run on both forms.
BOTH_FORMS := tests/wire tests/stream tests/upstream tests/server tests/plugins tests/test_timer_wheel.py

# Tests of whole processes, which take the machine to themselves.
APART := tests/system tests/runtime tests/browser tests/bench

.PHONY: demo test check bench bench-full bench-cost soak lint clean

demo: $(MARK)
	@exec $(BIN)/headgate demo

test: system-packages
	@$(MAKE) --no-print-directory $(MARK)
	@$(MAKE) --no-print-directory lint
	$(BIN)/pytest -q $(APART:%=--ignore=%) -n 2 --dist loadfile
	@$(MAKE) --no-print-directory $(COMPILED_MARK)
	@$(COMPILED)/bin/pytest -q $(SILENT) & silent=$$!; \
	$(COMPILED)/bin/pytest -q $(BOTH_FORMS) -n 2 --dist loadfile || { kill $$silent; exit 1; }; wait $$silent
	$(COMPILED)/bin/pytest -q $(APART) --ignore=$(SILENT)

check: $(MARK) lint
	$(BIN)/pytest -q -m "not slow" --ignore=tests/system --ignore=tests/runtime --ignore=tests/browser -n 2 --dist loadfile

lint: $(MARK)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# One worker beside NGINX, in under five minutes.
bench: $(COMPILED_MARK)
	@scripts/install-debian nginx-light:nginx
	$(COMPILED)/bin/python -m bench

# Every case with every peer, in about half an hour; renews docs/design/performance.md. Wants a machine that does nothing else.
bench-full: $(COMPILED_MARK)
	@scripts/install-debian nginx-light:nginx haproxy:haproxy caddy:caddy
	$(COMPILED)/bin/python -m bench --full --write-docs

# What the clocks and limits of streams cost; AGAINST=PATH also compares with another checkout.
bench-cost: $(MARK)
	@scripts/install-debian nginx-light:nginx
	$(BIN)/python -m bench --full --cases a --only guarded,plain,nginx $(if $(AGAINST),--against "$(AGAINST)")

# Ten minutes of everything that can happen to 2,000 streams; SOAK="--minutes 60" goes on for longer.
soak: $(MARK)
	$(BIN)/python -m bench.soak $(SOAK)

$(COMPILED_MARK): pyproject.toml setup.py scripts/create-venv $(SOURCES)
	@scripts/install-debian gcc:gcc python3-dev:python3-config
	@scripts/create-venv "$(PYTHON)" "$(COMPILED)" compiled
	@touch "$@"

.PHONY: system-packages
system-packages:
	@scripts/install-debian python3:$(PYTHON) curl:curl chromium:chromium nginx-light:nginx haproxy:haproxy caddy:caddy
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || scripts/install-debian python3-venv:

$(MARK): pyproject.toml scripts/create-venv
	@scripts/create-venv "$(PYTHON)" "$(VENV)"
	@touch "$@"

clean:
	rm -rf "$(VENV)" "$(COMPILED)" build .demo .headgate .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
