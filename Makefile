# The station's commands. `make` alone lists them.

PYTHON := .venv/bin/python
TORCH_PYTHON := .venv-torch/bin/python
export DESTDIR

.DEFAULT_GOAL := help
.PHONY: help run test lint bench avatars clean setup setup-test setup-torch install rollback uninstall

help: ## List the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12

setup: ## Install what is missing: apt packages, .venv
	@requirements/setup.sh base

setup-test:
	@requirements/setup.sh test

setup-torch:
	@requirements/setup.sh torch

# One line and exec: the supervisor is make's direct child. make hands on SIGTERM; a SIGINT to make
# alone, or the end of make, the supervisor finds out itself (BROADCASTER_FOLLOW_PARENT).
run: setup ## Set up if needed, then run the station in the foreground (Ctrl-C ends it)
	@exec env BROADCASTER_FOLLOW_PARENT=1 $(PYTHON) -m broadcaster run

# First what uses real media, alone on the machine; then what only computes: the modules' tests, and
# beside them those that need torch, which most stations do not have.
test: setup-test setup-torch lint ## Set up if needed, then lint and run every test
	@$(PYTHON) -m pytest tests/component tests/houserules tests/system
	@told=$$(mktemp); \
	$(TORCH_PYTHON) -m pytest tests/torch tests/unit/test_mouth_training.py >"$$told" 2>&1 & torch=$$!; \
	$(PYTHON) -m pytest tests/unit; modules=$$?; \
	wait $$torch; networks=$$?; cat "$$told"; rm -f "$$told"; exit $$((modules + networks))

lint: setup-test ## Style, formatting and types
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy

bench: setup-test ## Measure what idle costs against plain FFmpeg
	@exec $(PYTHON) benchmarks/idle_cost.py

avatars: setup ## Fetch the optional networks that find faces in photos and clips (models/face)
	@requirements/avatars.sh

install: ## Install or upgrade the systemd service (as root; DESTDIR=/folder only stages)
	@exec systemd/install.sh install

rollback: ## Bring back the version that was installed before
	@exec systemd/install.sh rollback

uninstall: ## Remove the service; settings and state stay (PURGE=1 removes them too)
	@exec systemd/install.sh uninstall $(if $(PURGE),--purge)

clean: ## Remove .venv, .venv-torch, var (state and caches) and what the tools left
	@rm -rf .venv .venv-torch var build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
