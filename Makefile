# Two commands: `make run` (install what is missing, build, run a real masked job, show the result) and `make test`.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PACKAGES := libopenblas-dev libhdf5-dev libzmq3-dev libsodium-dev pkg-config curl unzip ca-certificates python3-venv
BIN := .build/release
CACHE := .cache
PBMC := $(CACHE)/10x_pbmc68k_reduced.h5ad
LABORATORIES := $(CACHE)/federation/pbmc/genes.txt
MINILM := $(CACHE)/minilm/model.safetensors
LLAMA := $(CACHE)/random-llama/model.safetensors
BYTES := $(CACHE)/readme-bytes.h5
TEXTS := README.md docs/keys-and-privacy.md docs/transformers.md docs/operations.md docs/cluster.md
PYTHON := .venv/bin/python
# Where PyTorch, which is large, is not needed.
SMALL_PYTHON := $(if $(wildcard $(PYTHON)),$(PYTHON),$(CACHE)/python/bin/python)

.PHONY: help deps mpi mpi-test build run test serve-demo slurm-test link-test dist dist-test lint format arrows docs-check job-reference peer-test tox21 survival federation minilm llama bench replay replay-matrix replay-federation replay-generation fuzz clean

help:
	@echo "make run       install what is missing, build, train a real single-cell job masked, show the result"
	@echo "make test      all tests"
	@echo "make serve-demo   deploy the model of make run, masked; two clients ask it at once, the owner rotates the key, a Llama continues prompts"
	@echo "make tox21 TOX21=FILE · make survival TCGA=FILE · make minilm PUBMED=FILE · make llama     the other example jobs"
	@echo "make federation [TCGA=DIR | PUBMED=FILE | PRIVATE=1] [PROVIDER=1]     aggregator and sites on this machine; replay-federation RUN=runs/federation: in plaintext PyTorch"
	@echo "make replay RUN=DIR   repeat a run in plaintext PyTorch, compare the weights; replay-matrix: every exact combination; replay-generation: greedy text"
	@echo "make bench     measure, print a table, write bench.json and pictures (TOX21=FILE PUBMED=FILE LARGE=1: with those rows; ROWS=\"speed base\": only these)"
	@echo "make fuzz      the parsers of foreign bytes under a fuzzer for a bounded time"
	@echo "make mpi       the trainer for mpirun and srun, in .build-mpi; mpi-test: several ranks on this machine"
	@echo "make slurm-test · make link-test     requeues under a Slurm of its own; a link that is cut (both as root)"
	@echo "make dist      one tarball for a bare Debian 12; dist-test (as root): a job inside one"
	@echo "make lint · make format · make arrows · make docs-check · make peer-test · make deps · make build · make clean"

