#!/usr/bin/env bash
# A cluster whose addresses are IPv6: three nodes form it, a fourth joins, one dies; nothing that was acknowledged is
# lost.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
grep -q '^00000000000000000000000000000001 ' /proc/net/if_inet6 2>/dev/null || {
    echo 'skipped: this machine has no ::1'
    exit 77
}
# shellcheck source=/dev/null
. tests/cluster/common.sh

export EVGRID_HOST=::1
start_cluster 3
[[ $EVGRID_SERVER == '[::1]:'* ]] || fail "not an IPv6 address: $EVGRID_SERVER"
define_shop
deploy/shop/generate.py --events 4000 --seed 5 >"$work/events"
quietly evgrid publish --history "$work/history" "$work/events"
cluster join
quietly evgrid cluster wait --for balanced --nodes 4 --timeout 120s
cluster kill 2
quietly evgrid cluster wait --for serving --nodes 3 --timeout 60s
evgrid history check "$work/history"
