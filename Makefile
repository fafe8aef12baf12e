# Everything a developer or a newcomer types. Each target makes its own .venv with a Python 3.13.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# Tests start hundreds of processes that import the same files: those are compiled once, whatever the shell around says.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
AZURITE := build/node/node_modules/.bin/azurite
AZURITE_VERSION := 3.37.0
AXE := build/axe/node_modules/axe-core
AXE_VERSION := 4.14.1
CHECKOV_VERSION := 3.3.30
KUSTO := build/node/node_modules/@kusto/language-service-next
KUSTO_VERSION := 12.4.1
PIP_AUDIT_VERSION := 2.10.1
AZ_VERSION := 2.91.0
PACKAGE ?= .

NAME ?=
SEEDS ?=
SEED ?=
MINUTES ?=
TRACE ?=
CASES ?=
MODULES ?=
NO_SKIPS ?=
FILE ?=
RUNS ?= 10
LOSS ?= 60
PYTEST := $(BIN)/python -m pytest $(if $(NO_SKIPS),--no-skips)

.PHONY: help setup tools demo host walk package agent simulator test browser check storm fuzz security model mutants chaos prove lab appliances handover networks constraints pins clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## make .venv with the first Python 3.13 found, and install everything

$(STAMP): requirements.txt constraints.txt pyproject.toml nva_agent/pyproject.toml
	@python=$$(sh .ci/find-python) && if [ ! -x $(BIN)/python ]; then "$$python" -m venv $(VENV); fi
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --compile \
	  --constraint constraints.txt --requirement requirements.txt --editable '.[dev]' --editable './nva_agent[exabgp]'
	@touch $@

tools: ## install what the tests can use and is missing: Debian packages, as root
	@.ci/install-tools

demo: $(STAMP) ## watch two NVAs fail over on this machine (KEEP=1 keeps it running afterwards; PACKAGE=... as for host)
	@$(BIN)/python -m lab.demo --package $(PACKAGE) $(if $(KEEP),--keep)

host: $(STAMP) ## serve the Function App on 127.0.0.1:7071 over the simulator, with two NVAs (PACKAGE=a zip or directory runs that one)
	@$(BIN)/python -m lab.serve --package $(PACKAGE)

walk: $(STAMP) az ## serve what the first walk of docs/operating.md needs: NVAs, no topology yet, and Azure's command line
	@mkdir -p build
	@$(BIN)/python -m lab.walk

package: $(STAMP) ## build/hopkeeper.zip, what is deployed, with its libraries; build/package, the same; its bill of materials
	@$(BIN)/python -m tools.release.package

agent: $(STAMP) ## build/hopkeeper-agent.pyz and the agent's wheel, for an NVA
	@$(BIN)/python -m tools.release.agent

simulator: ## build the wheel of the simulated Azure, for use without Hopkeeper (docs/simulator.md); installs nothing
	@"$$(sh .ci/find-python)" -m tools.release.simulator

test: $(STAMP) azurite az axe ## run the tests, but those that `check`, `browser` and `security` run (NO_SKIPS=1 fails if one is left out, as CI does)
	@mkdir -p build
	@$(PYTEST) --numprocesses 3 --dist loadfile --no-loadscope-reorder --ignore tests/infra --ignore tests/browser/test_page_live.py --ignore tests/lab/test_rotation.py

browser: $(STAMP) axe ## the page in a headless Chromium, also over the whole stack; screenshots in build/browser
	@$(PYTEST) tests/browser

.PHONY: stories story
stories: $(STAMP) ## list the stories: one example each, told over the simulated Azure on virtual time
	@$(BIN)/python -m proving.stories

story: $(STAMP) ## tell one (NAME=active-passive; NAME=all for every one)
	@$(BIN)/python -m proving.stories $(NAME)

