#!/usr/bin/env bash
# All three nodes are killed (-9) at once under load and started again: everything acknowledged is there, once, in
# order, and every node's views are what the stored events say. The publisher goes on through it by itself. At the end
# all are stopped at once, cleanly.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

lose_everything() {
    say 'kill -9 of all three nodes'
    kill -9 "$(node_pid 1)" "$(node_pid 2)" "$(node_pid 3)"
}

start_cluster 3
define_shop
# shellcheck source=/dev/null
. tests/cluster/lose-all.sh

say 'all are stopped at once, and every one has its proof'
cluster down
for node in 1 2 3; do
    grep '^proof [1-9]' "$work/cluster/n$node/data/identity" >/dev/null ||
        fail "node $node has no proof of a clean stop"
done
