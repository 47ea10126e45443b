#!/usr/bin/env bash
# make -j2 builds a real C project, the Lua interpreter, and everything that takes part is on the library:
# the build is bit for bit the one without it, and the interpreter works.
# needs: cargo make gcc
# packages: make gcc libc6-dev
# timeout: 240
source "$(dirname "$0")/lib/common.sh"

# The source comes as a package for cargo.
mkdir -p fetch/src && touch fetch/src/lib.rs
cat >fetch/Cargo.toml <<'END'
[package]
name = "fetch"
edition = "2021"
[dependencies]
lua-src = "=551.1.0"
[workspace]
END
(cd fetch && cargo vendor --quiet vendor >/dev/null) || lacking 'needs the source of Lua (the package lua-src, by cargo vendor)'

cat >Makefile <<'END'
CFLAGS = -O2 -g -std=c99 -DLUA_USE_POSIX
objects = $(patsubst %.c,%.o,$(wildcard *.c))
lua: $(objects)
	$(CC) -o $@ $^ -lm
END
# The package has the language and not the program.
cat >main.c <<'END'
#include "lauxlib.h"
#include "lualib.h"
#include <stdio.h>

int main(int argc, char **argv) {
    lua_State *lua = luaL_newstate();
    luaL_openlibs(lua);
    lua_newtable(lua);
    for (int i = 1; i < argc; i++) {
        lua_pushstring(lua, argv[i]);
        lua_rawseti(lua, -2, i - 1);
    }
    lua_setglobal(lua, "arg");
    int failed = luaL_dofile(lua, argv[1]);
    if (failed) fprintf(stderr, "%s\n", lua_tostring(lua, -1));
    lua_close(lua);
    return failed;
}
END

# build COMMAND: makes COMMAND.lua, in the same directory each time, for its name gets into the file.
build() {
    rm -rf lua && cp -r fetch/vendor/lua-src/lua-5.4.* lua && cp main.c Makefile lua
    "$@" make -C lua -j2 CC=gcc >log || { tail -n 20 log; fail "$*"; }
    cp lua/lua "$1.lua"
}
loads make gcc "$(gcc -print-prog-name=cc1)" "$(gcc -print-prog-name=ld)"
build preloaded
build env
cmp preloaded.lua env.lua

preloaded ./preloaded.lua "$lib/work.lua" "$RALLOC_LIB" >ours || fail "$(cat ours)"
./env.lua "$lib/work.lua" >theirs
[ -s theirs ] || fail 'lua says nothing'
diff theirs ours
