#!/usr/bin/env bash
# The metadata's store rots in the middle: the node ends, saying so, and forgets nothing of what it has acknowledged to
# the other voters; no file of the store is renamed or shortened (schedule L12, docs/reference/schedules.md).
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

start_cluster 1
for name in A B C; do quietly evgrid stream create "$name"; done
cluster stop 1
store=$work/cluster/n1/data/raft
segment=$(find "$store" -name '[0-9]*-[0-9]*' | sort | tail -n 1)
[ -n "$segment" ] || fail "no closed segment in $store: $(ls "$store")"
before=$(find "$store" -type f -printf '%f %s\n' | sort)

say 'a byte of the last entries rots'
printf '\xff' | dd of="$segment" bs=1 seek=64 conv=notrunc status=none
pid=$(cluster start 1 >/dev/null && node_pid 1) || pid=
is_gone() { [ -z "$pid" ] || ! kill -0 "$pid" 2>/dev/null; }
wait_until 20 'the node is gone' is_gone
tail -n 3 "$work/cluster/n1/log" | grep -q metadata.store_failed || fail 'it does not say why'
[ "$(find "$store" -type f -printf '%f %s\n' | sort)" = "$before" ] || fail "its files are others: $(ls -l "$store")"
printf 'the node ended: %s\n' "$(tail -n 1 "$work/cluster/n1/log")"
