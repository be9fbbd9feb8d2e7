#!/usr/bin/env bash
# All three nodes are killed (-9) at once under load and started again: everything acknowledged is there, once, in
# order, and every node's views are what the stored events say. The publisher goes on through it by itself.
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
