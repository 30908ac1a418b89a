# make demo   train FCNs that segment MRI slices; then open runs/demo/report.html
# make test   set up in the same way and run all tests
#
# Both build the package and install it into .venv, and touch nothing else on the machine.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
SOURCE := $(shell find src core -type f -not -name '*.so' -not -path '*/__pycache__/*') CMakeLists.txt pyproject.toml
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
RUFF   := $(BIN)/ruff
CLANG  := $(BIN)/clang-format
CXX_SOURCE := $(wildcard core/*.?pp core/kernels/*.?pp core/ort/*.?pp)

.PHONY: demo test soak test-frameworks lint format bench docs stubs sanitize coverage wheels check-wheels check-sdist test-arm clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	$(BIN)/tconv demo --out runs/demo

# Two processes share the test files; tests/conftest.py divides the processors between them. If one dies, the run
# ends and says in which test: pytest-xdist 3.8 may wait without end for the one that would replace it.
WORKERS ?= 2
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --max-worker-restart 0

# Random problems, broken files and kills, others with every SEED.
MINUTES ?= 30
SEED ?= 0
soak: $(VENV)/.dev
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --seed $(SEED)

# The conventions against each real framework, in a separate environment: TensorFlow's pins conflict with tconv's.
# The peers of the extra bench-more, which only that environment has, as well.
PEERS := $(VENV)-frameworks
test-frameworks: $(PEERS)/.done
	$(PEERS)/bin/python -m pytest -c tests/frameworks/pytest.ini tests/frameworks
	$(PEERS)/bin/python -m pytest -c tests/frameworks/pytest.ini tests/bench/test_engines.py -k "mnn or ncnn or litert"

lint: $(VENV)/.dev
	$(RUFF) check .
	$(RUFF) format --check .
	$(CLANG) --dry-run --Werror $(CXX_SOURCE)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(RUFF) check --fix .
	$(RUFF) format .
	$(CLANG) -i $(CXX_SOURCE)

bench: $(VENV)/.dev
	$(BIN)/tconv bench

docs: $(VENV)/.dev
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo docs/_build/html/index.html

coverage: $(VENV)/.dev
	$(BIN)/python -m pytest --cov=tconv --cov-report=term-missing:skip-covered

# The type stub of the compiled module is generated; a test compares it with the committed one.
stubs: $(VENV)/.dev
	$(BIN)/python -m nanobind.stubgen -m tconv._core -o src/tconv/_core.pyi

# The kernel tests under AddressSanitizer and UndefinedBehaviorSanitizer, with the matrix registers of AMX emulated in
# software.
SANITIZED := build/sanitize/site
sanitize: $(VENV)/.dev
	$(BIN)/cmake -S . -B build/sanitize -G Ninja -DTCONV_SANITIZE=ON -DTCONV_EMULATE_TILES=ON -DPython_EXECUTABLE=$(abspath $(BIN))/python \
		-DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja > /dev/null
	$(BIN)/cmake --build build/sanitize
	rm -rf $(SANITIZED) && mkdir -p $(SANITIZED)
	cp -r src/tconv $(SANITIZED)/tconv && rm -f $(SANITIZED)/tconv/_core*.so $(SANITIZED)/tconv/lib/*.so
	$(BIN)/cmake --install build/sanitize --prefix $(SANITIZED) > /dev/null
	LD_PRELOAD="$$($${CXX:-c++} -print-file-name=libasan.so) $$($${CXX:-c++} -print-file-name=libstdc++.so.6)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 PYTHONPATH=$(SANITIZED) TCONV_EXPECT_SANITIZED=1 \
		$(BIN)/python -m pytest -n $(WORKERS) --max-worker-restart 0 -p no:cacheprovider \
		tests/core/test_kernels.py tests/planning/test_plans.py tests/core/test_halves.py tests/core/test_matrix.py \
		tests/core/test_col2im.py tests/core/test_range.py tests/core/test_uneven.py tests/core/test_activations.py \
		tests/planning/test_choice.py

# Wheels for Linux and macOS on x86-64 and ARM, in dist/, cross-compiled by zig; for each Python and target named. The second
# target tests those for this machine in empty environments.
PYTHONS ?= python3.11 python3.12
TARGETS ?= x86_64-linux aarch64-linux arm64-macos x86_64-macos
wheels:
	$(PYTHON) wheels/build.py --python $(PYTHONS) --target $(TARGETS)

check-wheels:
	set -e; for python in $(PYTHONS); do \
		case $$($$python -c 'import sys; print(sys.version_info[1])') in 11) tag=cp311;; *) tag=abi3;; esac; \
		$$python wheels/check.py dist/tconv-*-$$tag-manylinux*_$$(uname -m).whl; \
	done

# The source distribution, unpacked into an empty folder and installed from there into an empty environment.
check-sdist: $(VENV)/.dev
	rm -rf build/sdist
	$(BIN)/python -m build --sdist --outdir build/sdist .
	$(PYTHON) wheels/check.py build/sdist/tconv-*.tar.gz tests/core/test_cpu.py

# The tests of core, planning and ops with the ARM wheel, in emulation; ARM=--part takes minutes.
ARM ?=
test-arm:
	python3.11 wheels/arm.py $(ARM) dist/tconv-*-cp311-cp311-manylinux*_aarch64.whl

clean:
	rm -rf build dist $(VENV) $(PEERS) docs/_build

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The rules below reinstall tconv whenever a source is newer. That is quick, since the dependencies are already installed
# and CMake builds only what has changed.
$(VENV)/.demo: $(BIN)/python $(SOURCE) constraints.txt
	$(PIP) '.[train]'
	@touch $@

$(VENV)/.dev: $(BIN)/python $(SOURCE) constraints.txt
	$(PIP) '.[dev]'
	@touch $@

# Keras 3.14 is installed next to the newer version, for the one test that compares them.
$(PEERS)/.done: $(SOURCE) tests/frameworks/constraints.txt
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip --disable-pip-version-check install --quiet -c tests/frameworks/constraints.txt '.[frameworks]'
	test -d $(PEERS)/keras-3.14 || $(PEERS)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps \
		--target $(PEERS)/keras-3.14 keras==3.14.0
	@touch $@
