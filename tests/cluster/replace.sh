#!/usr/bin/env bash
# One of three nodes that hold so many megabytes each is killed and its directory is lost; a successor of the same name,
# with an empty disk, takes its place under a probe that writes to every partition. Nothing is lost or doubled, there
# are as many replicas and voters as before, and rate and time left are shown while it is filled. What completions take
# meanwhile is measured, and held against the quiet window.
#
#   tests/cluster/replace.sh [--megabytes N | --gigabytes N] [--rate EVENTS-PER-SECOND-AND-PARTITION | --rate half]
#
# --rate half: half of what three nodes take of the probe here. Fails on loss, doubling, disorder, difference and
# missing progress; a missed time is printed as missed. Skipped, and said so, where the disk has no room for it.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

usage='usage: tests/cluster/replace.sh [--megabytes N | --gigabytes N] [--rate N|half]'
megabytes=200
rate=10
while [ $# -gt 0 ]; do
    case $1 in
    --megabytes) megabytes=$2 ;;
    --gigabytes) megabytes=$(($2 * 1000)) ;;
    --rate) rate=$2 ;;
    *) fail "$usage" ;;
    esac
    shift 2
done

# Three journals, each twice while it is sealed, histories and the reserve.
wanted=$((3 * 2 * megabytes + megabytes / 2 + 2000))
free=$(($(df --output=avail -B 1000000 "$work" | tail -n 1)))
if [ "$free" -lt "$wanted" ]; then
    echo "skipped: $megabytes MB on each of three nodes want $wanted MB of disk, $free MB are free in ${work%/*}"
    exit 77
fi

if [ "$rate" = half ]; then half_of_most 3; fi

start_cluster 3
define_probe
quietly evgrid stream create Filler
say "n2 is lost with $megabytes MB, and replaced while $rate events/s go to each partition"
python3 tests/cluster/replace.py --dir "$work" --megabytes "$megabytes" --rate "$rate"
