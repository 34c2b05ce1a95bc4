# Two commands: `make demo` and `make test`. Both install what is missing (regtest/setup.sh), then do their job.
.PHONY: demo test bench fuzz setup guest

CARGO ?= cargo
env = eval "$$(regtest/setup.sh --env)" &&

setup:
	@regtest/setup.sh

# A whole bridge on regtest; prints a timeline and writes target/demo/report.json. ARGS go to `trestle demo`.
demo: setup
	@$(env) $(CARGO) run --locked --release -p trestle-cli --bin trestle -- demo $(ARGS)

# Two tests for each core at a time: those with processes of their own mostly wait for them.
test: setup
	@$(env) RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$((2 * $$(nproc)))} $(CARGO) test --locked --workspace

# One JSON object a line on stdout; everything else on stderr.
bench: setup
	@$(env) $(CARGO) bench --locked -p trestle-cli --bench figures
	@$(CARGO) bench --locked -p trestle-challenger --bench simulation

# The program that the machine runs, its hash and its toolchain: all committed. `zkvm-adapter/guest/build.sh --check` compares.
guest: setup
	@zkvm-adapter/guest/build.sh

# Coverage-guided, needs nightly and cargo-fuzz; every target for SECONDS. `make test` runs those of taptree-trace on
# random inputs without them.
fuzz:
	cd rollup && for target in apply_block parse_transaction; do \
		$(CARGO) +nightly fuzz run $$target -- -max_total_time=$(or $(SECONDS),60) || exit; done
	cd taptree-trace && for target in read_witness judge_leaf operator_keys compress; do \
		$(CARGO) +nightly fuzz run $$target -- -max_total_time=$(or $(SECONDS),60) -max_len=1024 || exit; done
