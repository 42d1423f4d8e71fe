# `make serve` and `make test` set up what they need. Everything goes into .venv folders; `make clean` removes them.

PYTHON ?= python3
VENV := .venv
# The official client comes in two generations that cannot share an environment.
VENV_MISTRALAI1 := .venv-mistralai1
# Tests of one file share models and servers, so files are what is divided between the processes, in the order of
# tests/conftest.py.
IN_PARALLEL := --numprocesses 2 --dist loadfile --no-loadscope-reorder
# An engine that is built without regard to this processor: it computes with AVX2 where it could with AVX-512.
VENV_PORTABLE := .venv-portable
# llama.cpp is built for what is here: auto, cuda, metal, hip, vulkan or cpu.
BACKEND ?= auto
ENGINE_VERSION := $(shell sed -n 's/^llama-cpp-python==//p' constraints.txt)
ENGINE = src/ponant/doctor/backends.py $(BACKEND) --version $(ENGINE_VERSION)
# Schemathesis, which `make hostile` runs as a program.
VENV_HOSTILE := .venv-hostile
PIP := -m pip install --disable-pip-version-check --constraint constraints.txt

# Tests start hundreds of Python processes. Without bytecode files each one would compile every module.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: serve wheel pages test browser pictures unit soak test-builds test-threads test-portable faults compat samples swift-samples hostile lint types check clean

# Targets that need the JavaScript libraries of the pages fetch them first. Without a network, all works but the pages.
PAGES := $(VENV)/bin/python src/ponant/pages/vendor.py

serve: $(VENV)/.serve
	@$(PAGES) || true
	@exec $(VENV)/bin/ponant serve $(ARGS)

# A file to install Ponant from, with or without extras, in any environment and on any machine: see README.md, Install.
# It has the libraries of the pages.
wheel: | $(VENV)/bin/python
	$(PAGES)
	$(VENV)/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@echo "Install it: python3 -m pip install --constraint constraints.txt '$$(ls -t dist/ponant-*.whl | head -1)[smollm2,embed]'"

# Fetches the JavaScript libraries of the pages: exact versions, with checked hashes, into a folder that git ignores.
pages: | $(VENV)/bin/python
	$(PAGES)

test: $(VENV)/.dev $(VENV_MISTRALAI1)/.ready
	@$(PAGES) || true
	$(VENV)/bin/python -m pytest $(IN_PARALLEL) $(ARGS)

# The pages in a browser: Debian's Chromium. Screenshots are written to browser/screenshots.
browser: $(VENV)/.dev
	$(PAGES)
	$(PAGES) --group tests --into browser/vendor
	$(VENV)/bin/python -m pytest browser $(ARGS)

# The pictures of the README, of a server with the bundled model that has trained and answered.
pictures: $(VENV)/.dev
	$(PAGES)
	$(VENV)/bin/python -m browser.pictures

unit: $(VENV)/.dev
	$(VENV)/bin/python -m pytest $(IN_PARALLEL) tests/engine tests/prompts tests/completion $(ARGS)

# All tests with their longer trials (tests/soak.py): processes killed at twenty random moments, the bundled model trained
# by the official client, all calls of the client in all ways, more random examples and rounds, and an hour of mixed
# traffic (tests/soaking; PONANT_SOAK_MINUTES=5 shortens it, ARGS="-s tests/soaking" runs that alone).
soak: $(VENV)/.dev $(VENV_MISTRALAI1)/.ready
	PONANT_SOAK=1 $(VENV)/bin/python -m pytest $(IN_PARALLEL) $(ARGS)

# All tests in a random order of files, with another number of threads and on another build of the engine: none may
# depend on what rounding makes of a model's words. SEED=... makes an order again.
SEED := $(shell date +%s)
test-builds: test-threads test-portable

test-threads: $(VENV)/.dev $(VENV_MISTRALAI1)/.ready
	PONANT_TEST_THREADS=2 PONANT_TEST_SHUFFLE=$(SEED) $(VENV)/bin/python -m pytest $(IN_PARALLEL) $(ARGS)

