# Every target does the set-up that it needs; none has to be called first.
# PYTHON=/path/to/python3 chooses the interpreter, otherwise .ci/find-python does.

VENV := .venv
BIN := $(VENV)/bin
BASE := $(VENV)/.stamp-base
RUN := $(VENV)/.stamp-run
DEV := $(VENV)/.stamp-dev
OUT := out

INSTALL := .ci/install $(BIN)
COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.12 \
	--generate-hashes --no-emit-index-url --custom-compile-command "make lock"

.PHONY: help setup demo test lint format docs bench notebooks lock clean
.DEFAULT_GOAL := help

help: ## Show the targets.
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(DEV) ## Make .venv with everything for running and developing.

demo: $(RUN) ## Fit a media mix to a simulated panel; the report goes to out/.
	$(BIN)/bayes-mkt demo --out $(OUT)

test: lint ## Lint, check types and import rules, run all tests.
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(DEV) ## ruff, mypy, import-linter.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

format: $(DEV) ## Rewrite the sources in the project's format.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(DEV) ## Build the site into site/.
	$(BIN)/mkdocs build --quiet --strict --config-file docs/mkdocs.yml
	@echo "site/index.html"

bench: $(DEV) ## Run every benchmark; each writes benchmarks/results/NAME.json (long).
	$(BIN)/python -m benchmarks all

notebooks: $(DEV) ## Execute the notebooks in place.
	$(BIN)/python notebooks/execute.py

lock: $(BASE) ## Write the lock files anew from pyproject.toml.
	$(COMPILE) --upgrade --extra engines --extra spark --extra docs --group dev --group build \
		--output-file requirements-dev.txt
	$(COMPILE) --constraints requirements-dev.txt --output-file requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.12 --generate-hashes \
		--no-emit-index-url --custom-compile-command "make lock" --group build \
		--constraints requirements-dev.txt --output-file requirements-build.txt

clean: ## Remove everything that make has made.
	rm -rf $(VENV) $(OUT) site dist .pytest_cache .mypy_cache .ruff_cache
	find bayes_mkt tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +

$(BASE): requirements-build.txt .ci/find-python
	@python=$$(.ci/find-python) && echo "$(VENV): $$python" && "$$python" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--no-deps -r requirements-build.txt
	@touch $@

$(RUN): $(BASE) requirements.txt pyproject.toml .ci/install
	@$(INSTALL) requirements.txt
	@touch $@

$(DEV): $(BASE) requirements-dev.txt pyproject.toml .ci/install
	@$(INSTALL) requirements-dev.txt
	@touch $@
