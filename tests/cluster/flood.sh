#!/usr/bin/env bash
# Bad handshakes without end, from one address, at all ports of a cluster with keys: the nodes' kernels drop them, which
# the log and the metrics tell; a client from another address connects anew and publishes, a member that is killed comes
# back, and when the flood is over everybody is let in again.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh
[ -x "$EVGRID_BUILD/bench/bench-handshakes" ] || { echo "$EVGRID_BUILD/bench/bench-handshakes is not built"; exit 77; }

keys=$work/keys
mkdir "$keys"
for node in 1 2 3; do quietly evgrid keygen "$keys/n$node.key" --for-node "n$node"; done
quietly evgrid keygen "$keys/app" --for-client app
cat "$keys"/n?.key.pub >"$keys/nodes"
cat "$keys/nodes" "$keys/app.pub" >"$keys/trusted"
export EVGRID_KEYS=$keys EVGRID_KEY=$keys/app EVGRID_NODE_KEYS=$keys/nodes
start_cluster 3
quietly evgrid stream create Order
quietly evgrid bench publish --events 1000 --verify

mapfile -t ports < <(for node in 1 2 3; do
    sed 's/"http".*//; s/[^0-9]/\n/g' "$work/cluster/n$node/ports.json" | awk 'length($0) > 3'
done)
told() { grep -c "event=keys.$2" "$work/cluster/n$1/log" || true; }
told_more() { [ "$(told "$1" "$2")" -gt "$3" ]; }
metric() {
    local port
    port=$(sed 's/.*"http":\([0-9]*\).*/\1/' "$work/cluster/n$1/ports.json")
    curl --silent --max-time 5 "http://127.0.0.1:$port/metrics" | sed -n "s/^$2 //p"
}
limits() { [ "$(metric "$1" evgrid_handshake_sources_limited)" = "$2" ]; }

say 'a flood of bad handshakes'
in_background "$EVGRID_BUILD/bench/bench-handshakes" 1000 600 127.0.0.66 127.0.0.1 "${ports[@]}" >"$work/flood"
flood=${children[-1]}
for node in 1 2 3; do
    wait_until 20 "n$node limits where they come from" told_more "$node" 'flooded .*address=127.0.0.66' 0
    wait_until 20 "n$node counts one source" limits "$node" 1
done

say 'a client connects beside it'
quietly evgrid bench publish --events 1000 --verify

say 'a member comes back beside it'
cluster kill 2 >/dev/null
cluster start 2 >/dev/null
quietly evgrid cluster wait --for healthy
quietly evgrid bench publish --events 1000 --verify
wait_until 20 'n2 limits it again' told_more 2 'flooded .*address=127.0.0.66' 1

say 'it ends'
for node in 1 2 3; do before[node]=$(told "$node" flood_over); done
kill "$flood"
for node in 1 2 3; do
    wait_until 40 "n$node lets everybody in" told_more "$node" flood_over "${before[node]}"
    wait_until 20 "n$node counts no source" limits "$node" 0
done
wait "$flood" || true
connected() { sed 's/.*"connected":\([0-9]*\).*/\1/' "$work/flood"; }
begun() { sed 's/.*"begun":\([0-9]*\).*/\1/' "$work/flood"; }
[ $(($(connected) * 2)) -lt "$(begun)" ] || fail "more than half of them was let in: $(cat "$work/flood")"
