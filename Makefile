# The environment is .venv; every target that needs it makes it first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup demo test check prove prove-statistics prove-cache bench lock clean
.DEFAULT_GOAL := help

help:
	@echo "make setup   virtual environment with locked dependencies"
	@echo "make demo    the main job on real input (EXIT=1 stops when done)"
	@echo "make test    the test suite"
	@echo "make check   ruff, pyright, import rules, size budgets"
	@echo "make prove   what takes long: kill, outage and soak proofs"
	@echo "make bench   figures, side by side with other gateways"

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("ratchet needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup
	@$(BIN)/ratchet demo $(if $(EXIT),--exit)

test: setup
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup
	$(BIN)/ruff format --check src tests bench prove
	$(BIN)/ruff check src tests bench prove
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/test_budgets.py

PROVE := $(BIN)/python -m pytest -p no:cacheprovider

# What only computes runs side by side; what is measured or killed has the machine to itself.
prove: setup
ifdef ARGS
	$(PROVE) prove $(ARGS)
else
	@$(MAKE) --no-print-directory -j 2 prove-statistics prove-cache
	$(PROVE) prove --ignore=prove/test_statistics.py --ignore=prove/test_semantic_cache.py
endif

prove-statistics: setup
	$(PROVE) prove/test_statistics.py

prove-cache: setup
	$(PROVE) prove/test_semantic_cache.py

bench: setup
	$(BIN)/python -m bench $(ARGS)

lock:
	uv pip compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --all-extras --build-isolation --universal --python-version 3.11 -o requirements.lock pyproject.toml requirements.build
	
clean:
	rm -rf .venv .bench .ratchet
