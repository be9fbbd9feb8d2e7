#!/usr/bin/env bash
# A node that is started on another cluster's data directory, with the right members and the right name: it does not
# come in, and both sides say so, once for each peer; its readiness probe says why, too.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

id_of_cluster() { evgrid cluster status | sed -n 's/^cluster_id: //p'; }
# tells NODE PEER ITS OURS: so many lines of node I's present log name that peer, with both clusters.
tells() {
    tail -c "+$(cat "$work/cluster/n$1/log-start")" "$work/cluster/n$1/log" | grep 'event=cluster.peer_foreign' |
        grep "peer=$2 " | grep "observed_cluster=$3 " | grep -c "expected_cluster=$4" || true
}
tells_once() { [ "$(tells "$@")" = 1 ]; }

http_port() { sed 's/.*"http":\([0-9]*\).*/\1/' "$work/cluster/n$1/ports.json"; }
readyz() { printf 'http://127.0.0.1:%s/readyz?verbose\n' "$(http_port "$1")"; }
says_why() { curl --silent --max-time 5 "$(readyz 3)" | has_line 'peers of other clusters: 2,'; }

start_cluster 3
foreign=$(id_of_cluster)
cluster down
mv "$work/cluster/n3/data" "$work/foreign"
rm -r "$work"/cluster/n*/data
cluster up 3 >/dev/null
ours=$(id_of_cluster)
[ "$foreign" != "$ours" ] || fail 'both clusters have one id'

say 'n3 comes back on the directory of the other cluster'
cluster stop 3
rm -r "$work/cluster/n3/data"
mv "$work/foreign" "$work/cluster/n3/data"
cluster start 3
wait_until 20 'n1 says that n3 is of another cluster' tells_once 1 n3 "$foreign" "$ours"
wait_until 20 'n2 says that n3 is of another cluster' tells_once 2 n3 "$foreign" "$ours"
wait_until 20 'n3 says so of n1' tells_once 3 n1 "$ours" "$foreign"
wait_until 20 'n3 says so of n2' tells_once 3 n2 "$ours" "$foreign"
grep -h 'event=cluster.peer_foreign' "$work"/cluster/n?/log
wait_until 20 'n3 says why it is not ready' says_why
evgrid bench publish --events 500 --verify >"$work/published" || fail "n1 and n2 alone: $(cat "$work/published")"
