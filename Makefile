# `make help` lists what is supported. The tools' settings are in pyproject.toml.
#
# Real dependencies, so that a second run does nothing: a star is built again when its recipe changed, the lock when the
# galaxy or the image definition did. What is made lies in build/, .venv/, .cosmos/ (keys, trust, galaxy, store) and images/*/out/.
# APT_SOURCES names a file of sources to take Debian's packages from, where the host's own do not have the suite.

PYTHON ?= python3
IMAGE ?= images/rescue
APT_SOURCES ?=
JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -le 8 ] || n=8; echo $$n)

SHELL := /bin/sh
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
export LC_ALL := C.UTF-8
export TZ := UTC
export PYTHONDONTWRITEBYTECODE := 1
# A home or a passphrase of the person who types must not change what is built here.
unexport COSMOS_HOME

VENV := .venv
BIN := $(VENV)/bin
HOME_FOLDER := .cosmos
KEYS := $(HOME_FOLDER)/keys
GALAXY := $(HOME_FOLDER)/galaxy
MADE := $(HOME_FOLDER)/made

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z][a-z0-9-]*:[^=].*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 22

# --- the two commands, and what one does next -------------------------------------------------------------------------

.PHONY: image
image: PLAN $(IMAGE)/universe.lock.toml ## build the signed rescue image from nothing: no root, no preparation
	@$(BIN)/cosmos build $(IMAGE) --jobs $(JOBS) --key $(KEYS)/release.key

PLAN: FORCE
	@.ci/plan $(IMAGE) $(words $(STARS))

.PHONY: boot
boot: image ## start the image in QEMU and wait until it says that it is well
	@.ci/need qemu-system-x86_64=qemu-system-x86
	@$(BIN)/cosmos boot $(IMAGE)/out

.PHONY: test
test: TEST-PROGRAMS $(VENV)/dev.stamp image ## run the tests, the boot included; installs what it needs where it may
	@$(BIN)/pytest -n $(JOBS) --dist loadgroup -m 'not exhaustive' tests builder

.PHONY: test-slow
test-slow: TEST-PROGRAMS $(VENV)/dev.stamp ## run what tries very many cases, and is no part of make test
	@$(BIN)/pytest -n $(JOBS) --dist loadgroup -m exhaustive tests builder

TEST-PROGRAMS: FORCE
	@PYTHON='$(PYTHON)' .ci/need qemu-system-x86_64=qemu-system-x86 $(TEST_PROGRAMS)

# What the tests compare with, or run, on a Debian that has Python, make, gcc and apt-get: program=package. All are asked
# for at once, so that whoever may not install anything reads one command.
TEST_PROGRAMS := bsdtar=libarchive-tools bwrap=bubblewrap zstd=zstd gpg=gpg gpg-agent=gpg-agent git=git import:ensurepip=python3-venv

.PHONY: test-aarch64
test-aarch64: $(VENV)/dev.stamp ## try Nova's sandbox on a kernel for aarch64, in QEMU; downloads 100 MB and takes its time
	@.ci/need qemu-system-aarch64=qemu-system-arm git=git
	@$(BIN)/python tests/boot/aarch64_sandbox.py $(HOME_FOLDER)/aarch64

.PHONY: check
check: lint ## what lint checks, floors, house rules and unit tests; a minute or two
	@PYTHON='$(PYTHON)' .ci/need $(TEST_PROGRAMS)
	@$(BIN)/pytest -q -n $(JOBS) -m 'not slow and not network and not exhaustive' tests/house tests/unit builder