test-portable: $(VENV_PORTABLE)/.dev $(VENV_MISTRALAI1)/.ready
	PONANT_TEST_THREADS=3 PONANT_TEST_SHUFFLE=$(SEED)1 $(VENV_PORTABLE)/bin/python -m pytest $(IN_PARALLEL) $(ARGS)

# Runs tests with each of the seeded faults in turn: all must be caught. ARGS="no-restart leaked-cell" runs some of them,
# ARGS=--whole runs the daily suite with each, not the tests that faults/seeded.py names.
faults: $(VENV)/.dev
	$(VENV)/bin/python -m faults.run $(ARGS)

# Other people's clients, some of which need Node. ARGS="openai llm" runs some of them, ARGS=--write writes what they show
# into the page.
compat: $(VENV)/.dev
	$(VENV)/bin/python -m compat.run $(ARGS)

# Runs the code samples of the document and of POST /pages/code, in all languages for which there are programs here, and
# compares the requests that arrive. ARGS="-k java" runs some of them.
samples: $(VENV)/.dev $(VENV_MISTRALAI1)/.ready
	$(VENV)/bin/python -m pytest samples_run $(ARGS)

# Typechecks the samples in Swift, where there is a compiler.
swift-samples: $(VENV)/.dev
	$(VENV)/bin/python -m pytest samples_run/test_swift.py $(ARGS)

# Odd, huge and broken requests, silent connections and killed processes: the short form checks counts, bytes and
# statuses in three minutes. FULL=1 sends many more requests and judges times, on a quiet machine, in half an hour;
# ARGS=--write writes its table into docs/reliability.md. ARGS="fields kills" runs some of the trials.
hostile: $(VENV)/.dev $(VENV_HOSTILE)/.ready
	$(VENV)/bin/python -m hostile.run $(if $(FULL),--full) $(ARGS)

lint: $(VENV)/.dev
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .

types: $(VENV)/.dev
	$(VENV)/bin/mypy

check: lint types test

clean:
	rm -rf $(VENV) $(VENV_MISTRALAI1) $(VENV_PORTABLE) $(VENV_HOSTILE) .venv-compat

$(VENV)/bin/python:
	@echo "Setting up $(VENV). The first time, this builds the llama.cpp engine, which takes minutes. Later starts take"
	@echo "seconds."
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip

# BACKEND=... on the command line builds the engine again if it was built for another one.
ifeq ($(origin BACKEND),command line)
$(VENV)/.serve $(VENV)/.dev: FORCE
FORCE:
endif

$(VENV)/.serve: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/python $(ENGINE)
	$(VENV)/bin/python $(PIP) --editable '.[smollm2,embed]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(VENV)/bin/python $(ENGINE)
	$(VENV)/bin/python $(PIP) --editable '.[smollm2,embed,dev]'
	@touch $@

$(VENV_PORTABLE)/.dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV_PORTABLE)
	CMAKE_ARGS="-DGGML_NATIVE=OFF" $(VENV_PORTABLE)/bin/python $(ENGINE)
	$(VENV_PORTABLE)/bin/python $(PIP) --editable '.[smollm2,embed,dev]'
	@touch $@

$(VENV_MISTRALAI1)/.ready: constraints.txt
	$(PYTHON) -m venv $(VENV_MISTRALAI1)
	$(VENV_MISTRALAI1)/bin/python -m pip install --quiet --disable-pip-version-check 'mistralai>=1.12,<2' 'pytest>=8.3'
	@touch $@

$(VENV_HOSTILE)/.ready: hostile/requirements.txt hostile/constraints.txt
	$(PYTHON) -m venv $(VENV_HOSTILE)
	$(VENV_HOSTILE)/bin/python -m pip install --quiet --disable-pip-version-check \
		--requirement hostile/requirements.txt --constraint hostile/constraints.txt
	@touch $@
