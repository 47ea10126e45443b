# What the scripts here share. Each builds a library from its Debian source package, and runs the library's own test suite twice:
# on the system's malloc and on ours. Both must pass the same number of tests, and not one fewer.
#
#     RALLOC_LIB=/path/to/libralloc.so bash tests/suites/expat.sh
#
# `cargo xtask suites` runs them all; what the comment at a script's top may tell it is described in xtask/src/programs.rs.
# shellcheck source=tests/programs/lib/common.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../programs/lib/common.sh"

# Package lists and sources stay here from one script to the next.
cache=${RALLOC_CACHE:-$work}
mkdir -p "$cache/lists/partial" "$cache/sources.d" "$cache/archives"

# The machine's own package sources, asked for source packages, without a change to the machine: apt TOOL WORD...
apt() {
    local tool=$1
    shift
    "apt-$tool" -q -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$cache/sources.d" \
        -o Dir::State::Lists="$cache/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
        -o APT::Sandbox::User=root "$@"
}

# Downloads the newest version of a package that is really there: lists may name one that has been replaced.
download() {
    local version
    for version in $(apt cache showsrc "$1" | sed -n 's/^Version: //p' | sort -rV | uniq); do
        apt get source --download-only "$1=$version" && return
    done
    return 1
}

# source_of PACKAGE: unpacks it into ./source.
source_of() {
    command -v apt-get dpkg-source >/dev/null || lacking 'needs apt-get and dpkg-source'
    (
        flock 9
        if [ ! -e "$cache/updated" ]; then
            for file in /etc/apt/sources.list.d/*.sources; do
                [ -e "$file" ] && sed 's/^Types:.*/Types: deb-src/' "$file" >"$cache/sources.d/$(basename "$file")"
            done
            for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
                [ -e "$file" ] && sed -n 's/^deb /deb-src /p' "$file" >"$cache/sources.d/$(basename "$file" .list).list"
            done
            apt get update >log 2>&1 && touch "$cache/updated" || { tail -n 5 log; exit 1; }
        fi
        cd "$cache/archives" && download "$1" >"$work/log" 2>&1
    ) 9>"$cache/lock" || { tail -n 5 log; lacking "needs the Debian source package $1"; }
    local found
    found=$(find "$cache/archives" -name "$1_*.dsc" | sort -V | tail -n 1)
    dpkg-source --extract "$found" source >log 2>&1 ||
        { tail -n 5 log; fail 'dpkg-source'; }
}

# quiet COMMAND: its output is shown only if it fails.
quiet() {
    "$@" >log 2>&1 </dev/null || { tail -n 30 log; fail "$*"; }
}

# The loader goes on without a library that it cannot load, and says so where the suite's output goes: served FILE looks for that, and
# whether programs have the library at all.
served() {
    ! grep 'ERROR: ld.so: object' "$1" || fail 'the library was not preloaded'
    preloaded cat /proc/self/maps | grep -qF "$RALLOC_LIB" || fail 'programs run without the library'
}

# both COUNT COMMAND: runs the suite on the system's malloc and on the library. COUNT is a command that finds in the output, given to
# it as standard input, how many tests have passed.
both() {
    local count=$1
    shift
    "$@" >theirs 2>&1 </dev/null || { tail -n 30 theirs; fail "without the library: $*"; }
    preloaded "$@" >ours 2>&1 </dev/null || { tail -n 30 ours; fail "on the library: $*"; }
    served ours
    local control found
    control=$(eval "$count" <theirs)
    found=$(eval "$count" <ours)
    [ "${control:-0}" -gt 0 ] || { tail -n 30 theirs; fail 'no test has passed without the library'; }
    same 'passed tests' "$control" "$found"
    echo "FIGURES $control passed on the system's malloc, $found on the library"
}

# How many tests automake's harness has counted as passed.
automake="sed -n 's/^# PASS: *//p' | awk '{ n += \$1 } END { print n }'"
