#!/usr/bin/env bash
# One key's history and state as of a point, in whole processes whose segments are being sealed: three nodes with the
# smallest segments; what they answer is held against a naive look through the replay, before and after a restart.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

readonly SHOP=6000 BLOBS=8000 # events of the shop before, amid and behind 3 KiB blobs

sealed() { find "$work/cluster/n$1/data/journal-0" -name '*.sealed' | wc -l; }
has_sealed() { [ "$(sealed "$1")" -ge "$2" ]; }

# The parts of a shop's day are published one behind the other.
publish() {
    evgrid publish "$1" --deadline 120s >"$work/summary" 2>"$work/errors" ||
        fail "publish of $1 ended with $?: $(cat "$work/summary" "$work/errors")"
}

compare() {
    evgrid replay -o json --timeout 60s >"$work/stored" 2>"$work/errors" || fail "replay: $(cat "$work/errors")"
    tests/cluster/history.py "$work/stored" "$EVGRID_BUILD/evgrid"
}

start_cluster 3 --journal.segment_bytes=8MiB --shards=1
define_shop
quietly evgrid stream create Blob
cat >"$work/payments-by-order.yaml" <<'END'
view: payments-by-order
stream: Payment
kind: summary
key: {payload: orderId}
on:
  PaymentProcessed: {count: payments, sum: {paid: amount}}
END
quietly evgrid view apply "$work/payments-by-order.yaml"
for part in 0 1 2; do
    deploy/shop/generate.py --events "$SHOP" --skip $((SHOP * part)) >"$work/shop"
    tests/cluster/sealing.py blobs $((BLOBS * part)) "$BLOBS" >"$work/blobs"
    publish "$work/shop"
    publish "$work/blobs"
done
for node in 1 2 3; do
    wait_until 60 "n$node has sealed" has_sealed "$node" 3
done
say "sealed segments: $(sealed 1), $(sealed 2), $(sealed 3)"
compare

say 'a node is killed and starts again'
cluster kill 2
wait_until 30 'its end is known' live_nodes_are 2 # else "balanced" would be told of the time before it
cluster start 2
quietly evgrid cluster wait --for balanced --nodes 3 --timeout 60s
compare

say 'a key that is not there: the present is looked for everywhere, a point of the past is not'
status=0
evgrid view get customers nobody >"$work/out" 2>"$work/err" || status=$?
{ [ "$status" -eq 4 ] && grep -q 'all shards were asked' "$work/err"; } ||
    fail "nobody, now: $status: $(cat "$work/err")"
status=0
evgrid view get customers nobody --as-of 1 >"$work/out" 2>"$work/err" || status=$?
{ [ "$status" -eq 4 ] || [ "$status" -eq 7 ]; } || fail "nobody, then: $status: $(cat "$work/err")"
! grep -q 'all shards were asked' "$work/err" || fail "nobody, then: $(cat "$work/err")"

say 'a position to come, and a replica that is asked'
for _ in {1..5}; do # the answer has a tenth of a second for its way: a machine that stands still can take that
    status=0
    evgrid view get customers c-0000001 --at-least 999999999 --timeout 1s >"$work/out" 2>"$work/err" || status=$?
    [ "$status" -eq 7 ] || fail "a position to come: exit code $status: $(cat "$work/err")"
    ! grep -q 'has applied partition' "$work/err" || break
done
grep -q 'has applied partition [0-9]* up to offset [0-9]' "$work/err" || fail "no present position: $(cat "$work/err")"
cat "$work/err"
for node in n1 n2 n3; do
    evgrid view get customers c-0000001 --node "$node" -o json >"$work/out" || fail "a local read of $node"
    python3 -c 'import json, sys
row = json.load(sys.stdin)
assert row["applied"] and "age_ms" in row
print(row["node"], "is", row["age_ms"], "ms old")' <"$work/out"
done
