#!/usr/bin/env bash
# A slow subscriber slows nobody and costs bounded memory: three nodes, a load of large events, and beside a quick
# subscriber one whose process stands still (SIGSTOP) and one that lives but whose output nobody reads, so that it holds
# its credit. While they stand still every event is acknowledged, the quick one has each once and in order, and the
# nodes' memory grows by no more than credit and window allow, held against the same load without slow subscribers. Then
# they go on, and get everything, without gap or doubling. Nothing is judged by time.
#
#   tests/cluster/slow-subscriber.sh [--events N]
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

events=4000 # of each load; 48 KiB each
while [ $# -gt 0 ]; do
    case $1 in
    --events) events=$2 ;;
    *) fail "usage: tests/cluster/slow-subscriber.sh [--events N]" ;;
    esac
    shift 2
done
helper=tests/cluster/slow-subscriber.py

# subscriber NAME start|now: into NAME.out goes what helper keeps of it; its process in $subscriber, the reader's in
# $reader.
subscriber() {
    mkfifo "$work/$1.fifo"
    in_background keep "$1"
    reader=$!
    in_background subscribe "$1" "$2"
    subscriber=$!
}
keep() { exec "$helper" keep <"$work/$1.fifo" >"$work/$1.out" 2>"$work/$1.kept"; }
subscribe() { exec "$EVGRID_BUILD/evgrid" subscribe --from "$2" >"$work/$1.fifo" 2>"$work/$1.err"; }
lines() { wc -l <"$work/$1.out"; }
lines_are() { [ "$(lines "$1")" -eq "$2" ]; }
is_live() { grep -q 'live after' "$work/$1.err"; }
stands_still() { [ "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat")" = T ]; }
stop_process() {
    still+=("$1")
    kill -STOP "$1"
    wait_until 10 "$1 stands still" stands_still "$1"
}

# What stands still ends by nothing else.
clean_up() { [ ${#still[@]} -eq 0 ] || kill -KILL "${still[@]}" 2>/dev/null; }
still=()

# load NUMBER: all of it must be acknowledged.
load() {
    "$helper" blobs $((events * $1)) "$events" |
        evgrid publish --in-flight 200 --deadline 120s --history "$work/told-$1" >"$work/published" 2>&1 ||
        fail "load $1 ended with $?: $(cat "$work/published")"
}
memory() { "$helper" "$1" "$(node_pid 1)" "$(node_pid 2)" "$(node_pid 3)" >"$work/nodes-$2-$1"; }

"$helper" self-test || fail 'the checks do not find what is wrong'

export MALLOC_MMAP_THRESHOLD_=16384 # what is freed leaves VmRSS, so that nothing hides in what was held before
start_cluster 3 --shards=1 --journal.segment_bytes=8MiB # one at a time lies in memory while it is sealed
quietly evgrid stream create Blob
subscriber quick start
say "$events events of 48 KiB: the nodes' caches are full from then on"
load 0
wait_until 120 'the quick one has all' lines_are quick "$events"

say 'the same load again, without a slow subscriber'
memory begin alone
load 1
wait_until 120 'the quick one has all' lines_are quick $((events * 2))
memory peak alone

say 'and again, with one that stands still and one that nobody reads'
subscriber stopped now && stopped=$subscriber
subscriber unread now && unread=$reader full=$subscriber
wait_until 60 'they are live' is_live stopped
wait_until 60 'they are live' is_live unread
stop_process "$stopped"
stop_process "$unread"
memory begin beside
"$helper" begin "$full" >"$work/client-begin"
load 2
wait_until 120 'the quick one has all' lines_are quick $((events * 3))
memory peak beside
"$helper" peak "$full" >"$work/client-peak"
for name in stopped unread; do lines_are "$name" 0 || fail "$name was not slow: it has $(lines "$name") events"; done
"$helper" compare "$work"/told-? "$work/quick.out"
"$helper" nodes 2 "$events" "$work"/nodes-{alone,beside}-{begin,peak} || fail 'slow subscribers cost too much'
"$helper" client 3 "$events" "$work"/client-{begin,peak} || fail 'a slow subscriber takes in too much'

say 'they go on'
kill -CONT "${still[@]}"
for name in stopped unread; do
    wait_until 120 "$name has all" lines_are "$name" "$events"
    "$helper" compare "$work/told-2" "$work/$name.out"
done
