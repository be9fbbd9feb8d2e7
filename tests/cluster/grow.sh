#!/usr/bin/env bash
# A cluster of three that holds events grows to five under load: the newcomers get their share of the partitions, no
# replica moves that need not, and nothing is lost or doubled. Then all five are killed, and come back as they were.
#
#   tests/cluster/grow.sh [--events N] [--rate EVENTS-PER-SECOND] [--stored N]
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

events=120000
rate=6000
stored=200000
while [ $# -gt 0 ]; do
    case $1 in
    --events) events=$2 ;;
    --rate) rate=$2 ;;
    --stored) stored=$2 ;;
    *) fail "usage: tests/cluster/grow.sh [--events N] [--rate N] [--stored N]" ;;
    esac
    shift 2
done

# moved BEFORE AFTER: replicas that are where none was, and how many must be at least, by the counts of the nodes alone.
moved() {
    python3 - "$1" "$2" <<'PYTHON'
import collections
import json
import sys

before, after = ({(row["partition"], row["node"]) for row in json.load(open(name))} for name in sys.argv[1:])
kept = [collections.Counter(node for _, node in rows) for rows in (before, after)]
print("moved: %d" % len(after - before))
print("least: %d" % sum(max(0, kept[1][node] - kept[0][node]) for node in kept[1]))
print("spread: %d" % (max(kept[1].values()) - min(kept[1].values())))
print("nodes: %d" % len(kept[1]))
PYTHON
}
value() { sed -n "s/^$1: //p" "$work/moved"; }

start_cluster 3
say "three nodes hold $stored events"
quietly evgrid bench publish --events "$stored" --verify
quietly evgrid cluster wait --for balanced --nodes 3 --timeout 60s
evgrid partition ls -o json >"$work/before"

say "two join while $rate events/s are published"
evgrid bench publish --events "$events" --rate "$rate" --verify >"$work/published" 2>"$work/publishing" &
load=$!
children+=("$load")
began=$(date +%s%N)
cluster join
cluster join
quietly evgrid cluster wait --for balanced --nodes 5 --timeout 120s
echo "balanced after $((($(date +%s%N) - began) / 1000000)) ms"
wait "$load" || fail "the load: $(cat "$work/published" "$work/publishing")"
[ "$(sed -n 's/^acknowledged: //p' "$work/published")" = "$events" ] || fail "published: $(cat "$work/published")"
cat "$work/published"

say 'every node has its share, and no replica moved in vain'
evgrid partition ls -o json >"$work/after"
moved "$work/before" "$work/after" >"$work/moved"
cat "$work/moved"
[ "$(value nodes)" = 5 ] || fail 'not all nodes keep something'
[ "$(value spread)" -le 1 ] || fail 'one node keeps more than another'
[ "$(value moved)" = "$(value least)" ] || fail 'more replicas moved than had to'
evgrid cluster status --check-digests | has_line '^digests: equal' || fail 'digests differ'
evgrid node ls

say 'all are killed and come back'
for node in 1 2 3 4 5; do cluster kill "$node"; done
for node in 1 2 3 4 5; do cluster start "$node"; done
quietly evgrid cluster wait --for balanced --nodes 5 --timeout 120s
evgrid partition ls -o json >"$work/again"
moved "$work/after" "$work/again" >"$work/moved"
[ "$(value moved)" = 0 ] || fail 'replicas moved without a reason'
evgrid cluster status --check-digests | has_line '^digests: equal' || fail 'digests differ after the restart'
