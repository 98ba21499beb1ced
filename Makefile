# Seatkeeper. `make help` lists what there is.
#
# PORT   port of the local stack (4566); another checkout takes another one
# AUTH   true: the local stack enforces the roles' IAM policies

export PORT AUTH
export SAM_CLI_TELEMETRY := 0

VENV  := .local/venv
TOOLS := .local/tools
PYTHON := $(VENV)/bin/python
STACK := .local/stack.json
BENCH := .local/bench

export PATH := $(CURDIR)/.local/cargo/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo browser up down logs mails token clean-data build test screenshots fuzz bench fmt lint verify proofs sam-build deploy

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: up ## Play the whole story on the local stack, which stays up afterwards
	$(PYTHON) local/demo.py --stack $(STACK)

browser: up $(VENV)/.browser ## Visit the learner's pages on the local stack with Chromium; SCREENSHOTS=docs/screenshots keeps pictures
	$(PYTHON) local/browser.py --stack $(STACK) $(if $(SCREENSHOTS),--screenshots $(SCREENSHOTS))

up: build $(VENV)/.installed ## Start the local stack and deploy template.yaml to it
	@$(PYTHON) local/stack.py up

down: ## End the local stack, keeping its data
	@python3 local/stack.py down

logs: $(VENV)/.installed ## Print what the functions logged; FOLLOW=1 keeps printing
	@$(PYTHON) local/stack.py logs $(if $(FOLLOW),--follow)

mails: ## Print the newest mails with their links; TO=ada@acme.example prints hers whole, LAST=50 more of them
	@python3 local/mails.py --to '$(TO)' $(if $(LAST),--last '$(LAST)')

token: $(VENV)/.installed ## Print a caller's token: ROLE=client_admin CLIENT=acme [GROUPS=grp_a,grp_b]
	@: $(if $(ROLE),,$(error ROLE is missing: make token ROLE=client_admin CLIENT=acme))
	@$(PYTHON) local/sign_in.py --role '$(ROLE)' --client '$(CLIENT)' --groups '$(GROUPS)'

clean-data: ## Forget the local stack's data
	@python3 local/stack.py clean-data

build: ## Build the functions for the local stack
	cargo build --locked --bins

# One build for the tests and for the functions that the end-to-end tests deploy: with features of
# its own each of the two would compile the AWS SDK again.
test: .local/nextest $(VENV)/.installed ## Run the tests
	cargo build --workspace --bins --tests --locked
	cargo nextest run --workspace --locked

screenshots: ## Picture mails into docs/screenshots, with a headless Chromium
	@python3 local/screenshots.py

fuzz: .local/nextest ## Search for spreadsheets that get no answer, SECONDS=60 in each format
	SEATKEEPER_FUZZ_SECONDS=$(or $(SECONDS),60) cargo nextest run --locked --profile verify \
		--package seatkeeper-spreadsheet --no-capture --filterset 'binary(fuzz)'

bench: $(BENCH)/.installed ## Measure reading and importing spreadsheets against others
	cargo build --release --locked --package seatkeeper-benches
	$(BENCH)/venv/bin/python benches/reading.py
	cargo build --profile proofs --locked --package seatkeeper-bench-importing
	$(BENCH)/venv/bin/python benches/importing.py

fmt: ## Format the code
	cargo fmt --all

lint: $(TOOLS)/.installed ## Check format, lints, template and licenses
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	$(TOOLS)/bin/cfn-lint template.yaml
	$(TOOLS)/bin/sam validate --lint --region us-east-1
	@if command -v cargo-deny >/dev/null; then cargo deny --locked check; else echo 'cargo-deny is not installed: licenses and advisories were not checked'; fi

verify: lint test browser proofs ## Everything that must hold before a release; takes hours
	@python3 local/stack.py down

# In a profile of their own: they compute for an hour. The functions on the local stack stay as they are.
proofs: .local/nextest $(VENV)/.installed ## Run the long proofs and print their table; ONLY=model runs those that begin so
	cargo build --workspace --bins --tests --locked
	cargo build --workspace --tests --locked --profile proofs
	python3 tests/verify.py --only '$(ONLY)'

sam-build: $(TOOLS)/.installed ## Build the functions for AWS
	PATH='$(CURDIR)/$(TOOLS)/bin':"$$PATH" sam build $(if $(ARCHITECTURE),--parameter-overrides Architecture=$(ARCHITECTURE))

deploy: sam-build ## Deploy to the AWS account of the shell; asks what samconfig.toml does not say
	PATH='$(CURDIR)/$(TOOLS)/bin':"$$PATH" sam deploy --guided

# Tools, each in a folder of its own under .local/

$(VENV)/.installed: local/requirements.txt
	@echo 'Installing the local stack into $(VENV)' >&2
	@python3 -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

$(VENV)/.browser: $(VENV)/.installed local/requirements-browser.txt
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --requirement local/requirements-browser.txt
	@touch $@

$(TOOLS)/.installed: local/requirements-deploy.txt
	@echo 'Installing the deployment tools into $(TOOLS)' >&2
	@python3 -m venv $(TOOLS)
	@$(TOOLS)/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

$(BENCH)/.installed: benches/requirements.txt benches/package.json
	@echo 'Installing what is compared with into $(BENCH)' >&2
	@command -v npm >/dev/null || { echo 'make bench needs Node.js and npm' >&2; exit 1; }
	@python3 -m venv $(BENCH)/venv
	@$(BENCH)/venv/bin/pip install --quiet --disable-pip-version-check --requirement benches/requirements.txt
	@cp benches/package.json $(BENCH)/
	@npm install --prefix $(BENCH) --no-audit --no-fund --silent
	@cargo install dynoxide-rs --version 3.2.0 --locked --root $(BENCH) \
		--no-default-features --features native-sqlite,http-server,cli
	@touch $@

.local/nextest:
	@mkdir -p .local
	@command -v cargo-nextest >/dev/null \
		|| (command -v cargo-binstall >/dev/null && cargo binstall --no-confirm --root .local/cargo cargo-nextest) \
		|| cargo install --locked --root .local/cargo cargo-nextest
	@touch $@
