# Two commands are all the set-up a fresh machine needs: `make run` and `make test`.
# Everything is built with one profile into one folder outside the clone (MOONGATE_CACHE, default ~/.cache/moongate).

SHELL := /bin/bash
in_env = . scripts/environment.sh && cd "$$repo" &&
cargo = $(in_env) scripts/sources.sh && cargo
# Always all of the workspace: of fewer packages the features of what they share would be others, and most would be built twice.
build = $(cargo) build --release --workspace --bins

.DEFAULT_GOAL := help
.PHONY: help run test test-images test-batch test-files test-cache test-hdfs test-csi test-auth test-policy test-spark test-simulation bench fmt lint docs

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1@\2/p' Makefile | column -t -s @

run: ## Build and start a gateway on loopback; ARGS="--image-listen 127.0.0.1:0 ..." goes to `moongate serve`
	@exec scripts/run.sh $(ARGS)

test: ## Everything: format, lints, unit, property, model, simulation and end-to-end tests
	@exec scripts/test.sh

test-images: ## The end-to-end tests of the image service alone
	@scripts/install.sh faketime
	@$(build)
	@$(cargo) test --release --workspace --test images --test layout $(ARGS)

test-batch: ## The end-to-end tests of batches, of the command line's clients and of the Python client
	@scripts/install.sh python3-venv tar unzip libarchive-tools
	@$(build)
	@$(cargo) test --release --workspace --test batch --test client $(ARGS)

test-files: ## The end-to-end tests of the file port alone; MOONGATE_TEST_SCALE=full is what CI runs
	@scripts/install.sh python3 tar unzip libarchive-tools faketime
	@$(build)
	@$(cargo) test --release --workspace --test files $(ARGS)

test-policy: ## The end-to-end tests of policies, permissions and audit, and the engine against Ranger's own answers
	@$(build)
	@$(cargo) test --release --workspace --test policy $(ARGS)
	@$(cargo) test --release -p moongate-auth $(ARGS)

test-cache: ## The end-to-end tests of mounts, WebHDFS and the cache, against a real HDFS, an HA pair and an S3 server, and of the stores behind them
	@scripts/install.sh python3-venv
	@scripts/hadoop.sh >/dev/null
	@scripts/versitygw.sh >/dev/null
	@$(build)
	@$(cargo) test --release --workspace --test cache $(ARGS)
	@$(cargo) test --release -p moongate-cache $(ARGS)

test-hdfs: ## The end-to-end tests of hdfs:// itself, by Hadoop's shell and hdfs-native, against a real HDFS
	@scripts/hadoop.sh >/dev/null
	@$(build)
	@$(cargo) test --release --workspace --test hdfs $(ARGS)

test-csi: ## moongate-csi on a real GlusterFS of three nodes in namespaces (root), csi-sanity with its counts; about three minutes
	@scripts/install.sh glusterfs-server glusterfs-client xfsprogs iproute2 util-linux
	@scripts/csi-sanity.sh >/dev/null
	@$(build)
	@$(cargo) test --release --workspace --test csi $(ARGS) -- --test-threads 1 --nocapture
	@$(cargo) test --release -p moongate-csi $(ARGS)

test-auth: ## The end-to-end tests of logins, against a real KDC, an HDFS that wants tickets, and clients of other makes
	@scripts/install.sh krb5-kdc krb5-admin-server krb5-user faketime python3-requests-kerberos slapd
	@scripts/hadoop.sh >/dev/null
	@$(build)
	@$(cargo) test --release --workspace --test auth $(ARGS)
	@$(cargo) test --release -p moongate-auth $(ARGS)

test-spark: ## Spark 4.1 and 4.3 through the gateway, beside the same job on HDFS direct; downloads 500 MB a version, once
	@scripts/install.sh python3-venv krb5-kdc krb5-admin-server krb5-user
	@scripts/hadoop.sh >/dev/null
	@$(build)
	@$(cargo) test --release --workspace --test cache spark -- --ignored
	@$(cargo) test --release --workspace --test hdfs spark -- --ignored
	@$(cargo) test --release --workspace --test auth spark -- --ignored

test-simulation: ## The simulation alone; MOONGATE_SIM_SEEDS=100000 runs longer, MOONGATE_SIM_FROM=2000 begins there, MOONGATE_SIM_SEED=7 replays one
	@scripts/install.sh
	@$(cargo) test --release -p moongate-haystack simulation $(ARGS)

bench: ## The benchmarks; writes docs/benchmarks.md. ARGS="--quick --only get" goes to moongate-bench
	@scripts/install.sh fio iproute2 default-jdk-headless
	@scripts/hadoop.sh >/dev/null
	@$(build)
	@$(in_env) exec "$$CARGO_TARGET_DIR/release/moongate-bench" --dir "$$CARGO_TARGET_DIR" $(ARGS)

fmt: ## Format the code
	@$(cargo) fmt --all

lint: ## Format, clippy, spelling, licenses, bans and sources, without the tests
	@scripts/install.sh python3-venv
	@$(cargo) fmt --all --check
	@$(cargo) clippy --release --workspace --all-targets -- -D warnings
	@scripts/lint.sh

docs: ## Make docs/config.md anew from the code
	@UPDATE_DOCS=1; export UPDATE_DOCS; $(cargo) test --release -p moongate reference
