# The two commands a newcomer needs: make demo, make test.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
PORT ?= 8000

.PHONY: help frontend demo test check bench lab-test outages journeys pages slow fuzz chaos load rescue-image rescue-image-test messages lock licences sbom audit clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

frontend:
	@scripts/frontend

demo: $(VENV)/.runtime frontend ## run the panel with a look-alike cloud on http://127.0.0.1:8000 (PORT= changes it)
	@PORT=$(PORT) exec $(RUN) -m rescuepanel.supervisor

test: $(VENV)/.dev ## run all checks and tests
	@scripts/test

check: $(VENV)/.dev ## run linters, types, import contracts, migrations, templates, translations
	@scripts/check

lab-test: $(VENV)/.dev ## run the flow and the contract suite against the real OpenStack lab
	$(RUN) -m pytest -m 'lab and not apart' -n 0 tests

outages: $(VENV)/.dev ## rescue through the panel while parts of the real OpenStack lab are away
	$(RUN) -m pytest -m 'lab and apart' -n 0 -s tests/lab

bench: $(VENV)/.dev ## measure side by side what has a bound (click to ready needs the OpenStack lab)
	$(RUN) -m tests.bench

chaos: $(VENV)/.dev ## break everything while machines are rescued and left (CHAOS_MINUTES, CHAOS_SEED)
	nice -n 10 $(RUN) -m tests.chaos

load: $(VENV)/.dev ## let five hundred pages look on at two hundred rescues while everything breaks (LOAD_MINUTES)
	nice -n 5 $(RUN) -m tests.chaos.load

journeys: $(VENV)/.dev ## drive the running demo in a headless browser
	$(RUN) -m pytest -m journey -n 0 tests

pages: $(VENV)/.dev ## look at every page in both languages, light and dark, phone and desk (SHOTS= keeps pictures)
	$(RUN) -m pytest -m pages -n 0 tests/journeys

fuzz: $(VENV)/.dev ## send anything from clouds, machines and browsers (FUZZ_MINUTES= for each part, FUZZ_SEED=)
	$(RUN) -m tests.fuzz

rescue-image: ## build the rescue image, as root on Debian (FRESH=1: anew, with today's packages)
	@rescue-image/build

rescue-image-test: $(VENV)/.dev ## start the rescue image in QEMU and rescue a server with it
	@rescue-image/system-packages
	$(RUN) -m pytest -m image -n 0 tests/rescue_image

slow: $(VENV)/.dev ## try what make test has no time for: restore, upgrade, three hundred rescues, each point to die at
	$(RUN) -m pytest -n 0 tests/restore tests/instances/bulk/test_many.py tests/chaos/test_kill.py

messages: $(VENV)/.dev ## gather the texts to translate and compile the catalogues
	DEMO=1 DEMO_DIR=.cache/check $(RUN) manage.py makemessages --locale fr --no-obsolete --ignore '.venv/*' --ignore 'tests/*' --ignore 'node_modules/*'
	DEMO=1 DEMO_DIR=.cache/check $(RUN) manage.py compilemessages --locale fr --ignore .venv

lock: $(VENV)/.dev ## renew requirements*.lock from pyproject.toml
	@scripts/lock

licences: $(VENV)/.dev ## write docs/licences.md; fail for a licence that nobody has judged
	@$(RUN) scripts/licences.py

sbom: $(VENV)/.dev ## write sbom.cdx.json, the list of what a panel consists of (CycloneDX)
	@$(RUN) scripts/sbom.py

audit: $(VENV)/.dev ## look every locked library up for known vulnerabilities (needs the network)
	@$(RUN) scripts/audit.py

clean: ## remove the demo's data, caches and the virtual environment
	rm -rf .demo .demo-* .cache .coverage* htmlcov staticfiles test-results $(VENV)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@scripts/make-venv $(PYTHON) $(VENV)

$(VENV)/.runtime: requirements.lock | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@scripts/system-packages
	@scripts/frontend
	@touch $@ $(VENV)/.runtime
