# The two commands are `make book` and `make test`; `make help` lists all.
# Paths below are relative, so that a project folder with spaces in its name works.

PYTHON  ?= python3
PROFILE ?= scenes
RUN     ?= default
GPU     ?= rtx4090
# As they were typed, for the shell alone to read: a name may hold what means something to make or in a command.
override PYTHON  := $(value PYTHON)
override PROFILE := $(value PROFILE)
override RUN     := $(value RUN)
override GPU     := $(value GPU)
export PYTHON PROFILE RUN GPU

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help venv book test plan usage record pdf keep unlock clean
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export MPLCONFIGDIR := $(CURDIR)/.venv/cache/matplotlib
export MPLBACKEND := agg

# The environment carries the checksum of the versions it was made from.
INSTALLED := .venv/installed-$(firstword $(shell cat constraints.txt | cksum))

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "PROFILE=name  data and models: a file of notebooks/profiles (now $$PROFILE)"
	@echo "RUN=name      where jobs run: a folder of workflow/profiles (now $$RUN)"
	@echo "GPU=name      of a plan: rtx4090, a100, h100 or h200 (now $$GPU)"
	@echo "PYTHON=name   the Python 3.11 or later to make .venv with (now $$PYTHON)"

venv: $(INSTALLED)  ## make .venv from constraints.txt

$(INSTALLED):
	@"$$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"needs Python 3.11 or later, {sys.executable} is {sys.version}; try make PYTHON=python3.11")'
	"$$PYTHON" -m venv .venv
	python -m pip install --disable-pip-version-check -c constraints.txt -e '.[book,parquet,test]'
	rm -f .venv/installed-*
	python -c 'import matplotlib.font_manager'  # builds the font cache now, not as a warning on a page
	touch $@

book: $(INSTALLED)  ## run what is not up to date and compile book/_build/html
	DIFFFEAT_PROFILE="$$PROFILE" snakemake --workflow-profile "workflow/profiles/$$RUN" \
	  || { [ -z "$$(ls -A .snakemake/locks 2>/dev/null)" ] || echo "If no other run is at work: make unlock"; exit 1; }
	@echo "The book is ready: open book/_build/html/index.html in a browser."

plan: $(INSTALLED)  ## what PROFILE lacks and takes: passes, disk, hours on a GPU; needs no data
	@python workflow/plan.py "$$PROFILE" "$$GPU"

usage: $(INSTALLED)  ## what each page of the last run of PROFILE took: seconds and memory
	@python workflow/usage.py "$$PROFILE"

# Pages that say that they are recorded are taken as they are, for they take long.
# Of those on other data that of real captions is held to its outputs, where the data are; the others take minutes.
# Pages that read what others have recorded come after these, the page of claims last: it reads all.
CLAIMS := notebooks/90_claims.ipynb
LONG := $(shell grep -l '^   "recorded": true' notebooks/*.ipynb)
LAST := $(filter-out $(CLAIMS) $(LONG),$(shell grep -l 'p\.results' notebooks/*.ipynb)) $(CLAIMS)
PAGES := $(filter-out $(LAST) $(LONG),$(sort $(wildcard notebooks/*.ipynb)))
PAGES += $(if $(DIFFFEAT_REFERENCE),notebooks/recorded/coco_captions.ipynb)
NBVAL := --nbval --nbval-current-env --nbval-cell-timeout 1800 --nbval-sanitize-with tests/nbval.cfg

# The workflow fills the cache with all cores first; one thread each, for sums that add up in the same order.
# A file of tests or a page is a unit of work of a process; tests/conftest.py puts the longest first.
TESTED := OMP_NUM_THREADS=1 DIFFFEAT_RESULTS=build/test/results python -m pytest $(NBVAL)
test: book  ## unit tests, every notebook against its stored output, the strict book build and its checks
	rm -rf build/test
	mkdir -p build/test/results/scenes
	cp $(LONG:notebooks/%.ipynb=results/scenes/%.json) build/test/results/scenes  # as recorded, for pages that sum up
	$(TESTED) -n auto --maxprocesses 4 --dist loadscope --no-loadscope-reorder \
	  $(PAGES) tests/test_*.py tests/book_checks.py
	$(TESTED) $(LAST) tests/results_checks.py

record: $(INSTALLED)  ## run recorded pages that are not up to date; DIFFFEAT_REFERENCE: the folder of real data
	@python workflow/record.py

pdf: $(INSTALLED)  ## print the book that `make book` made: one file, book/_build/pdf/book.pdf; needs Chromium
	@python workflow/print_book.py book

keep: $(INSTALLED)  ## take the outputs and results of the last run over into notebooks/, results/ and README.md
	python workflow/keep.py "$$PROFILE"

unlock: $(INSTALLED)  ## after a run that was killed outright
	snakemake --workflow-profile "workflow/profiles/$$RUN" --unlock

clean:  ## remove the book and what a run of PROFILE made, but not the cache
	name=$${PROFILE##*/}; name=$${name%.yaml}; : "$${name:?PROFILE names no profile}"; \
	  rm -rf book/_build book/made book/notebooks book/static/mathjax build/test build/{notebooks,results,shards,log}/"$$name"
