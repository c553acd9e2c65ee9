# The single-file binary and the locks. Included by the Makefile.
PYTHON ?= python3

.PHONY: binary
binary: $(VENV)/run.stamp ## build the single-file cosmos, the same bytes each time, and the star that carries it
	@$(BIN)/python freeze/build_binary.py $(SOURCES_OPTION)

PREFIX ?= /usr/local
DESTDIR ?=
SHARE = $(DESTDIR)$(PREFIX)/share

.PHONY: install
install: build/stars/cosmos/star.toml ## put the binary, manual pages and completions below PREFIX=/usr/local
	@install -D -m 755 build/stars/cosmos/files/usr/bin/cosmos '$(DESTDIR)$(PREFIX)/bin/cosmos'
	@ln -sf cosmos '$(DESTDIR)$(PREFIX)/bin/stellar'
	@for name in cosmos stellar; do \
		program='$(DESTDIR)$(PREFIX)/bin'/$$name; \
		$$program manual '$(SHARE)/man/man1' && \
		install -d '$(SHARE)/bash-completion/completions' '$(SHARE)/zsh/site-functions' '$(SHARE)/fish/vendor_completions.d' && \
		$$program completion bash >'$(SHARE)/bash-completion/completions'/$$name && \
		$$program completion zsh >'$(SHARE)/zsh/site-functions'/_$$name && \
		$$program completion fish >'$(SHARE)/fish/vendor_completions.d'/$$name.fish || exit; \
	done
	@echo 'installed $(DESTDIR)$(PREFIX)/bin/cosmos and stellar'

.PHONY: wheel
wheel: $(VENV)/run.stamp ## make the wheel, for pipx install: build/wheel/*.whl
	@rm -rf build/wheel build/man && for name in cosmos stellar; do $(BIN)/$$name manual build/man; done
	@$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir build/wheel .
	@ls build/wheel/*.whl

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
	@$(COMPILE) --output-file=requirements-bench.txt requirements-bench.in
	@$(COMPILE) --output-file=requirements-book.txt requirements-book.in
	@cd freeze && $(COMPILE) --output-file=requirements-binary.txt requirements-binary.in
