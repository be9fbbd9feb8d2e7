#!/usr/bin/env bash
# Three nodes lose the tail of their logs that a back-up holds, and go on: nothing is added to that back-up, neither
# while the logs are shorter nor when they have grown beyond it. Where only files beyond the manifest's hold what was
# lost, those are made anew. (The disks are put back to what they held before, all at once: what was lost is gone
# everywhere, and no history is raised.)
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

publish() { quietly evgrid bench publish --events "$1"; } # enough for every partition
data_of() { printf '%s\n' "$work/cluster/n$1/data"; }
keep() { cp -r --sparse=always "$(data_of "$1")" "$work/kept-$1"; }
bring_back() { rm -rf "$(data_of "$1")" && mv "$work/kept-$1" "$(data_of "$1")"; }
# while_down COMMAND: for each node, all of them killed.
while_down() {
    local node
    for node in 1 2 3; do cluster kill "$node"; done
    for node in 1 2 3; do "$1" "$node"; done
    for node in 1 2 3; do cluster start "$node"; done
    quietly evgrid cluster wait --for healthy --nodes 3 --timeout 60s
}
# goes_on OLDER NEWER: each log of the newer back-up begins with the older one's; files may be cut elsewhere.
goes_on() {
    python3 - "$@" <<'PYTHON'
import json
import sys


def logs(path):
    for row in json.load(open(path + "/manifest.json"))["partitions"]:
        names = ("%s/partition/%03u/%020u" % (path, row["partition"], int(file["first"])) for file in row["files"])
        yield b"".join(open(name, "rb").read()[48:-32] for name in names)


for partition, (older, newer) in enumerate(zip(logs(sys.argv[1]), logs(sys.argv[2]))):
    if not newer.startswith(older):
        sys.exit("partition %u: a log that was lost is in the back-up" % partition)
PYTHON
}

start_cluster 3 --shards=1
publish 1000
quietly evgrid backup create "$work/backup"
cp -r "$work/backup" "$work/interrupted"
while_down keep
publish 3000
quietly evgrid backup create "$work/backup"
cp -r "$work/backup/partition" "$work/interrupted/" # as of a run that ended before its manifest
cp "$work/backup/manifest.json" "$work/manifest"

say 'the logs are shorter than the back-up'
while_down bring_back
expect 6 'has lost events' "$EVGRID_BUILD/evgrid" backup create "$work/backup"

say 'they have grown beyond it'
publish 8000
expect 6 'has lost events' "$EVGRID_BUILD/evgrid" backup create "$work/backup"
cmp "$work/manifest" "$work/backup/manifest.json" || fail 'the manifest was changed'
quietly evgrid backup verify "$work/backup"

say 'what only an interrupted run had read is made anew'
quietly evgrid backup create "$work/interrupted"
quietly evgrid backup verify "$work/interrupted"
quietly evgrid backup create "$work/fresh"
goes_on "$work/interrupted" "$work/fresh"
