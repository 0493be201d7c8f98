PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo docs test test-all lint fix gpu-check clean

install: .venv/installed

.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: install
	$(BIN)/dermedge demo --folder demo

test: install lint
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

test-all: install lint
	$(BIN)/python -m pytest -m "" --numprocesses auto --dist loadfile

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

fix: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# In an environment of your own, with the extra cuda, tensorrt or rtx: the one of `make install` has the plain wheel.
gpu-check:
	$(PYTHON) benchmarks/gpu_check.py $(wildcard models/*.onnx)

clean:
	rm -rf .venv demo site build dist
