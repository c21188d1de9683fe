# make demo: the whole way on a lab of three machines.   make test: every check and test.   make help: the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help prerequisites setup demo down lint sanity unit contract oldest test-fast test-lab test-molecule test test-chaos bench build

BIN := .venv/bin
LAB := $(BIN)/python tests/lab/lab
PYTEST := $(BIN)/python -m pytest
# A file's tests stay together: they share an API server.
PARALLEL := -n 2 --dist loadfile
PASSWORD_FILE := 'import json, sys; print(json.load(sys.stdin)["vault_password_file"])'
# Arguments for ansible-playbook in `make demo`, such as ARGS="--check --diff".
ARGS ?=
# How the demo's machines come up: switched off, each with a BMC that site.yml boots it by; empty: in maintenance mode.
UP ?= --powered-off
# Scenarios for `make test-molecule`; empty: those that CI runs.
SCENARIOS ?=

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

setup: ## Make the Python environments .venv and .venv-oldest
	@tests/setup

prerequisites:
	@tests/prerequisites

demo: prerequisites setup ## Bring up the lab's three machines and run site.yml on them
	@echo "demo: building the lab's tools (the first time takes 20-40 minutes)"; $(LAB) build
	@echo "demo: bringing up the machines"; $(LAB) up $(UP)
	@export PATH="$$PWD/$(BIN):$$($(LAB) bin):$$PATH" ANSIBLE_VAULT_PASSWORD_FILE="$$($(LAB) inventory | $(BIN)/python -c $(PASSWORD_FILE))"; \
	 echo "demo: ansible-playbook site.yml -i inventory/lab $(ARGS)"; \
	 ansible-playbook site.yml -i inventory/lab $(ARGS); \
	 echo "demo: to go on by hand:"; \
	 echo "  export PATH=$$PWD/$(BIN):$$($(LAB) bin):\$$PATH ANSIBLE_VAULT_PASSWORD_FILE=$$ANSIBLE_VAULT_PASSWORD_FILE"; \
	 echo "  ansible-playbook site.yml -i inventory/lab          # again: changed=0"; \
	 echo "  tests/lab/lab ceph status                           # the real Ceph on the machines' disks"; \
	 echo "  tests/lab/lab status                                # make down ends it"

down: setup ## Take the lab down
	@echo "down: ending the lab"; $(LAB) down

lint: setup ## ruff, mypy, yamllint, ansible-lint (production profile)
	@echo "lint: ruff"; $(BIN)/ruff check . && $(BIN)/ruff format --check .
	@echo "lint: mypy"; $(BIN)/mypy
	@echo "lint: yamllint"; $(BIN)/yamllint --strict .
	@echo "lint: ansible-lint"; PATH="$$PWD/$(BIN):$$PATH" ansible-lint --nocolor -q

sanity: setup ## ansible-test sanity, as far as it runs without containers
	@echo "sanity: ansible-test"; $(BIN)/python tests/sanity/run

unit: setup ## Tests of pure code: seconds
	@echo "unit: pytest"; $(PYTEST) $(PARALLEL) tests/unit

contract: prerequisites setup ## Tests against the real talosctl, Kubernetes API server and ansible-playbook
	@echo "contract: building the tools they need"; $(LAB) build
	@echo "contract: pytest"; $(PYTEST) $(PARALLEL) tests/contract

oldest: setup ## Unit and contract tests on the oldest ansible-core
	@echo "oldest: pytest"; .venv-oldest/bin/python -m pytest $(PARALLEL) -m "not newest_only" tests/unit tests/contract

test-fast: prerequisites lint ## What to run before a commit: lint, unit and contract tests but the slow ones; under 3 minutes
	@echo "test-fast: building the tools they need"; $(LAB) build
	@echo "test-fast: pytest"; $(PYTEST) $(PARALLEL) -m "not slow" tests/unit tests/contract

test-lab: prerequisites setup ## End-to-end tests on the lab's machines
	@echo "test-lab: building the lab's tools"; $(LAB) build
	@echo "test-lab: pytest"; $(PYTEST) -m "not chaos" tests/lab/tests

test-molecule: prerequisites setup ## Components one by one on a cluster of kind (SCENARIOS="loki alloy", or all)
	@echo "test-molecule: building the tools"; $(BIN)/python tests/kind/kind build
	@echo "test-molecule: pytest"; TRINODE_MOLECULE_SCENARIOS="$(SCENARIOS)" $(PYTEST) -v --durations=0 tests/molecule

test: prerequisites lint sanity ## Everything but chaos
	@echo "test: building the tools of the lab and of kind"; $(LAB) build; $(BIN)/python tests/kind/kind build
	@echo "test: unit and contract tests on the oldest ansible-core"; .venv-oldest/bin/python -m pytest $(PARALLEL) -m "not newest_only" tests/unit tests/contract
	@echo "test: kind and the lab"; $(PYTEST) -m "not chaos" tests/molecule tests/lab/tests
	@echo "test: unit and contract tests"; $(PYTEST) $(PARALLEL) tests/unit tests/contract

test-chaos: prerequisites setup ## The long ones: many interrupted runs, upgrades, restores, stop and start, a rebuild
	@echo "test-chaos: building the lab's tools"; $(LAB) build
	@echo "test-chaos: pytest"; $(PYTEST) -m chaos tests

bench: prerequisites setup ## Side by side with kubectl, kubernetes.core and a bare loop; writes docs/performance.md
	@echo "bench: building the tools they need"; $(LAB) build
	@PATH="$$PWD/$(BIN):$$($(LAB) bin):$$PATH" PYTHONPATH=.collections:tests/contract:tests/bench $(BIN)/python tests/bench/run

build: setup ## Build the collection's archive
	@$(BIN)/ansible-galaxy collection build --force
