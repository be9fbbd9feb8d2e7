#!/usr/bin/env bash
# Rolling upgrade and the way back, with the binaries of the commit in tests/cluster/upgrade-base beside the present
# ones in one cluster, under load: three nodes are exchanged for present ones, back for the base's, and for present ones
# again. Nothing is lost or doubled. The cluster's version rises only when asked, and only once all members know the
# higher one; behind it the older binary is refused, with the reason. The next release (evgridd-next) comes in the same
# way.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

present=$EVGRID_BUILD
base=$(tests/cluster/build-base)

# Publishes, again and again, with the one client and the other, until it is told to end; each time what was published
# is held against what is stored.
load() {
    local round=0 client
    until [ -e "$work/enough" ]; do
        client=$present
        [ $((round % 2)) -eq 0 ] || client=$base
        "$client/evgrid" bench publish --stream "Round$round" --events 4000 --rate 2500 --verify --timeout 60s -o json \
            >"$work/round$round" 2>"$work/errors" || {
            cat "$work/errors" "$work/round$round"
            return 1
        }
        round=$((round + 1))
    done
    printf '%s rounds\n' "$round"
}
begin_load() {
    rm -f "$work/enough"
    load >"$work/load" 2>&1 &
    loading=$!
    children+=("$loading")
}
end_load() {
    touch "$work/enough"
    wait "$loading" || fail "the load: $(cat "$work/load")"
    quietly evgrid cluster status --check-digests --timeout 60s
    say "under load: $(cat "$work/load") of 4000 events, nothing lost, nothing doubled, all replicas equal"
}

# exchange EVGRIDD NODE...: one after the other goes on with this daemon.
exchange() {
    local daemon=$1 node
    shift
    for node in "$@"; do
        cluster stop "$node"
        EVGRIDD=$daemon cluster start "$node"
        quietly evgrid cluster wait --for healthy --nodes 3 --timeout 60s
    done
}
version() { evgrid cluster status -o json | sed -n 's/.*"cluster_version":\([0-9]*\).*/\1/p'; }
expect_version() { [ "$(version)" = "$1" ] || fail "the cluster is at version '$(version)', not $1"; }
# What node I said since it was started last.
said() { tail -c "+$(cat "$work/cluster/n$1/log-start")" "$work/cluster/n$1/log"; }
says() { said "$1" | has_line -E "$2"; }
# refused DAEMON NODE CODE TEXT: it does not start there, and says why.
refused() {
    local status=0
    : >"$work/refused"
    timeout 30 "$1" --config "$work/cluster/n$2/node.yaml" --ports-file "$work/ports" >"$work/refused" 2>&1 || status=$?
    [ "$status" -eq "$3" ] || fail "$1 ended with $status, not $3: $(cat "$work/refused")"
    grep -qE -- "$4" "$work/refused" || fail "$1 did not say '$4' but: $(cat "$work/refused")"
}

say 'three nodes of the base; they are exchanged for present ones'
EVGRID_BUILD=$base start_cluster 3
evgrid stream create Kept >/dev/null 2>&1 # something is stored: the version is an operator's decision now
begin_load
exchange "$present/evgridd" 1
expect 6 'not all of its members are there and know 2' "$present/evgrid" cluster upgrade
end_load
begin_load
exchange "$present/evgridd" 2 3
expect_version 1
evgrid cluster upgrade --check
end_load

say 'all are exchanged for the base, and for present ones again'
begin_load
exchange "$base/evgridd" 3 2 1
exchange "$present/evgridd" 2 1 3
end_load
expect_version 1

say 'the version rises; the base is refused'
begin_load
cluster stop 3
expect 6 'node n3 is not live' "$present/evgrid" cluster upgrade --to 2
EVGRIDD=$present/evgridd cluster start 3
quietly evgrid cluster wait --for healthy --nodes 3 --timeout 60s
evgrid cluster upgrade
expect_version 2
cluster stop 3
refused "$base/evgridd" 3 3 'its format is 3, this evgridd knows 2'
mv "$work/cluster/n3/data" "$work/data"
in_background env EVGRIDD="$base/evgridd" "$PWD/deploy/local/cluster" --dir "$work/cluster" start 3
refusal='cluster.peer_version.* observed_lowest=1 observed_highest=1 expected_lowest=2'
refuses_base() { says 1 "$refusal" || says 2 "$refusal"; }
wait_until 30 'the members refuse the base' refuses_base
cluster kill 3
rm -r "$work/cluster/n3/data"
mv "$work/data" "$work/cluster/n3/data"
EVGRIDD=$present/evgridd cluster start 3
quietly evgrid cluster wait --for healthy --nodes 3 --timeout 60s
end_load

say 'the next release comes in; the present one is the older then'
begin_load
next=$present/evgridd-next
"$present/evgridd" --version | grep -q "versions 1 to 2$" || fail "evgridd does not tell what it knows"
"$next" --version | grep -q "versions 1 to 3$" || fail "the next evgridd does not tell what it knows"
exchange "$next" 1 2
expect 6 'the evgridd of node n3 knows versions 2 to 2' "$present/evgrid" cluster upgrade --to 3
exchange "$present/evgridd" 1
exchange "$next" 1 3
quietly evgrid cluster upgrade
expect_version 3
cluster stop 2
refused "$present/evgridd" 2 3 'of a cluster at version 3, and this evgridd knows 1 to 2'
mv "$work/cluster/n2/data" "$work/data"
refused "$present/evgridd" 2 1 'cluster.version_unknown.*speaks versions 3 to 3, this evgridd 1 to 2'
rm -r "$work/cluster/n2/data"
mv "$work/data" "$work/cluster/n2/data"
EVGRIDD=$next cluster start 2
quietly evgrid cluster wait --for healthy --nodes 3 --timeout 60s
end_load
evgrid node ls