deps:
	@missing=""; for package in $(PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'install ok installed' || missing="$$missing $$package"; done; \
	if [ -n "$$missing" ]; then \
	  echo "installing:$$missing"; \
	  if [ "$$(id -u)" = 0 ]; then as=""; elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as=sudo; \
	  else echo "missing packages:$$missing — install them as root: apt-get install$$missing" >&2; exit 1; fi; \
	  $$as apt-get update -qq && \
	  $$as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi
	@command -v swift >/dev/null || { echo "swift is not on PATH; install Swift 6.2 or later from swift.org" >&2; exit 1; }

build: deps
	swift build -c release

# The trainer for several processes. The MPI is the one whose mpicc is on PATH, Debian's Open MPI where there is none. Debian's
# openmpi-bin brings an mpicc without mpi.h.
MPI_BUILD := .build-mpi
MPI_CONFIGURATION ?= release

mpi: deps
	@echo '#include <mpi.h>' | mpicc -E - >/dev/null 2>&1 || \
	  $(MAKE) --no-print-directory deps PACKAGES="libopenmpi-dev openmpi-bin"
	@compile=$$(mpicc --showme:compile 2>/dev/null || mpicc -compile_info | cut -d' ' -f2-); \
	link=$$(mpicc --showme:link 2>/dev/null || mpicc -link_info | cut -d' ' -f2-); \
	flags=(); \
	for word in $$compile; do case $$word in -I*|-D*) flags+=(-Xcc $$word);; esac; done; \
	flags+=(-Xlinker --as-needed); \
	for word in $$link; do case $$word in -L*|-l*) flags+=(-Xlinker $$word);; -Wl,*) \
	  for part in $${word//,/ }; do [ "$$part" = -Wl ] || flags+=(-Xlinker $$part); done;; esac; done; \
	swift build -c $(MPI_CONFIGURATION) $(if $(PRODUCT),--product $(PRODUCT)) --traits MPI --static-swift-stdlib \
	  --scratch-path $(MPI_BUILD) "$${flags[@]}"

# Two ranks of real processes: bits, a rank that dies, orderly stops.
mpi-test: mpi $(PBMC)
	jobs/checks/mpi.sh $(MPI_BUILD)/$(MPI_CONFIGURATION)

run: build $(PBMC)
	jobs/run-local.sh jobs/pbmc.yaml runs/pbmc

# The model of `make run` as a service, on this machine.
serve-demo: build $(PBMC) $(SMALL_PYTHON)
	PYTHON=$(SMALL_PYTHON) jobs/serving/demo.sh runs/pbmc

tox21: build
	@test -n "$(TOX21)" || { echo "give the file: make tox21 TOX21=/path/to/tox21_morgan2048.h5" >&2; exit 2; }
	jobs/run-local.sh jobs/tox21.yaml runs/tox21 --set data.file="$(abspath $(TOX21))"

# A charter with its sites and aggregator on this machine, each a process of its own. With neither file: the single-cell file cut into four
# laboratories; with PRIVATE=1 these with differential privacy. PROVIDER=1: the first site trains at a provider.

federation: export PROVIDER := $(PROVIDER)
federation: build $(if $(TCGA),,$(if $(PUBMED),$(MINILM) $(PYTHON),$(LABORATORIES)))
	$(if $(TCGA),@mkdir -p $(CACHE) && ln -sfn "$(abspath $(TCGA))" $(CACHE)/tcga_brca)
	$(if $(PUBMED),$(PYTHON) jobs/prepare/split-pubmed.py "$(abspath $(PUBMED))" $(CACHE)/federation/pubmed --rows 400)
	$(if $(PRIVATE),jobs/federation/run-local.sh jobs/federation/pbmc-private.yaml runs/federation jobs/federation/pbmc.yaml, \
	jobs/federation/run-local.sh jobs/federation/$(if $(TCGA),tcga-brca,$(if $(PUBMED),pubmed,pbmc)).yaml runs/federation)

# All sites in plaintext PyTorch, from what their runs wrote down: RUN=runs/federation.
replay-federation: $(PYTHON)
	@test -n "$(RUN)" || { echo "give the directory of the sites' runs: make replay-federation RUN=runs/federation" >&2; exit 2; }
	$(PYTHON) jobs/replay/federation.py $(RUN)

survival: build
	@test -n "$(TCGA)" || { echo "give the file: make survival TCGA=/path/to/tcga_brca/site-0.h5" >&2; exit 2; }
	jobs/run-local.sh jobs/tcga-brca.yaml runs/tcga-brca --set data.file="$(abspath $(TCGA))"

minilm: build $(MINILM)
	@test -n "$(PUBMED)" || { echo "give the file: make minilm PUBMED=/path/to/pubmed_sections_128.h5" >&2; exit 2; }
	jobs/run-local.sh jobs/pubmed-minilm.yaml runs/pubmed-minilm --set data.file="$(abspath $(PUBMED))"

llama: build $(LLAMA) $(BYTES)
	jobs/run-local.sh jobs/llama-lora.yaml runs/llama-lora

$(PBMC): | deps
	jobs/prepare/fetch-pbmc.sh $@

# Four laboratories' files, for jobs/federation/pbmc.yaml.
$(LABORATORIES): jobs/prepare/split-pbmc.py $(PBMC) | $(PYTHON)
	$(PYTHON) $< $(PBMC) $(@D)

$(MINILM): | deps
	jobs/prepare/fetch-minilm.sh $(@D)

$(LLAMA): jobs/prepare/random-llama.py | $(PYTHON)
	$(PYTHON) $< $(@D)

$(BYTES): jobs/prepare/byte-tokens.py $(TEXTS) | $(PYTHON)
	$(PYTHON) $< $(TEXTS) $@

test: deps
	swift test

lint:
	swift format lint --strict --recursive Package.swift Sources Tests

format:
	swift format --in-place --recursive Package.swift Sources Tests

arrows:
	jobs/checks/arrows.py

docs-check:
	jobs/checks/docs.py

# Writes the tables of keys into docs/job-reference.md and docs/charter-reference.md.
job-reference: deps
	WRITE_JOB_REFERENCE=1 swift test --filter 'JobReferenceTests|CharterReferenceTests'

# An owner written from docs/protocol.md alone trains against the trainer.
peer-test: build $(PYTHON)
	$(PYTHON) jobs/checks/peer.py $(BIN)/trainer
	$(PYTHON) jobs/checks/convert.py $(BIN)/encryptor

# The parsers of what comes from outside under libFuzzer, which the Swift toolchain brings along. An input that traps is kept in
# .build-fuzz/found and the target fails. FUZZ_SECONDS is for all parsers together, at least a second for each (to
# the fuzzer 0 means without end).
FUZZ_SECONDS ?= 60
FUZZED := charter client configuration envelope federation frames graph job safetensors sums
FUZZ := .build-fuzz/debug/fuzz

fuzz: deps
	swift build --product fuzz --scratch-path .build-fuzz -Xswiftc -sanitize=fuzzer -Xswiftc -DFUZZER -Xswiftc -Osize \
	  -Xswiftc -use-ld=lld
	@mkdir -p .build-fuzz/found
	@$(FUZZ) seeds .build-fuzz/corpus
	@for parser in $(FUZZED); do \
	  seconds=$$(( $(FUZZ_SECONDS) / $(words $(FUZZED)) )); [ $$seconds -ge 1 ] || seconds=1; \
	  SWIFT_BACKTRACE=enable=no timeout $$(( seconds + 60 )) $(FUZZ) $$parser -max_total_time=$$seconds -timeout=10 -rss_limit_mb=2048 \
	    -max_len=4096 -verbosity=0 -print_final_stats=1 -artifact_prefix=.build-fuzz/found/$$parser- \
	    .build-fuzz/corpus/$$parser >.build-fuzz/$$parser.log 2>&1 || { tail -30 .build-fuzz/$$parser.log; \
	    echo "$$parser: an input was found; it is in .build-fuzz/found" >&2; exit 1; }; \
	  echo "$$parser: $$(awk '/number_of_executed_units/ {print $$2}' .build-fuzz/$$parser.log) inputs in $$seconds s," \
	    "$$(ls .build-fuzz/corpus/$$parser | wc -l) kept for what they reach, none trapped"; done

# A job of two tasks on a Slurm of its own. REQUEUES=5, EPOCHS=300, TASKS=2.
slurm-test: mpi $(PBMC)
	@$(MAKE) --no-print-directory deps PACKAGES="slurm-wlm munge python3"
	BIN=$(MPI_BUILD)/$(MPI_CONFIGURATION) TASKS=$${TASKS:-2} jobs/slurm/test.sh

# Owner and trainer in network name spaces of their own (as root): the link cut, late and lossy.
link-test: build $(PBMC)
	SETTINGS="--set train.epochs=20 --set checkpoint.every_steps=7" jobs/checks/link.sh cut

DIST ?= .dist

dist: deps
	@command -v patchelf >/dev/null || $(MAKE) --no-print-directory deps PACKAGES=patchelf
	jobs/dist/build.sh $(DIST)

dist-test: dist $(PBMC)
	@command -v debootstrap >/dev/null || $(MAKE) --no-print-directory deps PACKAGES=debootstrap
	jobs/dist/test.sh $(DIST)/*.tar.gz

# The outside checks' own Python: packages from PyPI by name.
$(PYTHON): jobs/replay/requirements.txt | deps
	python3 -m venv .venv
	.venv/bin/pip install --quiet --requirement jobs/replay/requirements.txt
	@touch $@

$(CACHE)/python/bin/python: | deps
	python3 -m venv $(CACHE)/python
	$(CACHE)/python/bin/pip install --quiet h5py numpy safetensors

replay: $(PYTHON)
	@test -n "$(RUN)" || { echo "which run? make replay RUN=runs/pbmc" >&2; exit 2; }
	$(PYTHON) jobs/replay/replay.py $(RUN)

# ONLY=perceptrons, ONLY=transformers or ONLY=minilm: just those.
replay-matrix: build $(MINILM) $(PYTHON)
	TOX21="$(TOX21)" PUBMED="$(PUBMED)" jobs/replay/matrix.sh $(ONLY)

# Greedy text of a masked Llama beside transformers.generate, token by token.
replay-generation: build $(PYTHON)
	$(PYTHON) jobs/replay/generation.py

# LARGE=1: what takes long, too; ROWS="speed base": only these, long or not (`bench.py --help` names them); QUICK=1: whether everything runs.
# TOX21=FILE and PUBMED=FILE add the rows of those jobs.
bench: build $(PBMC) $(MINILM) $(PYTHON)
	env -u OPENBLAS_CORETYPE TOX21="$(TOX21)" PUBMED="$(PUBMED)" $(PYTHON) jobs/bench/bench.py $(if $(ROWS),--only $(ROWS)) \
	  $(if $(LARGE),--large) $(if $(QUICK),--quick)

clean:
	rm -rf .build .build-* .dist runs
