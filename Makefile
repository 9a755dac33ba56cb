PYTHON ?= python3
bin := .venv/bin
project := {{cookiecutter.project_slug}}
infrastructure := $(addsuffix .py,$(addprefix tests/test_,applying cloud deploy image infra locks names production publishing \
	secrets timing watcher workflows))
compile = $(bin)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
requirements := tests/requirements.txt '$(project)/tests/requirements.txt'
pip = $(1)/bin/python -m pip --quiet --quiet --disable-pip-version-check install --require-hashes $(addprefix --requirement ,$(2))
# uv takes a third of pip's time; it does not read what pip is told of an index of one's own: then pip does it.
packages = { ! $(1)/bin/python -m pip config list | grep '\.index-url=' >/dev/null && \
	sed -n '/^uv==/,/[^\\]$$/p' tests/requirements.txt > $(1)/uv.txt && $(call pip,$(1),$(1)/uv.txt) && \
	$(1)/bin/uv pip install --quiet --python $(1)/bin/python --compile-bytecode --require-hashes $(addprefix --requirement ,$(2)) || \
	$(call pip,$(1),$(2)); }
export PATH := $(CURDIR)/build/bin:$(PATH)

# Python, pip and uv look, and put things, where this Makefile says, whatever other tools have told them in this shell.
unexport CDPATH PYTHONHOME PYTHONPATH PYTHONSAFEPATH
unexport PIP_CONSTRAINT PIP_DRY_RUN PIP_EDITABLE PIP_NO_BINARY PIP_PREFIX PIP_PYTHON PIP_REQUIREMENT PIP_ROOT PIP_TARGET
unexport UV_CONSTRAINT UV_EXCLUDE_NEWER UV_NO_BINARY UV_OVERRIDE UV_PYTHON UV_SYSTEM_PYTHON
export PIP_USER := 0

.DEFAULT_GOAL := help
.PHONY: help setup install install-checkov python demo test lint conformance benchmarks checkov lock release clean infra-test

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: ## install the tools into .venv (the other commands do it when needed)
	@cat $(requirements) | cmp -s - .venv/requirements.txt || $(MAKE) --no-print-directory install

demo: build/.venv/requirements.txt ## generate a project into build/live-service and run it
	@build/.venv/bin/python -m tests.bakery build
	@$(MAKE) --no-print-directory -C build/live-service run

test: setup ## test the template and a freshly generated project; with ALL=1 a group this machine cannot run is a failure
	@$(bin)/python -m pytest --numprocesses auto

infra-test: setup checkov ## test image, Terraform, deploy script and workflows alone, and all of it: a second life of an environment, too
	@INFRA=full ALL=1 $(bin)/python -m pytest --numprocesses 2 $(infrastructure)

lint: setup ## check format, lint rules and types of the template and, in place, of what it generates
	@$(bin)/ruff format --check .
	@$(bin)/ruff check .
	@$(bin)/mypy
	@cd '$(project)' && ../$(bin)/ruff format --check --no-cache .
	@cd '$(project)' && ../$(bin)/ruff check --no-cache .
	@cd '$(project)' && ../$(bin)/mypy --cache-dir ../.mypy_cache/project

conformance: setup ## run the Autobahn test suite, and uvicorn's and Daphne's own, against the service (needs Python 2.7: PYTHON2=/path/to/it)
	@$(bin)/python conformance/run.py

checkov: ## install checkov into build/: the checks of Terraform need it
	@cmp -s tests/checkov.txt build/checkov/requirements.txt || $(MAKE) --no-print-directory install-checkov

benchmarks: setup ## measure the service beside its peers, half an hour of two cores; ARGS=--quick prints one short run
	@cd '$(project)' && PYTHONPATH=.. ../$(bin)/python -m benchmarks $(ARGS)

lock: setup ## pin the newest versions that both pyproject.toml allow
	@$(bin)/python -m tests.bakery build
	@$(MAKE) --no-print-directory -C build/live-service --assume-old setup lock bin='$(abspath $(bin))'
	@for room in service tests loadtests infra; do cp build/live-service/$$room/*requirements.txt '$(project)'/$$room/; done
	@$(compile) --upgrade --group dev --constraint '$(project)/tests/requirements.txt' --output-file tests/requirements.txt
	@$(compile) --upgrade --group checkov --output-file tests/checkov.txt
	@$(compile) --group demo --constraint tests/requirements.txt --output-file requirements.txt
	@$(compile) --upgrade --constraint '$(project)/tests/requirements.txt' --output-file benchmarks/requirements.txt benchmarks/requirements.in

release: setup ## store the template as it is committed: later updates are tested from there
	@$(bin)/python -m tests.release

clean: ## remove .venv, build and caches
	@rm -rf .venv build .mypy_cache .pytest_cache .ruff_cache

# .venv/requirements.txt is a copy of what was installed. pip is quiet because its remarks would bury the line that matters.
install install-checkov build/.venv/requirements.txt: export PYTHONWARNINGS :=
install: python
	@echo "installing the template's tools into $(CURDIR)/.venv (half a minute)"
	@$(PYTHON) -m venv --clear .venv
	@$(call packages,.venv,$(requirements))
	@cat $(requirements) > .venv/requirements.txt

install-checkov: python
	@echo "installing checkov into $(CURDIR)/build/checkov"
	@$(PYTHON) -m venv --clear build/checkov
	@$(call packages,build/checkov,tests/checkov.txt)
	@mkdir -p build/bin && ln -sf ../checkov/bin/checkov build/bin/checkov
	@cp tests/checkov.txt build/checkov/requirements.txt

# Of the tools, a demonstration needs cookiecutter alone.
build/.venv/requirements.txt: requirements.txt | python
	@$(PYTHON) -m venv --clear build/.venv
	@$(call pip,build/.venv,$<)
	@cp $< $@

python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 16))' 2>/dev/null || \
		{ echo "$(PYTHON) is not Python 3.11 to 3.15: install one of them, or name it: make PYTHON=python3.14" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) cannot make virtual environments: install its venv module (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
