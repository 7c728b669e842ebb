# What a newcomer types: `make demo` and `make test`. It needs Python 3.10 to 3.12 (with venv and
# headers), g++ (C++20), git and make; all else, CMake and Ninja too, comes from PyPI.
#
#   make demo      the whole loop, about 25 minutes on two cores; DEMO_FLAGS=--quick for three
#   make test      all Python tests; PYTEST_FLAGS passes flags on
#   make lint      ruff, mypy, import-linter, stubtest, clang-format
#   make kernels   the Triton kernels compiled ahead of time, no GPU needed, against the table
#   make cpp-test  the C++ tests; PRESET=asan, tsan or debug; CPP_TESTS="core env" for some of them
#   make fuzz      house loader and asset pack reader under libFuzzer (Clang) or their own driver
#                  (g++), FUZZ_SECONDS each
#   make clean     removes .venv and build
#
# PYTHON=python3.11 chooses the interpreter of a new .venv.

PYTHON ?= python3
VENV ?= .venv
PRESET ?= release
CPP_TESTS ?= core rollout sim render env thor fuzz
FUZZ_SECONDS ?= 60
FUZZ_CXX ?= $(firstword $(shell command -v clang++ g++))
DEMO_FLAGS ?=
PYTEST_FLAGS ?=

BIN := $(VENV)/bin
space := $(subst ,, )
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# The core is compiled when flare is installed: again when one of these changes.
SOURCES := pyproject.toml constraints.txt CMakeLists.txt \
  $(shell find csrc third_party/nlohmann -type f -not -path 'csrc/tests/*' -not -path 'csrc/fuzz/*')

.DELETE_ON_ERROR:
.PHONY: demo test lint kernels cpp-test fuzz dev clean

demo: $(VENV)/installed
	$(BIN)/flare demo $(DEMO_FLAGS)

test: $(VENV)/installed-test
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

# The link shows mypy where flare.kernels lies in the checkout; installing maps it.
lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	ln -sfn ../kernels flare/kernels
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m mypy.stubtest flare._core --allowlist .stubtest-allowlist
	find csrc '(' -name '*.hpp' -o -name '*.cpp' ')' -print0 | xargs -0 $(BIN)/clang-format --dry-run -Werror

kernels: $(VENV)/installed-test
	$(BIN)/python scripts/compile_kernels.py

cpp-test: export PATH := $(abspath $(BIN)):$(PATH)
cpp-test: $(VENV)/installed-dev
	cmake --preset $(PRESET) -DFLARE_BUILD_MODULE=OFF
	cmake --build --preset $(PRESET) --target $(addprefix test_,$(CPP_TESTS))
	ctest --preset $(PRESET) --no-tests=error -R '^($(subst $(space),|,$(strip $(CPP_TESTS))))'

# What is found goes on in build/fuzz/found; an input that something dies of lies in build/fuzz.
fuzz: export PATH := $(abspath $(BIN)):$(PATH)
fuzz: $(VENV)/installed-dev
	cmake --preset fuzz -DFLARE_BUILD_MODULE=OFF -DCMAKE_CXX_COMPILER=$(FUZZ_CXX)
	cmake --build --preset fuzz --target test_fuzz
	mkdir -p build/fuzz/found/house build/fuzz/found/pack
	cd build/fuzz && csrc/fuzz/fuzz_house -max_total_time=$(FUZZ_SECONDS) -max_len=65536 \
	  -dict=$(CURDIR)/csrc/fuzz/house.dict found/house $(CURDIR)/csrc/fuzz/corpus/house
	cd build/fuzz && csrc/fuzz/fuzz_pack -max_total_time=$(FUZZ_SECONDS) -max_len=4096 \
	  found/pack $(CURDIR)/csrc/fuzz/corpus/pack

dev: $(VENV)/installed-dev

clean:
	rm -rf $(VENV) build

$(BIN)/python:
	@scripts/check_machine.sh $(PYTHON)
	$(PYTHON) -m venv $(VENV)

# Stamps: what is installed is not looked at again, so a second `make test` starts at once.
$(VENV)/installed: $(SOURCES) | $(BIN)/python
	@scripts/check_machine.sh $(BIN)/python
	@echo "Installing into $(VENV): downloads PyTorch and compiles the core, some minutes."
	$(INSTALL) --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(INSTALL) 'flare-rl[test]'
	$(INSTALL) --no-deps ai2thor==5.0.0
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed-test
	$(INSTALL) 'flare-rl[dev]'
	@touch $@
