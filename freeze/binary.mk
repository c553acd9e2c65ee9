# The single-file binary and the locks. Included by the Makefile.
PYTHON ?= python3

.PHONY: binary
binary: $(VENV)/run.stamp ## build the single-file cosmos, the same bytes each time, and the star that carries it
	@$(PYTHON) freeze/build_binary.py $(SOURCES_OPTION)

# Versions move only when somebody asks. No address is written: each machine takes the packages from where its pip does.
PIP_TOOLS := build/pip-tools
COMPILE := CUSTOM_COMPILE_COMMAND='make requirements' $(CURDIR)/$(PIP_TOOLS)/bin/pip-compile --quiet --no-config --upgrade \
	--generate-hashes --allow-unsafe --strip-extras --resolver=backtracking \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

.PHONY: requirements
requirements: ## lock the newest packages, with hashes
	@test -x $(PIP_TOOLS)/bin/pip-compile || { $(PYTHON) -m venv $(PIP_TOOLS) && $(PIP_TOOLS)/bin/pip install --quiet pip-tools==7.6.2; }
	@$(COMPILE) --output-file=requirements.txt pyproject.toml
	@$(COMPILE) --output-file=requirements-dev.txt requirements-dev.in
	@cd freeze && $(COMPILE) --output-file=requirements-binary.txt requirements-binary.in
