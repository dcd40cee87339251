# GNU make 3.81 and later. `make run` and `make test` are all that a fresh machine with Python needs.
#   make run                   run the chapters, get pages to read
#   make test VENV=../env      use (or make) the environment there
#   make test TORCH_INDEX=https://download.pytorch.org/whl/cpu    torch without CUDA
#   make run LOCKED=1          with the versions in constraints.txt, where the newest do not work

VENV ?= .venv
TORCH_INDEX ?=
BIN := $(VENV)/bin
STAMP := $(VENV)/.easing_fastai
STATE := $(CURDIR)$(if $(LOCKED), locked)
PIP := $(BIN)/python -m pip install -q $(if $(LOCKED),-c constraints.txt)

.DEFAULT_GOAL := help
.PHONY: help run test test-all test-real faults prove lab docs quarto look export outputs readme pictures backbone

help:
	@echo "make run        run all chapters, get pages of this very run to read"
	@echo "make test       the tests, on data that needs no network: minutes"
	@echo "make test-all   with whole chapters, servers and several processes: what continuous integration runs"
	@echo "make lab        the notebooks in JupyterLab"
	@echo "make docs       the website (needs Quarto)"
	@echo "For developers:"
	@echo "make export     notebooks -> easing_fastai/, the heads of the chapters, and clean all"
	@echo "make outputs    run the notebooks and keep their outputs (ONLY=05_fine_tune for one; needs MNIST_SAMPLE)"
	@echo "make readme     nbs/index.ipynb -> README.md"
	@echo "make test-real  the chapters on MNIST_SAMPLE"
	@echo "make pictures   plot the figure of the home page and the social card anew"
	@echo "make prove      every proof of the rebuilt pages: both backbones, several seeds and batch sizes"
	@echo "make faults     faults and bad input, each in a process of its own: minutes"
	@echo "make look       measure a built site: make look DOCS=_docs (needs Chromium)"
	@echo "make backbone   train the packaged backbone again (downloads MNIST)"

# ---- the environment: made on first use, again when what it needs changes ----

# An environment may be shared by several clones. It belongs to the one that installed into it last.
ifneq ($(shell cat $(STAMP) 2>/dev/null),$(STATE))
$(shell rm -f $(STAMP))
endif

# A Python from 3.11 to 3.14 that can make environments; 3.12 if there is one.
FITS := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(shell for p in python3.12 python3.13 python3.14 python3.11 python3 python; do \
            $$p -c "$(FITS)" >/dev/null 2>&1 && { echo $$p; break; }; done)

$(STAMP): settings.ini setup.py pyproject.toml $(if $(LOCKED),constraints.txt)
	@test -n "$(PYTHON)" -o -x $(BIN)/python || { echo "No Python from 3.11 to 3.14 with venv was found. Install one, or say which: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || { echo "Making an environment in $(VENV) with $(PYTHON)"; $(PYTHON) -m venv $(VENV); }
	@test -z "$(TORCH_INDEX)" || { echo "Installing torch and torchvision from $(TORCH_INDEX)"; $(PIP) torch torchvision --index-url $(TORCH_INDEX); }
	@echo "Installing easing_fastai and what it needs (PyTorch is large: this takes a few minutes the first time)"
	@$(PIP) -e ".[dev]"
	@echo "$(STATE)" > $(STAMP)

# ---- for everybody ----

run: $(STAMP)
	@$(BIN)/python -m easing_fastai run

TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup
test: $(STAMP)
	$(TESTS) --no-loadscope-reorder -m "not real and not prove and not long"

test-all: $(STAMP)
	$(TESTS) --no-loadscope-reorder

lab: $(STAMP)
	$(BIN)/python -m jupyter lab nbs

docs: quarto $(STAMP)
	$(BIN)/python -c "from easing_fastai.dev.drawing import write_drawing_model; write_drawing_model('nbs/in_browser')"
	PATH="$(abspath $(BIN)):$$PATH" nbdev-docs
	$(BIN)/python -c "from easing_fastai.dev.site import finish_site; finish_site('_docs')"

# before the environment: that one takes gigabytes
quarto:
	@command -v quarto >/dev/null || { echo "The website is built by Quarto, which is not installed. Get it from https://quarto.org/docs/get-started and try again."; exit 1; }

DOCS ?= _docs
look: $(STAMP)
	$(BIN)/python tests/look.py "$(DOCS)"

# ---- for developers ----

export: $(STAMP)
	$(BIN)/nbdev-export
	$(BIN)/python -c "from easing_fastai.dev.heads import write_heads; write_heads()"
	$(BIN)/nbdev-clean
	$(BIN)/python -c "from easing_fastai.dev.site import write_hover_json; write_hover_json('nbs/names.json')"
	$(BIN)/python -c "from easing_fastai.dev.site import write_public_names; write_public_names('nbs/public.json')"

outputs: $(STAMP)
	$(BIN)/python -c "from easing_fastai.dev.outputs import *; keep_outputs(*notebooks('$(ONLY)'), digits=bool('$(DIGITS)'))"
	$(BIN)/nbdev-clean

readme: $(STAMP)
	$(BIN)/python -c "from easing_fastai.dev.readme import write_readme; write_readme()"

test-real: $(STAMP)
	$(TESTS) -m real

prove: $(STAMP)
	$(TESTS) -m prove

faults: $(STAMP)
	$(BIN)/python tests/faults.py

pictures: $(STAMP)
	$(BIN)/python -c "from easing_fastai.dev.home_figure import write_home_figure; write_home_figure('nbs')"

backbone: $(STAMP)
	$(BIN)/python -c "from easing_fastai.dev.backbone import make_backbone; make_backbone()"
