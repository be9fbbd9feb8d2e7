#!/usr/bin/env bash
# deploy/chaos/local.sh: the scenarios named hold on a cluster of three; and what it says when events are lost, when
# some are not acknowledged, and when it cannot be tried.
#
#   tests/cluster/chaos.sh [SCENARIO...]     default pod-kill
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

[ $# -gt 0 ] || set -- pod-kill
chaos=(deploy/chaos/local.sh --dir "$work/cluster" --seconds 1)

expect 3 'there is no cluster' "${chaos[@]}" pod-kill
expect 2 'deploy/chaos/local.sh' "${chaos[@]}" earthquake
start_cluster 3 --shards=1
for scenario in "$@"; do
    say "$scenario"
    "${chaos[@]}" "$scenario"
done

say 'what does not hold'
# In place of the load: it ends so.
printf '%s\n' '#!/bin/sh' "[ \"\$1 \$2\" != 'bench publish' ] || exit \"\$EVGRID_LOAD_CODE\"" \
    "exec '$EVGRID_BUILD/evgrid' \"\$@\"" >"$work/evgrid"
chmod +x "$work/evgrid"
EVGRID=$work/evgrid EVGRID_LOAD_CODE=11 expect 1 'lost, doubled or out of order' "${chaos[@]}" partition
EVGRID=$work/evgrid EVGRID_LOAD_CODE=8 expect 1 'not every event was acknowledged (exit code 8)' "${chaos[@]}" partition
cluster stop 3
expect 3 'three nodes must run' "${chaos[@]}" pod-kill
