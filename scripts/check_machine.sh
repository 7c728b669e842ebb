#!/bin/sh
# What `make` needs before it can install: Python 3.10 to 3.12 with venv and headers, and a C++20
# compiler. Says in one line what is missing and how to get it.
#
#   scripts/check_machine.sh [PYTHON]
set -eu
python=${1:-python3}

refuse() {
  printf 'error: %s. Mend: %s.\n' "$1" "$2" >&2
  exit 2
}

command -v "$python" > /dev/null ||
  refuse "there is no $python" "install Python 3.10 to 3.12, or name yours: make PYTHON=python3.11"

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
case $version in
  3.10 | 3.11 | 3.12) ;;
  *) refuse "flare needs Python 3.10 to 3.12, $python is $version" "make PYTHON=python3.11" ;;
esac

"$python" -c 'import ensurepip, venv' 2> /dev/null ||
  refuse "$python cannot make virtual environments" "apt-get install python$version-venv"

"$python" -c '
import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' ||
  refuse "the headers of $python are not here (Python.h)" "apt-get install python$version-dev"

# The names under which CMake looks for a compiler.
compiler=${CXX:-$(for name in c++ g++ clang++; do command -v "$name" && break; done || true)}
command -v "${compiler%% *}" > /dev/null ||
  refuse "there is no C++ compiler${CXX:+ $CXX}" "apt-get install g++"
# Unquoted: CXX may hold flags.
printf '#include <concepts>\n#include <span>\n' |
  $compiler -std=c++20 -x c++ -fsyntax-only - 2> /dev/null ||
  refuse "$compiler does not compile C++20" "install g++ 11 or newer and set CXX to its name"
