#!/usr/bin/env bash
# A new version of a view, end to end, where each partition has one replica: while a node is dead its partitions cannot
# fill the version, and it answers nowhere; what is missing is told by `view apply --wait` and `view describe`. When
# the node is back the version answers everywhere. The same of a view that is dropped while a node is dead, and of its
# name applied again: what was dropped answers nowhere.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

# define MEMBER [OPTION...]: the view, which counts events in that member.
define() {
    printf 'view: counts\nstream: Order\nkind: summary\non:\n  Ordered: {count: %s}\n' "$1" >"$work/counts.yaml"
    shift
    evgrid view apply "$work/counts.yaml" "$@"
}

# expect STATUS COMMAND...: its output is in $work/out and $work/err.
expect() {
    local wanted=$1 status=0
    shift
    "$@" >"$work/out" 2>"$work/err" || status=$?
    [ "$status" -eq "$wanted" ] || fail "$* ended with $status, not $wanted: $(cat "$work/out" "$work/err")"
}

# describes TEXT: what python makes of the view's row.
is_described() {
    expect 0 evgrid view describe counts -o json
    python3 -c 'import json, sys
row = json.load(sys.stdin)
sys.exit(0 if eval(sys.argv[1], row) else 1)' "$1" <"$work/out"
}
describes() { is_described "$1" || fail "not so: $1: $(cat "$work/out")"; }

# has MEMBER: every living key's entry has that member, and no other.
has() {
    local key
    for key in $keys; do
        evgrid view get counts "$key" -o json >"$work/out" 2>"$work/err" || return 1
        grep -q "\"state\": *{\"$1\": *1[,}]" "$work/out" || return 1
    done
}
still_has() { has "$1" || fail "not all keys have '$1': $(cat "$work/out" "$work/err")"; }

start_cluster 3 --cluster.replication_factor=1
quietly evgrid stream create Order
for key in {1..30}; do
    printf '{"specversion":"1.0","id":"%s","source":"test","type":"Ordered","stream":"Order","subject":"%s",' \
        "$key" "$key"
    printf '"data":{}}\n'
done >"$work/orders"
quietly evgrid publish "$work/orders"
keys=$(seq 30)
quietly define first --wait
still_has first
describes 'version == 1 and answering == 271 and answering_older == 0'
wait_until 10 'it is known to be filled' is_described 'filled == 271' # its first version did not wait for that

say 'partitions without a primary keep the new version back, everywhere'
cluster kill 3
wait_until 10 'the dead node is missed' live_nodes_are 2
keys=
for key in {1..30}; do
    if evgrid view get counts "$key" --timeout 300ms >/dev/null 2>&1; then keys="$keys $key"; fi
done
[ "$(wc -w <<<"$keys")" -gt 3 ] || fail 'hardly a key is left'
expect 7 define second --wait --timeout 3s
said='is filled on 1[0-9][0-9] of 271 partitions \(to [0-9]+ %\) and answers on 0 \(outcome: applied\) \[TIMEOUT\]'
grep -Eq "$said" "$work/err" || fail "said: $(cat "$work/err")"
describes 'version == 2 and 100 < filled < 271 and answering == 0 and answering_older == filled'
still_has first

say 'with the last partitions it answers everywhere'
quietly cluster start 3
expect 0 define second --wait --timeout 60s
describes 'version == 2 and filled == 271 and answering == 271 and answering_older == 0'
keys=$(seq 30)
still_has second

say 'a view that is dropped is gone, its events are not'
expect 0 evgrid view drop counts
grep -q 'view counts is gone' "$work/err" || fail "said: $(cat "$work/err")"
expect 4 evgrid view get counts 1
grep -q 'UNKNOWN_VIEW' "$work/err" || fail "said: $(cat "$work/err")"
expect 4 evgrid view scan counts
expect 4 evgrid view errors counts
expect 4 evgrid view describe counts
expect 4 evgrid view drop counts
evgrid view ls -o json >"$work/out"
if grep -q counts "$work/out"; then fail "it is listed: $(cat "$work/out")"; fi
expect 0 evgrid replay --stream Order
[ "$(wc -l <"$work/out")" -eq 30 ] || fail "$(wc -l <"$work/out") of 30 events are left"
expect 0 define third --wait --timeout 60s
describes 'version == 3 and answering == 271 and answering_older == 0 and entries == "30"'
still_has third

say 'filled everywhere, and answering on the living nodes only'
wait_until 10 'it is known to be filled' is_described 'filled == 271'
cluster kill 3
wait_until 10 'the dead node is missed' live_nodes_are 2
expect 7 define third --wait --timeout 1s
said='is filled on all partitions and answers on 1[0-9][0-9] of 271 \(outcome: applied\) \[TIMEOUT\]'
grep -Eq "$said" "$work/err" || fail "said: $(cat "$work/err")"

say 'dropped and applied again while a node is dead: its partitions do not answer with what was before'
expect 0 evgrid view drop counts
expect 7 define fourth --wait --timeout 3s
quietly cluster start 3
expect 0 define fourth --wait --timeout 60s
describes 'version == 4 and answering == 271 and answering_older == 0 and entries == "30"'
still_has fourth
