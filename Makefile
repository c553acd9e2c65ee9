# `make help` lists what is supported. The tools' settings are in pyproject.toml.
#
# The targets have real dependencies, so a second run does nothing. A star is built again if its recipe changed, the lock
# if the galaxy or the image definition changed. Results are in build/, .venv/, .cosmos/ (keys, trust, galaxy, store) and
# images/*/out/. If the host's apt sources do not have the suite, APT_SOURCES names a file with other sources.

PYTHON ?= python3
IMAGE ?= images/rescue
APT_SOURCES ?=
# A test waits for the disk, a boot or another process for a part of its time, so two more run beside those that compute.
TEST_JOBS = $(shell echo $$(($(JOBS) + 2)))
ifndef JOBS
JOBS := $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -le 8 ] || n=8; echo $$n)
endif

SHELL := /bin/sh
MAKEFLAGS += --no-builtin-rules
# What does not depend on each other is made at once: the stars while the binary is compressed. Two commands of one call
# run one after the other, as they were named.
ifeq ($(word 2,$(MAKECMDGOALS))$(findstring -j,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(JOBS)
endif
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
export LC_ALL := C.UTF-8
export TZ := UTC
# The user's own home must not change the build.
unexport COSMOS_HOME
# A start of cosmos without bytecode takes twice as long, and `make` starts it a dozen times.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
HOME_FOLDER := .cosmos
KEYS := $(HOME_FOLDER)/keys
GALAXY := $(HOME_FOLDER)/galaxy
MADE := $(HOME_FOLDER)/made

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z][a-z0-9-]*:[^=].*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 22

# --- the main commands ------------------------------------------------------------------------------------------------

.PHONY: image
image: PLAN $(IMAGE)/universe.lock.toml ## build the signed rescue image from nothing: no root, no preparation
	@$(BIN)/cosmos build $(IMAGE) --jobs $(JOBS) --key $(KEYS)/release.key
	@$(BIN)/python images/expected.py check $(IMAGE)

.PHONY: expected
expected: image ## write down the image's content root and all its inputs, for everybody to compare: expected.toml
	@$(BIN)/python images/expected.py write $(IMAGE)

PLAN: FORCE
	@.ci/plan $(IMAGE) $(words $(STARS))

.PHONY: boot
boot: image ## start the image in QEMU and wait for its marker
	@.ci/need qemu-system-x86_64=qemu-system-x86
	@$(BIN)/cosmos boot $(IMAGE)/out

.PHONY: test
test: TEST-PROGRAMS $(VENV)/dev.stamp build/collected image ## run the tests, including the boot; installs missing programs if allowed
	@$(BYTECODE)
	@$(BIN)/pytest -n $(TEST_JOBS) --dist loadgroup -m 'not exhaustive' tests builder

.PHONY: test-slow
test-slow: TEST-PROGRAMS $(VENV)/dev.stamp image ## run the tests that try very many cases, and the property tests with new examples
	@$(BIN)/pytest -n $(JOBS) --dist loadgroup --hypothesis-profile new -m 'exhaustive or hypothesis' tests builder

.PHONY: test-mutations
test-mutations: $(VENV)/dev.stamp ## read 20,000 damaged documents of every kind; MUTATIONS=N for another number
	@$(BIN)/pytest -q -n $(JOBS) --hypothesis-profile new -m exhaustive -rP tests/attack/test_mutations.py

.PHONY: test-torture
test-torture: $(VENV)/dev.stamp ## cut off every command that changes a system, wherever it changes the disk; a table
	@$(BIN)/pytest -q -n $(JOBS) -m exhaustive -rP tests/attack/test_torture.py

# pytest rewrites each file of tests before its first run, which takes 20 s, and keeps the result. Of the processes that
# `make test` starts in a new clone each would do so for itself. So one does it before, while the image is made.
build/collected: | $(VENV)/dev.stamp
	@mkdir -p $(@D)
	@$(BIN)/pytest -q --collect-only tests >$@ || rm -f $@  # `make test` says what is wrong

# The tests start very many processes, and none of them writes bytecode. So it is made once, before: a start of cosmos
# then takes half of the time. What the tests import seldom or never is left out.
BYTECODE := $(BIN)/python -m compileall -q -j $(JOBS) -x '/(mypy|mypyc|pip|rdflib|setuptools|spdx_tools)/' \
	builder $(VENV)/lib

TEST-PROGRAMS: FORCE
	@PYTHON='$(PYTHON)' .ci/need qemu-system-x86_64=qemu-system-x86 $(TEST_PROGRAMS)

# The programs that the tests need on a Debian with Python, make, gcc and apt-get: program=package. One call checks them
# all, so a user who may not install packages gets one command for all.
TEST_PROGRAMS := bsdtar=libarchive-tools mke2fs=e2fsprogs bwrap=bubblewrap zstd=zstd gpg=gpg gpg-agent=gpg-agent git=git import:ensurepip=python3-venv

.PHONY: test-page
test-page: $(VENV)/dev.stamp build/axe/node_modules/axe-core/axe.min.js ## judge the page of a release with axe-core in Chromium; needs npm
	@.ci/need chromium=chromium
	@$(BIN)/pytest -q tests/story/test_page_in_a_browser.py

# Nothing of it is in the image or in the program, so no lock pins it.
build/axe/node_modules/axe-core/axe.min.js:
	@.ci/need npm=npm
	@npm install --silent --no-audit --no-fund --ignore-scripts --prefix build/axe axe-core@4.14.1

.PHONY: test-aarch64
test-aarch64: $(VENV)/dev.stamp ## try Nova's sandbox on an aarch64 kernel, in QEMU; slow, downloads 100 MB
	@.ci/need qemu-system-aarch64=qemu-system-arm git=git
	@$(BIN)/python tests/boot/aarch64_sandbox.py $(HOME_FOLDER)/aarch64

.PHONY: check
check: lint ## run lint, house rules, import floors and unit tests; a minute or two
	@PYTHON='$(PYTHON)' .ci/need $(TEST_PROGRAMS)
	@$(BIN)/pytest -q -n $(JOBS) -m 'not slow and not network and not exhaustive' tests/house tests/unit builder

.PHONY: lint
lint: $(VENV)/dev.stamp ## check format, lint and types
	@$(BIN)/ruff format --check --quiet . || { echo 'format: run "make format"' >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy

.PHONY: mutants
mutants: $(VENV)/dev.stamp ## remove each protection and check that a test notices: docs/security/objectives.toml
	@$(BIN)/python tests/plugins/mutants.py

PART ?= $(shell git rev-parse HEAD)
.PHONY: mutants-part
mutants-part: $(VENV)/dev.stamp ## the same for some protections, which the commit chooses; a minute. PART=COMMIT repeats a run
	@$(BIN)/python tests/plugins/mutants.py --part '$(PART)'

BENCH = PYTHONPATH=tests $(BIN)/python tests/bench
.PHONY: bench
bench: $(VENV)/bench.stamp image ## measure Cosmos beside other programs on real packages: an hour or two, and 4 GB in the user's cache folder
	@.ci/need zstd=zstd dpkg-deb=dpkg mmdebstrap=mmdebstrap casync=casync
	@$(BENCH)/cold_bench.py --levels 3,9,19 --plot docs/plots/cold.svg
	@$(BENCH)/warm_bench.py --imported --plot docs/plots/warm.svg
	@$(BENCH)/scale_bench.py --plot docs/plots/scale.svg
	@$(BENCH)/delta_bench.py --plot docs/plots/updates.svg
	@for bench in diff freeze latency nova pack resolve run script search startup system; do \
		echo "$$bench"; $(BENCH)/$${bench}_bench.py || exit; done

.PHONY: bench-short
bench-short: $(VENV)/bench.stamp ## the cold build, verify and import of that, with a hundred small packages: three minutes
	@$(BENCH)/cold_bench.py --short --plot build/cold-short.svg

.PHONY: book
book: $(VENV)/book.stamp ## make the book of docs/ for a browser, with search, in build/book: it works from a stick
	@$(BIN)/sphinx-build -q -W --keep-going -d build/book.made -c .ci/book -b html docs build/book
	@cp build/book/README.html build/book/index.html
	@echo build/book/index.html

.PHONY: golden
golden: $(VENV)/dev.stamp $(MADE)/galaxy ## write all golden files and each star's expect.txt again; read the diff
	@REWRITE_GOLDEN=1 $(BIN)/pytest -q tests/golden tests/unit/nova/test_nova_docs.py

.PHONY: format
format: $(VENV)/dev.stamp ## format the source code
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

.PHONY: clean
clean: ## remove build results and the galaxy; keep keys, the Python environment and downloads
	@rm -rf build images/*/out images/*/.out-* images/*/universe.lock.toml $(GALAXY) $(MADE)
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find builder tests freeze -name __pycache__ -type d -prune -exec rm -rf '{}' +

.PHONY: distclean
distclean: clean ## remove everything that git does not track, including the keys
	@rm -rf $(VENV) $(HOME_FOLDER)

# --- the Python environment: exactly the locked packages --------------------------------------------------------------

$(VENV)/packages.stamp: requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("error: $(PYTHON): is Python %d.%d; expected 3.11 or newer" % v[:2])' || \
		{ echo 'hint: name a newer one: make PYTHON=python3.11 $(MAKECMDGOALS)' >&2; exit 5; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || .ci/need python3-venv=python3-venv
	@echo 'making the Python environment'
	@test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	@$(BIN)/python .ci/pip
	@$(PIP) --require-hashes -r requirements.txt
	@touch $@

# A .pth file makes Python find the program: an editable install would fetch a build backend that no lock pins.
# The scripts start as shell, because a #! line cannot have a folder with a space, and continue as Python. They depend
# on the Makefile, because it names the modules in them.
$(VENV)/run.stamp: $(VENV)/packages.stamp Makefile
	@echo '$(CURDIR)/builder' >"$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/cosmos-builder.pth"
	@for name in cosmos stellar; do \
		printf "#!/bin/sh\n'''exec' \"%s\" \"\$$0\" \"\$$@\"\n' '''\nfrom cosmos.cli.%s.main import main\n\nmain()\n" \
			'$(CURDIR)/$(BIN)/python' $$name >$(BIN)/$$name && chmod 755 $(BIN)/$$name; \
	done
	@touch $@

# Each waits for the other ones: two at once could write one file.
PIP := flock $(VENV) $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --no-compile
$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/packages.stamp | $(VENV)/run.stamp
	@echo 'adding the packages for tests'
	@$(PIP) --require-hashes -r requirements-dev.txt
	@touch $@

$(VENV)/bench.stamp: requirements-bench.txt $(VENV)/dev.stamp
	@echo 'adding the package that draws plots'
	@$(PIP) --require-hashes -r requirements-bench.txt
	@touch $@

$(VENV)/book.stamp: requirements-book.txt | $(VENV)/packages.stamp
	@echo 'adding the packages for the book'
	@$(PIP) --require-hashes -r requirements-book.txt
	@touch $@

# --- development keys, which never leave this machine, and the trust.toml that pins them ------------------------------

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

# A target that never exists: everything that depends on it is checked each time.
FORCE:

SOURCES_OPTION := $(if $(APT_SOURCES),--apt-sources '$(APT_SOURCES)')

# The script's own stamp says whether there is anything to do. If not, the file keeps its time and nothing else is built.
build/stars/cosmos/star.toml: FORCE | $(VENV)/run.stamp
	@$(BIN)/python freeze/build_binary.py $(SOURCES_OPTION) >/dev/null

STARS := $(sort $(notdir $(patsubst %/star.toml,%,$(wildcard stars/*/star.toml))))
STAR_FILES := $(shell find $(filter-out stars/cosmos,$(STARS:%=stars/%)) ! -name expect.txt ! -type l)
ARCHIVES := $(MADE)/packages
# What makes archives from recipes, and the level of this file: if one of them changed, all stars are built again.
MAKERS := Makefile $(wildcard $(addprefix builder/cosmos/,model/*.py pack/*.py stellar/*.py tree/*.py))
# $(call changed,STARS): the stars to build, those with a newer file, or without an archive.
changed = $(sort $(if $(filter $(MAKERS),$?),$1) \
	$(filter $1,$(foreach file,$(patsubst build/%,%,$(filter-out $(MAKERS),$?)),$(word 2,$(subst /, ,$(file))))) \
	$(foreach star,$1,$(if $(wildcard $(ARCHIVES)/$(star)-[0-9]*),,$(star))))
# $(call build-stars,STARS,FOLDER): build those of the stars in the folder that changed. Two commands at work have no
# place for a line that moves. The archives stay on this machine, so level 3 will do: 6 % larger, in two thirds of the time.
build-stars = $(if $(call changed,$1),mkdir -p $(ARCHIVES) && rm -f $(patsubst %,$(ARCHIVES)/%-[0-9]*,$(call changed,$1)) && \
	$(BIN)/stellar build-star $(addprefix $2/,$(call changed,$1)) --out $(ARCHIVES) --home $(HOME_FOLDER) --level 3 --progress plain \
	$(SOURCES_OPTION) >/dev/null)

# The keys first: while apt fetches its lists for the binary, the stars would wait for it.
$(MADE)/debian-stars: stars $(STAR_FILES) $(MAKERS) | $(VENV)/run.stamp $(HOME_FOLDER)/trust/trust.toml
	@mkdir -p $(@D)
	@$(call build-stars,$(filter-out cosmos,$(STARS)),stars)
	@touch $@

$(MADE)/stars: build/stars/cosmos/star.toml $(MADE)/debian-stars $(MAKERS)
	@$(call build-stars,cosmos,build/stars)
	@touch $@

$(MADE)/galaxy: $(MADE)/stars | $(HOME_FOLDER)/trust/trust.toml
	@.ci/galaxy $(STARS)
	@touch $@

# If the galaxy has started again since (see .ci/galaxy), the old lock names stars that no longer exist.
$(IMAGE)/universe.lock.toml: $(MADE)/galaxy $(filter-out %.lock.toml %/expected.toml,$(wildcard $(IMAGE)/*.toml))
	@if [ $(HOME_FOLDER)/galaxy-began -nt $@ ]; then rm -f $@; fi
	@$(BIN)/cosmos freeze $(IMAGE) --upgrade >/dev/null
	@touch $@

include freeze/binary.mk
