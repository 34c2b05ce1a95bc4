# Two commands: `make demo` and `make test`. Both install what is missing (regtest/setup.sh), then do their job.
.PHONY: demo test bench fuzz setup guest

CARGO ?= cargo
env = eval "$$(regtest/setup.sh --env)" &&

setup:
	@regtest/setup.sh

# A whole bridge on regtest; prints a timeline and writes target/demo/report.json. ARGS go to `trestle demo`.
demo: setup
	@$(env) $(CARGO) run --locked --release -p trestle-cli --bin trestle -- demo $(ARGS)

test: setup
	@$(env) $(CARGO) test --locked --workspace

# One JSON object a line on stdout; everything else on stderr.
bench: setup
	@$(env) $(CARGO) bench --locked -p trestle-cli --bench figures

# The program that the machine runs, its hash and its toolchain: all committed. `zkvm-adapter/guest/build.sh --check` compares.
guest: setup
	@zkvm-adapter/guest/build.sh

# Coverage-guided, needs nightly and cargo-fuzz; `make test` runs the same targets over the corpus without them.
fuzz:
	cd rollup && $(CARGO) +nightly fuzz run apply_block -- -max_total_time=$(or $(SECONDS),60)
