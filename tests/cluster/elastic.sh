#!/usr/bin/env bash
# Three nodes that hold events become five and then three again, under a probe that writes to every partition: the
# newcomers get their share, what leaves is rebuilt elsewhere first, no replica moves that need not, and nothing is lost
# or doubled. The pause of each partition that moved is measured. Then all are killed, and come back as they were.
#
#   tests/cluster/elastic.sh [--rate EVENTS-PER-SECOND-AND-PARTITION | --rate half] [--stored N]
#
# --rate half: half of what five nodes take of the probe here, measured first. Fails on loss, doubling, disorder,
# difference, missing progress and moves in vain; a missed time is printed as missed.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

rate=20
stored=200000
while [ $# -gt 0 ]; do
    case $1 in
    --rate) rate=$2 ;;
    --stored) stored=$2 ;;
    *) fail "usage: tests/cluster/elastic.sh [--rate N|half] [--stored N]" ;;
    esac
    shift 2
done

if [ "$rate" = half ]; then half_of_most 5; fi

start_cluster 3
say "three nodes hold $stored events"
quietly evgrid bench publish --events "$stored" --verify
define_probe
say "nodes come and go while $rate events/s go to each partition"
python3 tests/cluster/elastic.py --dir "$work" --rate "$rate"
evgrid node ls

say 'all are killed and come back'
evgrid partition ls -o json | grep -o '"partition":[0-9]*,"node":"[^"]*"' | sort >"$work/before"
for node in 1 3 4; do cluster kill "$node"; done
for node in 1 3 4; do cluster start "$node"; done
quietly evgrid cluster wait --for balanced --nodes 3 --timeout 120s
evgrid partition ls -o json | grep -o '"partition":[0-9]*,"node":"[^"]*"' | sort >"$work/after"
[ -s "$work/before" ] || fail 'there are no replicas'
cmp -s "$work/before" "$work/after" || fail 'replicas moved without a reason'
evgrid cluster status --check-digests --timeout 60s
say 'one that left does not come back by itself'
if cluster start 2 2>/dev/null; then fail 'a node that left for good started again'; fi
