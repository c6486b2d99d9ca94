# Everything a newcomer needs: `make demo` and `make test` do all of their set-up by themselves.

PYTHON  ?= python3
VENV    ?= .venv
# Two cores are what a small machine has; `make test WORKERS=8` uses more.
WORKERS ?= 2
ARGS    ?=
CAMPAIGN_MINUTES ?= 10

BIN     := $(VENV)/bin
STAMPS  := $(VENV)/.stamps
SETUP   := pyproject.toml tools/environment.py
GOLDENS := generated readme derivation_texts simplified_texts refutation_texts verify_moves
CODE    := bracketc tests examples benchmarks tools

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup demo test lint format bench fuzz campaign mutate coverage sanitize mutants goldens wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMPS)/demo $(STAMPS)/test $(STAMPS)/dev ## create .venv with everything but the peers of the benchmarks

demo: $(STAMPS)/demo ## compile a network, train it on handwritten digits, compare speeds, draw a plot
	@$(BIN)/python examples/digits/run.py $(ARGS)

test: $(STAMPS)/test ## run the tests
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

lint: $(STAMPS)/dev $(STAMPS)/test ## ruff and mypy --strict
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/mypy

format: $(STAMPS)/dev ## let ruff mend what it can
	@$(BIN)/ruff check --fix $(CODE)

bench: $(STAMPS)/bench ## compare every model, contractions, products and Hessians with NumPy, JAX and PyTorch (three quarters of an hour)
	@$(BIN)/python benchmarks/all.py $(ARGS)

fuzz: $(STAMPS)/test ## mutated sources for two minutes; random programs, many more than `make test` tries
	@$(BIN)/python tools/fuzz.py --seconds 60 --seed $$$$
	@$(BIN)/python tools/fuzz.py --seconds 60 --seed $$$$ --stages
	@$(BIN)/python -m pytest -n $(WORKERS) --hypothesis-profile fuzz -k "fuzz or random" $(ARGS)

campaign: $(STAMPS)/test $(STAMPS)/dev ## every promise with seed after seed for CAMPAIGN_MINUTES, from where the last run ended
	@$(BIN)/python tools/campaign.py --minutes $(CAMPAIGN_MINUTES) $(ARGS)

sanitize: $(STAMPS)/test ## every model and contraction under the sanitizers of memory, undefined behaviour and threads
	@$(BIN)/python -m pytest -q tests/test_c_sanitized.py
	@$(BIN)/python tools/sanitize.py --jobs $(WORKERS) $(ARGS)

mutate: $(STAMPS)/test $(STAMPS)/dev ## change the calculus, the simplifier or the prover: the tests must notice
	@$(BIN)/python tools/campaign.py --only mutants --minutes $(CAMPAIGN_MINUTES) $(ARGS)

coverage: $(STAMPS)/test $(STAMPS)/dev ## branches of the compiler that the tests run: 95 % or more
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q --cov --cov-report=term --cov-report=html:build/coverage/html $(ARGS)

mutants: $(STAMPS)/test ## every step of the example derivations with one thing changed: what changes its value is refuted
	@$(BIN)/python tests/mutants.py $(ARGS)

goldens: $(STAMPS)/test ## rewrite generated/ from models/, texts of derivations, and the answers in README.md (review the diff)
	@$(BIN)/python -m pytest -q $(GOLDENS:%=tests/test_%.py) --update-golden $(ARGS)

wheel: $(STAMPS)/test ## build a wheel into dist/
	@$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@ls dist/*.whl

clean: ## remove .venv and everything that was built
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# One stamp per extra, so that a second run installs nothing.
$(STAMPS)/%: $(SETUP)
	@$(PYTHON) tools/environment.py $(VENV) $*
	@mkdir -p $(STAMPS)
	@touch $@
