#!/usr/bin/env bash
# The JSON library jsoncpp, in C++: a map node and a string for every value.
# needs: g++ dpkg-source
# packages: g++ dpkg-dev
# timeout: 600
source "$(dirname "$0")/lib/common.sh"

source_of libjsoncpp
cd source
quiet g++ -O1 -w -Iinclude -o jsoncpp_test src/lib_json/*.cpp src/test_lib_json/*.cpp
both "sed -n 's/^All \([0-9]*\) tests passed.*/\1/p'" ./jsoncpp_test
