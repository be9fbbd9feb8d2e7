#!/usr/bin/env bash
# The operations port of real nodes: what probes are told while a node starts, serves, loses its cluster, is paused for
# twelve seconds and stops; metrics are of the format, and count what happened; what is no request for it is refused.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

readonly EVENTS=3000
readonly PAUSE_SECONDS=12 # more than a thread may stand still
evgridd=$EVGRID_BUILD/evgridd

ask() { curl --silent --show-error --max-time 5 "$@"; }
url() { printf 'http://127.0.0.1:%s%s\n' "$(sed 's/.*"http":\([0-9]*\).*/\1/' "$work/cluster/n$1/ports.json")" "$2"; }
# status NODE PATH [FLAG...]: the status code; the answer is in $work/answer.
status() { ask --output "$work/answer" --write-out '%{http_code}' "${@:3}" "$(url "$1" "$2")"; }
is() { [ "$(status "$2" "$3" "${@:4}")" = "$1" ]; }
# wants CODE NODE PATH [FLAG...]: at once.
wants() { is "$@" || fail "node $2 does not answer $3 with $1 but: $(cat "$work/answer")"; }
says() { has_line -F -- "$1" <"$work/answer" || fail "no '$1' in: $(cat "$work/answer")"; }
pages() { for one in "$@"; do url "$one" /metrics; done; }
# total METRIC NODE...
total() {
    local pages
    mapfile -t pages < <(pages "${@:2}")
    tests/cluster/metrics.py sum "$1" "${pages[@]}"
}
total_is() { [ "$(total "$2" "${@:3}")" = "$1" ]; }
all_ready() { is 200 1 /readyz && is 200 2 /readyz && is 200 3 /readyz; }
clock_is_at() { [ "$SECONDS" -ge "$1" ]; }

say 'three nodes: alive, started, ready'
start_cluster 3 --shards=2
define_shop
wait_until 20 'all are ready' all_ready
for node in 1 2 3; do
    for path in /livez /readyz /healthz /startupz; do
        wants 200 "$node" "$path"
        says ok
    done
done
wants 200 1 '/livez?verbose'
for name in control shard-0 shard-1 disk-0 disk-1; do says "[+]$name ok"; done
wants 200 1 '/readyz?verbose&exclude=map'
says '[+]map excluded'
says '[+]controller ok'

say 'each of them may stop, and is as it should be'
for node in 1 2 3; do
    wait_until 30 "node $node leads what it should" is 200 "$node" /restart-check/after
    wants 200 "$node" /restart-check/before
    says "{\"node\":\"n$node\",\"check\":\"before\",\"answer\":\"yes\",\"not_ready\":[],\"findings\":[]}"
done
wants 404 1 /restart-check
evgrid restart-check n2 | has_line -F 'answer: yes' || fail 'n2 may not stop'
evgrid cluster plan --with n4 --quiet | has_line -E '^n4 +joins .* 203 +203 ' || fail "n4 does not get its share"
evgrid cluster plan --without n2 2>"$work/answer" && fail 'two nodes are enough for three replicas'
says '2 members would be left for 3 replicas of each partition [REFUSED]'

say 'what is no request for it'
wants 404 1 /
says 'not found'
wants 404 1 /livez/
wants 405 1 /livez --data x=1
wants 405 1 /metrics --request DELETE
ask --head "$(url 1 /livez)" >"$work/answer"
says 'HTTP/1.1 200'
says 'Cache-Control: no-store'
ask --include --request POST "$(url 1 /metrics)" >"$work/answer"
says 'Allow: GET, HEAD'

say 'metrics count what happened'
deploy/shop/generate.py --events "$EVENTS" >"$work/events"
quietly evgrid publish "$work/events"
wait_until 10 'all that was published is counted' total_is "$EVENTS" evgrid_append_events_total 1 2 3
quietly evgrid view get customers c-0000001
wait_until 10 'the read is counted' total_is 1 'evgrid_reads_total{mode="linearizable",outcome="found"}' 1 2 3
wait_until 10 'the view is active in all partitions of all nodes' \
    total_is $((3 * 271)) 'evgrid_view_partitions{view="customers",state="active"}' 1 2 3
total_is 271 'evgrid_partition_roles{role="active"}' 1 2 3 || fail 'not every partition is led by one node'
total_is 1 evgrid_raft_is_leader 1 2 3 || fail 'not one node leads the metadata'
total_is 6 evgrid_peer_up 1 2 3 || fail 'not all nodes are up'
total_is 9 'evgrid_cluster_members{state="live"}' 1 2 3 || fail 'not all members are live'
mapfile -t all < <(pages 1 2 3)
tests/cluster/metrics.py check "${all[@]}"

say 'a port that is taken, and one that is closed'
taken=$(url 1 '' | sed 's/.*://')
expect 4 'event=node.not_bound code=BAD_CONFIG .*socket=http ' \
    "$evgridd" --dev --data.dir="$work/fresh" --listen.control=0 --http.port="$taken"
expect 2 'http.address: 0.0.0.0 is not a loopback address' "$evgridd" --dev --http.address=0.0.0.0
in_background "$evgridd" --dev --data.dir="$work/closed" --listen.control=0 --http.enabled=false \
    --ports-file "$work/closed.json" 2>"$work/closed.log"
wait_until 20 'a node without operations port listens' test -f "$work/closed.json"
! has_line '"http"' <"$work/closed.json" || fail "it tells of a port: $(cat "$work/closed.json")"

say 'one node killed, one paused: the third is alive, and not ready'
cluster kill 2
cluster pause 3
paused=$SECONDS
wait_until 20 'node 1 is not ready' is 503 1 /readyz
says '[-]controller none was heard of for'
wants 503 1 /restart-check/before
says '"not_ready":["controller: none was heard of for'
wants 200 1 /livez
wants 200 1 /startupz
wants 200 1 '/readyz?exclude=controller'
wait_until 10 'it tells of its peers' total_is 0 evgrid_peer_up 1
tests/cluster/metrics.py check "$(url 1 /metrics)"

say 'while it stops it is alive, and not ready'
cluster stop 1 &
stopping=$!
stops() { is 503 1 '/readyz?exclude=controller' && has_line -F '[-]running the node stops' <"$work/answer"; }
wait_until 10 'node 1 says that it stops' stops
wants 200 1 /livez
wait "$stopping"

say "after a pause of $PAUSE_SECONDS s a node is alive at once"
wait_until 20 'the pause has been long enough' clock_is_at $((paused + PAUSE_SECONDS + 1))
cluster resume 3
wants 200 3 /livez

say 'a start is told until it is over, and they are ready again'
# Every answer from the process's first on: 503 with how far it is, then 200; never back.
cluster start 1 &
starting=$!
: >"$work/starts"
rm -f "$work/cluster/n1/ports.json"
has_started() {
    local code
    code=$(ask --output "$work/answer" --write-out '%{http_code}' "http://127.0.0.1:$taken/startupz") || return 1
    printf '%s %s\n' "$code" "$(head -n 1 "$work/answer")" >>"$work/starts"
    [ "$code" = 200 ]
}
wait_until 30 'node 1 has started' has_started
wait "$starting"
! grep -v -e '^200 ok$' -e '^503 \[-\]recovery shard [01] has ' "$work/starts" || fail 'another answer while it starts'
cluster start 2
wait_until 30 'all are ready' all_ready
tests/cluster/metrics.py check "${all[@]}"
