#!/usr/bin/env bash
# Three nodes under load, two more join: one of them is killed and started again at once, and a founder dies meanwhile.
# All five are members in the end, and live; nothing that was acknowledged is lost or
# doubled. A newcomer that restarts stays a member; one that lost its directory takes its own place anew. A node leaves
# for good, but not where the disks of the others have no room.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

state_is() { # NAME STATE LIVE
    evgrid node ls 2>/dev/null | has_line -E "^$1 +[0-9]+ +$2 +$3 "
}
all_are_live() {
    local i
    for i in 1 2 3 4 5; do state_is "n$i" active true || return 1; done
}

start_cluster 3
say 'two nodes join under load; one restarts at once, a founder dies'
evgrid bench publish --events 60000 --rate 8000 --verify >"$work/published" 2>"$work/publishing" &
load=$!
children+=("$load")
wait_until 20 'the load runs' test -d "/proc/$load"
cluster join
cluster kill 4
cluster start 4
cluster join
cluster kill 2
wait_until 20 'n4 is a member' state_is n4 active true
wait_until 20 'n5 is a member' state_is n5 active true
cluster start 2
wait_until 20 'all five are members, and live' all_are_live
wait "$load" || fail "the load: $(cat "$work/published" "$work/publishing")"
[ "$(sed -n 's/^acknowledged: //p' "$work/published")" = 60000 ] || fail "published: $(cat "$work/published")"
live_nodes_are 5 || fail "status: $(evgrid cluster status)"
evgrid node ls

say 'a newcomer said what happened, and restarts as a member'
has_line 'event=cluster.joined' <"$work/cluster/n5/log" || fail 'n5 did not say that it joined'
cluster stop 5
cluster start 5
wait_until 20 'n5 is back' state_is n5 active true
[ "$(grep -c "event=cluster.joined" "$work/cluster/n5/log")" = 1 ] ||
    fail 'n5 joined twice'

say 'one that lost its directory takes its place anew'
cluster kill 4
rm -r "$work/cluster/n4/data"
cluster start 4
n4_log() { tail -c "+$(cat "$work/cluster/n4/log-start")" "$work/cluster/n4/log"; } # of the present start
joined_again() { n4_log | has_line 'event=cluster.joined'; }
wait_until 30 'n4 says that it joined again' joined_again
wait_until 30 'n4 is a member again' state_is n4 active true
evgrid bench publish --events 2000 --verify >"$work/published"

say 'a node leaves only where the others have room'
quietly evgrid cluster wait --for balanced --nodes 5 --timeout 60s
cluster stop 1
cp "$work/cluster/n1/node.yaml" "$work/node.yaml"
printf 'limits:\n  disk_reserve_bytes: 1000GiB\n' >>"$work/cluster/n1/node.yaml"
cluster start 1
plans() { { evgrid cluster plan --without n5 >/dev/null; } 2>&1; } # what it says of it
small='disks are too small for it: n1 is to take .* and has room for 0 bytes'
has_no_room() { plans | has_line "$small"; }
wait_until 20 'n1 says that it has no room' has_no_room
expect 6 'node n5: the disks of those who stay are too small: n1 is to take .* (outcome: not applied) \[REFUSED\]' \
    "$EVGRID_BUILD/evgrid" node decommission n5
state_is n5 active true || fail 'n5 leaves all the same'
cluster stop 1
cp "$work/node.yaml" "$work/cluster/n1/node.yaml"
cluster start 1
has_room() { state_is n1 active true && plans | has_line 'would be copied' && ! has_no_room; }
wait_until 20 'n1 says that it has room' has_room
quietly evgrid node decommission n5 --wait --timeout 60s
