#!/usr/bin/env bash
# clang++ on a large generated file: the object file is the one it makes without the library.
# needs: clang++ g++
# packages: clang g++
# timeout: 240
source "$(dirname "$0")/lib/common.sh"

source "$lib/big_cpp.sh" 20
loads clang++
preloaded clang++ -std=c++17 -O1 -c big.cpp -o ours.o
clang++ -std=c++17 -O1 -c big.cpp -o theirs.o
cmp ours.o theirs.o
