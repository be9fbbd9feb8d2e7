#!/usr/bin/env bash
# Five nodes are stopped and started again one after the other, under a probe that writes to every partition: each gets
# what it missed and no more, no view is filled anew, and nothing is lost or doubled. What the probe waited is measured.
#
#   tests/cluster/rolling.sh [--rate EVENTS-PER-SECOND-AND-PARTITION | --rate half] [--away SECONDS] [--stored N]
#
# --rate half: half of what five nodes take of the probe here, measured first. Fails on loss, doubling, disorder,
# difference, missing progress and copies; a missed time is printed as missed.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

rate=20
away=4
stored=200000
while [ $# -gt 0 ]; do
    case $1 in
    --rate) rate=$2 ;;
    --away) away=$2 ;;
    --stored) stored=$2 ;;
    *) fail "usage: tests/cluster/rolling.sh [--rate N|half] [--away SECONDS] [--stored N]" ;;
    esac
    shift 2
done

if [ "$rate" = half ]; then half_of_most 5; fi

start_cluster 5
say "five nodes hold $stored events"
quietly evgrid bench publish --events "$stored" --verify
define_probe
say "one after the other goes and comes back while $rate events/s go to each partition"
python3 tests/cluster/rolling.py --dir "$work" --rate "$rate" --away "$away"
