#!/usr/bin/env bash
# The XML library tinyxml2, in C++, with pools of its own over new and delete.
# needs: g++ dpkg-source
# packages: g++ dpkg-dev
# ci: yes
# timeout: 600
source "$(dirname "$0")/lib/common.sh"

source_of tinyxml2
cd source
quiet g++ -O1 -o xmltest xmltest.cpp tinyxml2.cpp
mkdir -p resources/out
both "sed -n 's/.*Pass \([0-9]*\), Fail 0.*/\1/p' | tail -n 1" ./xmltest
