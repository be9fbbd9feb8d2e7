#!/usr/bin/env bash
# The programs of examples/ on three nodes, built from what `meson install` installs: publishing while a node dies,
# following from a kept cursor, withdrawing from one account by several processes at once, listing what is there.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

say 'they build from the installed header, library and pkg-config file, in C11 and with all warnings'
quietly meson install -C "$EVGRID_BUILD" --no-rebuild --destdir "$work/root"
PKG_CONFIG_PATH=$(dirname "$(find "$work/root" -name evgrid.pc)")
export PKG_CONFIG_PATH
LD_LIBRARY_PATH=$(dirname "$(find "$work/root" -name libevgrid.so.0)")
prefix=$work/root$(pkg-config --variable=prefix evgrid)
read -ra flags < <(pkg-config --define-variable=prefix="$prefix" --cflags --libs evgrid)
for name in publish follow withdraw list; do
    [ -x "$EVGRID_BUILD/examples/example_$name" ] || fail "example_$name was not built"
    # shellcheck disable=SC2086 # flags, by words
    quietly "${CC:-cc}" ${CFLAGS:-} -std=c11 -Wall -Wextra -Wpedantic -Werror "examples/$name.c" \
        -o "$work/$name" "${flags[@]}"
done
if command -v c++ >/dev/null; then
    printf '#include <evgrid.h>\nint main() { return evg_version() == nullptr; }\n' >"$work/a.cc"
    # shellcheck disable=SC2086
    quietly "${CXX:-c++}" ${CFLAGS:-} -std=c++17 -Wall -Wextra -Wpedantic -Werror "$work/a.cc" \
        -o "$work/a" "${flags[@]}"
fi
[ -z "$(find "$work/root" -name '*.h' ! -name evgrid.h)" ] || fail 'another header is installed'
for page in man1/evgrid.1 man8/evgridd.8; do
    find "$work/root" -path "*/$page" | grep -q . || fail "$page is not installed"
done
example() { LD_LIBRARY_PATH=$LD_LIBRARY_PATH "$work/$1" "$EVGRID_SERVER" "${@:2}"; }

start_cluster 3
quietly evgrid cluster wait --for balanced

say 'publish: everything is applied although a node dies meanwhile'
count=60000
in_background example publish "$count" >"$work/published"
publisher=$!
some_are_stored() { [ "$(evgrid replay --limit 100 2>/dev/null | wc -l)" -eq 100 ]; }
wait_until 30 'the first events are stored' some_are_stored
cluster kill 2 >/dev/null
wait "$publisher" || fail "publishing: $(cat "$work/published")"
grep -q "^applied $count, not applied 0, unknown 0, slowest " "$work/published" || fail "$(cat "$work/published")"
cluster start 2 >/dev/null
quietly evgrid cluster wait --for healthy --nodes 3 --timeout 60s

say 'follow: two runs with one cursor print every event once'
example follow "$work/cursor" 7000 >"$work/followed" || fail 'the first run'
example follow "$work/cursor" $((count - 7000)) >>"$work/followed" || fail 'the second run'
evgrid replay -o json 2>/dev/null | python3 -c 'import json, sys
for line in sys.stdin:
    event = json.loads(line)
    print(event["partition"], event["offset"], event["subject"])' | sort >"$work/stored"
sort "$work/followed" | cmp - "$work/stored" || fail 'what was followed is not what is stored'
status=0
example follow "$work/cursor" 1 accounts nobody >/dev/null 2>"$work/stderr" || status=$?
[ "$status" -eq 1 ] || fail "an unknown view ended with $status"
grep -q 'UNKNOWN_VIEW' "$work/stderr" || fail "an unknown view: $(cat "$work/stderr")"

say 'withdraw: four processes withdraw 100 times from 60; 60 are made'
quietly evgrid stream create Account
quietly evgrid view apply examples/accounts.yaml
printf '{"specversion":"1.0","id":"1","source":"/bank","type":"Opened","subject":"a-1","data":{"balance":60}}\n' |
    quietly evgrid publish --stream Account
pids=()
for i in 1 2 3 4; do
    in_background example withdraw a-1 1 25 >"$work/withdrawn$i"
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || fail "withdrawing: $(cat "$work"/withdrawn?)"; done
cat "$work"/withdrawn?
made=$(sed 's/made \([0-9]*\),.*/\1/' "$work"/withdrawn? | paste -sd+)
[ $((made)) -eq 60 ] || fail "$((made)) were made, not 60"
evgrid view get accounts a-1 -o json | has_line '"balance":0[,}]' || fail "left: $(evgrid view get accounts a-1)"
example follow "$work/cursor2" 1 accounts a-1 >"$work/read" || fail 'reading the entry'
head -n 1 "$work/read" | grep -q '^a-1 {"balance":0,' || fail "the entry is not read: $(cat "$work/read")"

say 'list: the streams and views that there are, and how far each is'
quietly evgrid stream create Empty
sed -e 's/^view: .*/view: second/' -e 's/Opened: .*/Opened: {set: {balance: balance}}/' examples/accounts.yaml \
    >"$work/second.yaml"
quietly evgrid view apply "$work/second.yaml" --wait --timeout 60s
sed 's/^view: .*/view: second/' examples/accounts.yaml >"$work/second.yaml"
quietly evgrid view apply "$work/second.yaml" --wait --timeout 60s
example list >"$work/listed" || fail 'listing'
cat >"$work/wanted" <<'END'
stream Measurement
stream Account
stream Empty
view accounts version 1 answering 271 of 271, entries 1, blocked 0
view second version 2 answering 271 of 271, entries 1, blocked 0
END
diff "$work/wanted" "$work/listed" || fail 'what is listed is not what is there'
evgrid view ls -o json | python3 -c 'import json, sys
for view in json.load(sys.stdin):
    print(*(view[member] for member in ("name", "answering", "entries")))' >"$work/shown"
printf 'accounts 271 1\nsecond 271 1\n' | diff - "$work/shown" || fail 'view ls shows something else'
status=0
example list nobody >/dev/null 2>"$work/stderr" || status=$?
[ "$status" -eq 1 ] || fail "an unknown view ended with $status"
grep -q 'UNKNOWN_VIEW' "$work/stderr" || fail "an unknown view: $(cat "$work/stderr")"
