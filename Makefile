# `make demo` shows Easel on this machine; `make test` runs every check. Both set everything up by themselves.

VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# What is installed beside the bot: of pyproject.toml, by name. All that the tests need, unless said otherwise.
EXTRAS := dev

# basicsr 1.4.2 builds on no later Python than 3.12.
PYTHON := $(shell for name in python3.12 python3.11 python3 python; do \
	command -v $$name >/dev/null 2>&1 || continue; \
	$$name -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null \
	&& { echo $$name; break; }; done)

# A package index with builds of PyTorch for the CPU alone: TORCH_INDEX=ADDRESS, see docs/performance.md.
TORCH_FROM := $(if $(TORCH_INDEX),--extra-index-url '$(TORCH_INDEX)')

.PHONY: setup upgrade demo words test lint types unit bench bench-gpu similarity faults sheet watermark-eval training-eval starter-eval starter clean chromium

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt no-deps.txt
ifeq ($(PYTHON),)
	@echo "easel: Python 3.11 or 3.12 with its venv module is needed (Debian: apt-get install python3 python3-venv)" >&2; exit 2
endif
	@echo "Setting up $(VENV): the first time takes a few minutes and about 7 GB, most of it PyTorch."
ifeq ($(TORCH_INDEX),)
	@command -v nvidia-smi >/dev/null || [ -e /proc/driver/nvidia ] || echo "No card of NVIDIA's is seen here, and 4 GB of that are for one: how to do without says docs/performance.md (What a machine without a card needs not)."
endif
	@$(PYTHON) -m venv $(VENV)
	@# torch first: basicsr asks for it while it is being built, and would fetch a second one for itself.
	@$(BIN)/pip install -q -c constraints.txt $(TORCH_FROM) setuptools wheel cython numpy torch torchvision
	@$(BIN)/pip install -q -c constraints.txt --no-build-isolation -e '.[$(EXTRAS)]'
	@PYTHONWARNINGS=ignore $(BIN)/pip install -q --no-deps --no-build-isolation -r no-deps.txt
	@# OpenCV, which realesrgan needs, links against the system's libGL.
	@$(BIN)/python -c 'import cv2' 2>/dev/null || { $(call debian,libgl1 libglib2.0-0) && $(BIN)/python -c 'import cv2'; }
	@touch $@

# A newer Easel, after a backup of what the old one has: make upgrade BACKUPS=/mnt/backups. Then start the bot anew.
# What was changed in models.toml and others stays changed.
upgrade: setup
ifndef BACKUPS
	@echo "easel: say where the backup goes: make upgrade BACKUPS=/mnt/backups" >&2; exit 2
endif
	@$(BIN)/python -m bot backup "$(BACKUPS)"
	@before=$$(git rev-parse --short HEAD) && git pull -q --ff-only --autostash && after=$$(git rev-parse --short HEAD) \
	&& if [ -n "$$(git ls-files --unmerged)" ]; then \
		echo "easel: what you changed was changed here too: mend these, then run make setup: $$(git diff --name-only --diff-filter=U | xargs)" >&2; exit 2; \
	elif [ "$$before" = "$$after" ]; then echo "There is nothing newer than $$before."; \
	else $(MAKE) --no-print-directory setup \
		&& echo "It is $$after now: start the bot anew. CHANGELOG.md says what changed since $$before:" \
		&& git diff -U0 $$before $$after -- CHANGELOG.md | sed -n 's/^+\(- .*\)/  \1/p' \
		&& echo "The way back, with the bot stopped:" \
		&& echo "  git checkout $$before && make setup && $(BIN)/python -m bot restore $(BACKUPS) --replace"; fi

# Installs Debian packages where that is possible, and else says which are missing.
debian = if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >/dev/null; \
	else echo "easel: please install these packages of your system: $(1)" >&2; exit 2; fi

demo: setup
	@exec $(BIN)/python -m sandbox demo

# Every text that members read, for translators, into the catalogues that there are too: see CONTRIBUTING.md.
words: setup
	@$(BIN)/python -m bot.words.updating

test: lint types unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

unit: setup chromium
	$(BIN)/python -m pytest -n 2 --dist loadfile

# The chat page is tested in a real browser.
chromium:
	@command -v chromium >/dev/null || { $(call debian,chromium fonts-dejavu-core fonts-noto-color-emoji fonts-noto-cjk); }

bench: setup
	$(BIN)/python -m benchmarks --whole
	$(BIN)/python -m benchmarks.charts

bench-gpu: setup
	@$(BIN)/python -m benchmarks.gpu $(if $(MODEL),--model $(MODEL))

# What smaller weights do to pictures: MODEL=sdxl for another model than the default.
similarity: setup
	@$(BIN)/python -m benchmarks.similarity $(if $(MODEL),--model $(MODEL))

# Breaks bot, engine, disk and Discord in every way; SCENARIO="kill burst" SEED=7 for some of them from another seed.
faults: setup
	@$(BIN)/python -m benchmarks.faults $(SCENARIO) --seed $(or $(SEED),1)

watermark-eval: setup
	@$(BIN)/python -m benchmarks.watermark

training-eval: setup
	@$(BIN)/python -m benchmarks.training

sheet: setup
	$(BIN)/python -m starter.sheet

starter-eval: setup
	$(BIN)/python -m starter.evaluate

starter: setup
	$(BIN)/python -m starter.train

clean:
	rm -rf build .mypy_cache .ruff_cache .pytest_cache easel.egg-info
