# The commands of this project. `make` alone lists them; CONTRIBUTING.md says when to use which.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Where Python may keep nothing compiled, each of the hundred processes that the tests start compiles the product anew.
unexport PYTHONDONTWRITEBYTECODE

# Searched for unless it is named: make setup PYTHON=/path/to/python3.
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# make test T=tests/unit/model_store runs a part of the tests.
T := tests
# make test DATABASES=both runs all that use a database on SQLite and on PostgreSQL; see tests/one_database.py.
DATABASES := $(or $(LETHE_TEST_DATABASES),one)
export LETHE_TEST_DATABASES := $(DATABASES)

.PHONY: help
help: ## List the commands
	@echo "Usage: make COMMAND"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(INSTALLED) ## Create .venv and install everything, at the pinned versions

$(INSTALLED): pyproject.toml constraints.txt
	@$(BIN)/python -c 'import pip' 2>/dev/null || { python=$$(.ci/find-python $(PYTHON)) && .ci/make-venv "$$python" $(VENV); }
	@echo "Installing into $(VENV); the first time takes some minutes."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[gateway,worker,dev]'
	@touch $@

.PHONY: up
up: $(INSTALLED) ## Build the demo if there is none and run everything here until Ctrl-C
	@exec $(BIN)/lethe up

.PHONY: lint
lint: $(INSTALLED) ## Check style and likely mistakes (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: format
format: $(INSTALLED) ## Apply the style and the mistakes that mend themselves
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: types
types: $(INSTALLED) ## Check types (mypy; strict on recommender, unlearning, model_store)
	$(BIN)/mypy

.PHONY: walls
walls: $(INSTALLED) ## Check which room imports which (import-linter)
	$(BIN)/lint-imports --no-logo

# Whole files, as many at a time and in the order as tests/conftest.py says: every test has a folder and a database of
# its own, and one file alone uses Redis.
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder

.PHONY: test
test: $(INSTALLED) ## Check style, types and walls, run all tests but a GPU's; T=path runs a part
	@$(if $(filter tests,$(T)),$(MAKE) --jobs=2 lint walls,true)
	@$(if $(filter-out tests/unit%,$(T)),$(BIN)/python -m tests.services,true)
ifeq ($(T),tests)
	@# The check of types leaves a core idle.
	$(BIN)/mypy & types=$$!; passed=0; $(BIN)/python -m pytest -m 'not gpu' $(PARALLEL) tests || passed=$$?; wait $$types && exit $$passed
else
	$(BIN)/python -m pytest -m 'not gpu' $(T)
endif

.PHONY: test-unit
test-unit: $(INSTALLED) ## Run the tests that need no service
	$(BIN)/python -m pytest -m 'not gpu' $(PARALLEL) tests/unit

.PHONY: test-integration
test-integration: $(INSTALLED) ## Run the tests against PostgreSQL and Redis
	@$(BIN)/python -m tests.services
	$(BIN)/python -m pytest $(PARALLEL) tests/integration

.PHONY: test-acceptance
test-acceptance: $(INSTALLED) ## Run the whole path as real processes, in both sizes
	@$(BIN)/python -m tests.services
	$(BIN)/python -m pytest tests/acceptance

.PHONY: test-gpu
test-gpu: $(INSTALLED) ## Run the tests that need CUDA
	$(BIN)/python -m pytest -m gpu tests

.PHONY: coverage
coverage: $(INSTALLED) ## Say which lines of the product no test runs; takes half as long again as the tests
	$(BIN)/python -m pytest -m 'not gpu' $(PARALLEL) --cov --cov-report= tests
	$(BIN)/coverage report --skip-covered --show-missing --sort=cover --fail-under=92

.PHONY: guards
guards: $(INSTALLED) ## Take each guard away in a copy and see that a test notices; G=fence takes one guard
	$(BIN)/python -m tests.guards $(if $(G),--guard '$(G)')

.PHONY: docs
docs: $(INSTALLED) ## Write the reference anew from the code, and build the documentation in build/site
	$(BIN)/python -m docs.generate
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# The mutants of the pure core that are tried, of each file: all of them take a third of an hour on 2 free cores.
SHARE := 1.0

.PHONY: mutation
mutation: $(INSTALLED) ## Change the pure core a little, many times, and count what its unit tests notice; SHARE=0.25 draws
	$(BIN)/python -m tests.mutation --share $(SHARE)

.PHONY: migrate
migrate: $(INSTALLED) ## Bring the database at LETHE_DATABASE_URL to the current schema
	$(BIN)/lethe migrate

.PHONY: constraints
constraints: $(INSTALLED) ## Write constraints.txt anew from what is installed
	@{ sed -n '/^#/p' constraints.txt; \
	   { sed -n '/^bitsandbytes==/p' constraints.txt; $(BIN)/python -m pip freeze --all --exclude-editable; } | sort -f -u \
	   | sed -E 's/\+[a-z0-9.]+$$//' | grep -v -i -E '^(pip|wheel|triton|nvidia-.*|cuda-.*)=='; } > constraints.new
	@mv constraints.new constraints.txt

.PHONY: clean
clean: ## Remove .venv and caches; .lethe, where an installation keeps its state, stays
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .mutation_cache.json
	find . -name __pycache__ -type d -not -path './.lethe/*' -prune -exec rm -rf {} +
