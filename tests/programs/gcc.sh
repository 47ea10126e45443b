#!/usr/bin/env bash
# g++ on a large generated file: the object file is the one it makes without the library.
# needs: g++
# packages: g++
# timeout: 240
source "$(dirname "$0")/lib/common.sh"

source "$lib/big_cpp.sh" 20
loads "$(g++ -print-prog-name=cc1plus)" "$(g++ -print-prog-name=as)"
preloaded g++ -std=c++17 -O1 -c big.cpp -o ours.o
g++ -std=c++17 -O1 -c big.cpp -o theirs.o
cmp ours.o theirs.o
