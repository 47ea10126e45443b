#!/usr/bin/env bash
# git with its threads: a history is made, repacked, cloned, checked and compared with the original.
# needs: git
# packages: git
# timeout: 240
# runs: 2
source "$(dirname "$0")/lib/common.sh"

export GIT_CONFIG_NOSYSTEM=1 HOME=$work
git config --global user.name test
git config --global user.email test@localhost
git config --global init.defaultBranch main
git config --global pack.threads 2
git config --global index.threads 2
git config --global gc.auto 0
loads git

# 150 commits that change 40 of 400 files each, as one stream.
awk 'BEGIN {
    for (c = 1; c <= 150; c++) {
        printf "commit refs/heads/main\ncommitter test <test@localhost> %d +0000\ndata 9\ncommit %02d\n", 1e9 + c, c % 100
        for (f = 0; f < 40; f++) {
            text = ""
            for (l = 0; l < 40; l++) text = text "line " l " of commit " (c - l % 7) " " (c * f * l) % 9973 "\n"
            printf "M 100644 inline d%d/f%d\ndata %d\n%s\n", f % 8, (c * 7 + f) % 400, length(text), text
        }
    }
}' >stream
git init -q original
preloaded git -C original fast-import --quiet <stream
same 'commits' 150 "$(preloaded git -C original rev-list --count main)"
preloaded git -C original checkout -q main

preloaded git clone -q "file://$work/original" copy
preloaded git -C copy gc -q --aggressive --prune=now
preloaded git -C copy fsck --full --strict
same 'head' "$(git -C original rev-parse main)" "$(git -C copy rev-parse HEAD)"
same 'loose objects after gc' 0 "$(git -C copy count-objects | cut -d' ' -f1)"
for question in 'log --stat --reverse -M' 'blame d3/f3' 'grep -c of.commit.99 HEAD~10' 'shortlog -s HEAD'; do
    # shellcheck disable=SC2086 # a command line
    preloaded git -C copy --no-pager $question >ours
    # shellcheck disable=SC2086
    git -C original --no-pager $question >theirs
    [ -s theirs ] || fail "git $question says nothing"
    cmp ours theirs || fail "git $question"
done
diff -r --exclude=.git original copy || fail 'the files differ'
