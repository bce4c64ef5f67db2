# Loadline: `make help` says what there is. Every phase prints what it does and how long it took.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

NAME ?= loadline
CACHE := $(or $(LOADLINE_CACHE),$(HOME)/.cache/loadline)
VENV := .venv
TRAIN := .venv-train
CLIENTS := .venv-clients
PYTHON := $(VENV)/bin/python
CLUSTER := $(PYTHON) -m loadline_cluster
MEMBERS := platform/contracts operators serving tools/cluster tools/results tools/bench
PHASE := tools/phase
# pip's and uv's downloads, shared by every clone on the machine.
export UV_CACHE_DIR := $(CACHE)/uv
export UV_LINK_MODE := copy
export PATH := $(CURDIR)/$(VENV)/bin:$(CACHE)/bin:$(PATH)

BENCH := $(PYTHON) -m loadline_bench
PAGES = $(PYTHON) -m loadline_results page && $(BENCH) page
# What a run of the benchmark is narrowed to: make bench-serving ROUNDS=1 SECONDS=2 ONLY=loadline,fastapi
BENCH_OPTIONS = $(and $(ONLY),--peers $(ONLY)) $(and $(MODELS),--models $(MODELS)) $(and $(PROTOCOLS),--protocols $(PROTOCOLS)) \
  $(and $(CONCURRENCY),--concurrency $(CONCURRENCY)) $(and $(SECONDS),--seconds $(SECONDS)) $(and $(ROUNDS),--rounds $(ROUNDS))

.PHONY: help init demo up down images image-gpu generate check test test-long unit fuzz programs train clients clean \
  bench-peers bench-serving bench-serving-memory bench-serving-cold-start

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-24s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

init: $(VENV)/.ready ## Make .venv with everything that developing needs

$(VENV)/.ready: requirements/uv.txt requirements/dev.txt $(MEMBERS:%=%/pyproject.toml)
	@$(PHASE) "Python environment" tools/make-venv $(VENV) requirements/dev.txt $(MEMBERS)
	@touch $@

train: $(TRAIN)/.ready ## Make .venv-train with torch and the training libraries

$(TRAIN)/.ready: $(VENV)/.ready requirements/train.txt
	@$(PHASE) "Training environment (torch: 5 GB)" tools/make-venv $(TRAIN) requirements/train.txt
	@touch $@

clients: $(CLIENTS)/.ready ## Make .venv-clients with a V2 client that other people wrote

$(CLIENTS)/.ready: $(VENV)/.ready requirements/clients.txt
	@$(PHASE) "Clients' environment" tools/make-venv $(CLIENTS) requirements/clients.txt
	@touch $@

programs: init ## Put kubectl, kind, helm and the other programs into the cache
	@$(PHASE) "Programs" $(CLUSTER) programs

images: init ## Build the project's images whose contents changed
	@$(PHASE) "Images" $(CLUSTER) images

image-gpu: init ## Build the serving image with CUDA (several GB); the chart's value images.servingGpu takes its name
	@$(PHASE) "Image for GPUs" $(CLUSTER) images serving-gpu

up: init ## Raise the cluster NAME (default loadline, at localhost:8080) with Loadline in it
	@$(PHASE) "Cluster $(NAME)" $(CLUSTER) up --name $(NAME)
	@$(PHASE) "Images" $(CLUSTER) images
	@$(PHASE) "Images to the nodes" $(CLUSTER) load --name $(NAME)
	@$(PHASE) "Chart" tools/install-chart $(NAME)

down: init ## Remove the cluster NAME
	@$(CLUSTER) down --name $(NAME)

demo: init train up ## Show it all: train, register, serve, compare
	@$(PHASE) "Demo" $(PYTHON) examples/demo.py

generate: init ## Write what follows from other files: CRDs, requirement files, protocol code
	@tools/generate/all

check: init ## Lint, types, import contracts, generated files, age of measurements
	@$(PHASE) "ruff" ruff check .
	@$(PHASE) "ruff format" ruff format --check .
	@$(PHASE) "mypy" mypy
	@$(PHASE) "import contracts" lint-imports
	@$(PHASE) "generated files" tools/generate/all --check
	@$(PHASE) "measurements" $(PYTHON) -m loadline_results check

unit: init ## Run the tests that need no cluster
	@$(PHASE) "Unit and contract tests" pytest -q tests/unit tests/contract

fuzz: init ## Look for SECONDS (default 60) for a message that breaks a parser; keep what reaches new code
	@$(PHASE) "Fuzzing" tools/fuzz $(or $(SECONDS),60)

test: ## From nothing to a verdict: everything that CI runs
	@tools/test

test-long: init ## Run the long forms of all measurements on the test cluster; resumable
	@$(MAKE) programs up NAME=loadline-test
	@$(PHASE) "Long forms" pytest -q -m long $(if $(ONLY),-k $(ONLY)) tests

bench-peers: init ## Install the servers that ours is measured against, and the load generators
	@$(PHASE) "Peers" tools/bench/install-peers $(CACHE)/bench

bench-serving: train bench-peers ## Measure serving beside its peers, cell by cell, resumable
	@status=0; $(PHASE) "Serving beside its peers" $(BENCH) measure $(BENCH_OPTIONS) || status=$$?; $(PAGES); exit $$status

bench-serving-memory: train bench-peers ## Measure whether memory stays flat over 1,000,000 requests and bad ones
	@status=0; $(PHASE) "Memory" $(BENCH) memory $(and $(REQUESTS),--requests $(REQUESTS)) || status=$$?; $(PAGES); exit $$status

bench-serving-cold-start: train bench-peers ## Measure how soon the first answer comes
	@status=0; $(PHASE) "Cold start" $(BENCH) cold-start $(and $(ROUNDS),--rounds $(ROUNDS)) || status=$$?; $(PAGES); exit $$status

clean: ## Remove the environments of this clone; caches and clusters stay
	rm -rf $(VENV) $(TRAIN) $(CLIENTS)