.PHONY: lint
lint: $(VENV)/dev.stamp ## format, lint and types
	@$(BIN)/ruff format --check --quiet . || { echo 'format: run "make format"' >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy

.PHONY: mutants
mutants: $(VENV)/dev.stamp ## take each protection away and see that a test notices: docs/security/objectives.toml
	@$(BIN)/python tests/plugins/mutants.py

.PHONY: golden
golden: $(VENV)/dev.stamp $(MADE)/galaxy ## write the golden files anew, each star's expect.txt too; look at the diff
	@REWRITE_GOLDEN=1 $(BIN)/pytest -q tests/golden tests/unit/nova/test_nova_docs.py

.PHONY: format
format: $(VENV)/dev.stamp ## write the source as `make check` wants it
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

.PHONY: clean
clean: ## remove what was built, the galaxy too; keys, the Python environment and the downloads stay
	@rm -rf build images/*/out images/*/.out-* images/*/universe.lock.toml $(GALAXY) $(MADE)
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find builder tests freeze -name __pycache__ -type d -prune -exec rm -rf '{}' +

.PHONY: distclean
distclean: clean ## remove everything that git does not track: the keys as well
	@rm -rf $(VENV) $(HOME_FOLDER)

# --- the Python environment: exactly the locked packages --------------------------------------------------------------

$(VENV)/packages.stamp: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Python 3.11 or newer is needed: make PYTHON=python3.11 $(MAKECMDGOALS)' >&2; exit 5; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || .ci/need python3-venv=python3-venv
	@echo 'making the Python environment'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install $(PIP) --require-hashes -r requirements.txt
	@touch $@

# The program itself is found through a .pth file: an editable install would fetch a build backend that no lock pins.
# The scripts begin as shell (a #! line can hold no folder with a space), and go on as Python. They name modules of the
# program: a Makefile that names others writes them again.
$(VENV)/run.stamp: $(VENV)/packages.stamp Makefile
	@echo '$(CURDIR)/builder' >"$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/cosmos-builder.pth"
	@for name in cosmos stellar; do \
		printf "#!/bin/sh\n'''exec' \"%s\" \"\$$0\" \"\$$@\"\n' '''\nfrom cosmos.cli.%s.main import main\n\nmain()\n" \
			'$(CURDIR)/$(BIN)/python' $$name >$(BIN)/$$name && chmod 755 $(BIN)/$$name; \
	done
	@touch $@

PIP := -qq --disable-pip-version-check --no-input --no-compile
$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/packages.stamp | $(VENV)/run.stamp
	@echo 'adding what tests need'
	@$(BIN)/python -m pip install $(PIP) --require-hashes -r requirements-dev.txt
	@touch $@

# --- keys that are made here and leave this machine never, and what they are trusted for ------------------------------

ROLES := root galaxy author release
$(KEYS)/%.key: | $(VENV)/run.stamp
	@echo 'making the development key $*'
	@$(BIN)/cosmos key new $* --role $* --no-passphrase --home $(HOME_FOLDER) >/dev/null

KEY_FILES := $(ROLES:%=$(KEYS)/%.key)
$(HOME_FOLDER)/trust/trust.toml: | $(KEY_FILES)
	@$(BIN)/stellar trust new --description 'keys that "make image" made on this machine' --out $(HOME_FOLDER)/first-trust.toml \
		$(foreach role,$(ROLES),--$(role) $(KEYS)/$(role).pub) --sign $(KEYS)/root.key --json >/dev/null
	@$(BIN)/cosmos trust init $(HOME_FOLDER)/first-trust.toml --home $(HOME_FOLDER) \
		--sha256 "$$(sha256sum $(HOME_FOLDER)/first-trust.toml | cut -d' ' -f1)" >/dev/null

# --- the binary, as a star; then every star, the galaxy that holds them, and the lock ---------------------------------

# A target that is never there: what depends on it is looked at each time.
FORCE:

SOURCES_OPTION := $(if $(APT_SOURCES),--apt-sources '$(APT_SOURCES)')

# Its own stamp says whether there is anything to do; where there is not, the file keeps its time and nothing follows.
build/stars/cosmos/star.toml: FORCE | $(VENV)/run.stamp
	@$(PYTHON) freeze/build_binary.py $(SOURCES_OPTION) >/dev/null

STARS := $(sort $(notdir $(patsubst %/star.toml,%,$(wildcard stars/*/star.toml))))
STAR_FILES := $(foreach star,$(STARS),$(shell find stars/$(star) ! -name expect.txt ! -type l))
ARCHIVES := $(MADE)/packages
# What makes archives out of recipes: where it changed, all stars are built again.
MAKERS := $(wildcard $(addprefix builder/cosmos/,model/*.py pack/*.py stellar/*.py tree/*.py))
# Which stars to build: those with a newer file, or with no archive.
CHANGED = $(sort $(if $(filter $(MAKERS),$?),$(STARS)) \
	$(foreach file,$(patsubst build/%,%,$(filter-out $(MAKERS),$?)),$(word 2,$(subst /, ,$(file)))) \
	$(foreach star,$(STARS),$(if $(wildcard $(ARCHIVES)/$(star)-[0-9]*),,$(star))))

$(MADE)/stars: stars $(STAR_FILES) $(MAKERS) build/stars/cosmos/star.toml | $(VENV)/run.stamp
	@mkdir -p $(ARCHIVES) && rm -f $(CHANGED:%=$(ARCHIVES)/%-[0-9]*)
	@$(if $(CHANGED),$(BIN)/stellar build-star $(patsubst stars/cosmos,build/stars/cosmos,$(CHANGED:%=stars/%)) \
		--out $(ARCHIVES) --home $(HOME_FOLDER) $(SOURCES_OPTION) >/dev/null)
	@touch $@

$(MADE)/galaxy: $(MADE)/stars | $(HOME_FOLDER)/trust/trust.toml
	@.ci/galaxy $(STARS)
	@touch $@

# A lock of a galaxy that has ended since (see .ci/galaxy) names what is nowhere any more.
$(IMAGE)/universe.lock.toml: $(MADE)/galaxy $(filter-out %.lock.toml,$(wildcard $(IMAGE)/*.toml))
	@if [ $(HOME_FOLDER)/galaxy-began -nt $@ ]; then rm -f $@; fi
	@$(BIN)/cosmos freeze $(IMAGE) --upgrade >/dev/null
	@touch $@

include freeze/binary.mk