.PHONY: gameday report
gameday: $(STAMP) ## every fault of every example over the simulated Azure, with Hopkeeper and without (FILE=... of one): build/gameday
	@mkdir -p build/gameday; ended=0; for file in $(or $(FILE),examples/*.yaml); do echo "$$file"; \
	  $(BIN)/hopkeeper gameday "$$file" --html "build/gameday/$$(basename "$$file" .yaml).html" || ended=1; done; exit $$ended

report: $(STAMP) ## the game day that docs/gameday.md shows
	@$(BIN)/hopkeeper gameday examples/active-passive.yaml --json --html docs/gameday/active-passive.html > build/gameday.json
	@mv build/gameday.json contracts/documents/examples/gameday-active-passive.json

storm: $(STAMP) ## random, directed and exhaustive histories (SEEDS=n; SEED=k TRACE=1 replays one)
	@mkdir -p build
	@$(BIN)/python -m proving.storm $(if $(SEED),--profile random --seed $(SEED) $(if $(TRACE),--trace),$(if $(SEEDS),--seeds $(SEEDS)))

.PHONY: table
table: $(STAMP) ## what faults cost with Hopkeeper and without it, as in docs/proving.md, build/table.json
	@$(BIN)/python -m proving.storm.table

fuzz: $(STAMP) ## broken inputs for all that reads what comes from outside, SECONDS=... for each: build/fuzz
	@$(BIN)/python -m proving.fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED))

security: $(STAMP) azurite ## the tests of every known attack, by case, and of each key's exchange: build/security.json
	@$(BIN)/python -m proving.security

model: $(STAMP) ## check the protocol's model with Spin, where there is one
	@mkdir -p build
	@$(BIN)/python -m proving.model.protocol

mutants: $(STAMP) ## every patch of the protocol, and every generic mutant of the domain, must be noticed (MODULES="topology/* base/timing" tries some)
	@mkdir -p build
	@$(if $(MODULES),,$(BIN)/python -m proving.mutants)
	@$(BIN)/python -m proving.mutants.generic $(MODULES)

chaos: $(STAMP) ## kill -9 of the Functions host at each step of a failover, fifty times, then 105 troubles, in the real stack
	@mkdir -p build
	@$(BIN)/python -m proving.chaos

.PHONY: soak
soak: $(STAMP) ## troubles drawn from a seed, in the real stack, for MINUTES=60 (SEED=n draws others); memory and handles: build/soak.json
	@mkdir -p build
	@$(BIN)/python -m proving.chaos.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

.PHONY: bench
bench: $(STAMP) azurite ## how fast the app is, each case beside its floor (CASES="reaction ..." SAMPLES=n LONG=1): build/bench.json
	@$(BIN)/python -m proving.bench $(if $(CASES),--cases $(CASES)) $(if $(SAMPLES),--samples $(SAMPLES)) $(if $(LONG),--long)

prove: storm model mutants chaos ## all four at full size (an hour and a half)

lab: $(STAMP) azurite ## real daemons and packets in network namespaces, ours beside what users have today (root or user namespaces)
	@mkdir -p build
	@$(BIN)/python -m lab.packets --svg build/lab.svg
	@$(BIN)/python -m lab.networks

appliances: $(STAMP) azurite ## members without an agent in the packet lab, beside a plain probe (RUNS=10, LOSS=seconds with 10 % loss): build/appliances.json
	@mkdir -p build
	@$(BIN)/python -m lab.packets --runs $(RUNS) --loss $(LOSS) --out build/appliances.json --svg build/appliances.svg \
	  --only probe-5x2 watcher ours-appliances ours-appliances-witnessed ours-appliances-witnessed-at-once ours-web ours-web-two

handover: $(STAMP) ## what a load balancer admits in planned moves, by `handover`, with many flows: half an hour, build/handover.json
	@mkdir -p build
	@$(BIN)/python -m lab.handover

networks: $(STAMP) ## every example with BGP, hubs and dual-homed networks first: real daemons and packets, build/networks.json (CASES="..." plays some)
	@mkdir -p build
	@$(BIN)/python -m lab.networks $(CASES)

check: $(STAMP) checkov kusto ## ruff, mypy --strict, the import contracts, the budgets of the tree, the offline checks of infra/bicep
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mypy --python-version 3.11 nva_agent/hopkeeper_agent
	@$(BIN)/lint-imports --config pyproject.toml
	@bicep=$$(sh .ci/find-bicep) && "$$bicep" --version || true
	@$(PYTEST) --numprocesses 2 --dist load tests/infra tests/architecture/test_tree.py

.PHONY: checkov
checkov: # its checks of infra/bicep, in an environment of its own; without it they are skipped, and `check` says so
	@if [ ! -x build/checkov/bin/checkov ]; then \
	  python=$$(sh .ci/find-python) && "$$python" -m venv build/checkov && build/checkov/bin/python -m pip install --quiet \
	  --disable-pip-version-check checkov==$(CHECKOV_VERSION) || echo "checkov could not be installed: its tests will be skipped"; fi

.PHONY: pictures
pictures: browser ## docs/pictures/page.png, the page just after a failover
	@mkdir -p docs/pictures && cp build/browser/page.png docs/pictures/page.png

.PHONY: axe
axe: # what finds faults of a page for those who do not see it; without Node its tests are skipped
	@if [ ! -d $(AXE) ] && command -v npm >/dev/null; then \
	  npm install --silent --no-audit --no-fund --prefix build/axe axe-core@$(AXE_VERSION) \
	  || echo "axe-core could not be installed: its tests will be skipped"; fi

.PHONY: kusto
kusto: # Microsoft's own parser of KQL, for the queries of infra/bicep; without Node the tests that need it are skipped
	@if [ ! -d $(KUSTO) ] && command -v npm >/dev/null; then \
	  npm install --silent --no-audit --no-fund --prefix build/node @kusto/language-service-next@$(KUSTO_VERSION) \
	  || echo "the parser of KQL could not be installed: its tests will be skipped"; fi

.PHONY: az
az: # Azure's own command line, which the operating guide's walk uses; without it the walk's test is skipped, and `test` says so
	@if [ ! -x build/az/bin/az ]; then \
	  python=$$(sh .ci/find-python) && "$$python" -m venv build/az && build/az/bin/python -m pip install --quiet \
	  --disable-pip-version-check azure-cli==$(AZ_VERSION) || echo "azure-cli could not be installed: the walk's test will be skipped"; fi

.PHONY: azurite
azurite: # the storage twin of the tests; without Node what needs it is skipped, and `test` says so
	@if [ ! -x $(AZURITE) ] && command -v npm >/dev/null; then \
	  npm install --silent --no-audit --no-fund --prefix build/node azurite@$(AZURITE_VERSION) || echo "Azurite could not be installed: its tests will be skipped"; fi

constraints: $(STAMP) # pin what a fresh resolution gives
	@{ head -n 1 constraints.txt; $(BIN)/python -m pip freeze --exclude-editable; } > build/constraints.txt
	@mv build/constraints.txt constraints.txt

.PHONY: audit
audit: $(STAMP) # advisories for what is handed out; 2 where the advisory service did not answer for all of it
	@if [ ! -x build/audit/bin/pip-audit ]; then \
	  python=$$(sh .ci/find-python) && "$$python" -m venv build/audit && build/audit/bin/python -m pip install --quiet \
	  --disable-pip-version-check pip-audit==$(PIP_AUDIT_VERSION) || echo "pip-audit could not be installed"; fi
	@$(BIN)/python -m tools.release.audit --command build/audit/bin/pip-audit

pins: $(STAMP) # what the package and the agent bring, each wheel with its SHA-256, as the package index has it now
	@$(BIN)/python -m tools.release.pins

clean: ## remove what the targets made
	rm -rf $(VENV) build
