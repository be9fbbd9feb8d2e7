#!/usr/bin/env bash
# Bad input and bad luck, as a user meets them: each must end soon, with the documented exit code and with words that
# name the fault. Five nodes; then three, of which two die; for the full disk one alone, on a small tmpfs (needs root;
# else that part is skipped).
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

program=$EVGRID_BUILD/evgrid
daemon=$EVGRID_BUILD/evgridd
failures=0

# expect WHAT CODES TEXT SECONDS COMMAND...: one of the exit codes ("2|8"), a line that matches TEXT, in time.
expect() {
    local what=$1 codes=$2 text=$3 seconds=$4 status=0 began=$SECONDS
    shift 4
    timeout 60 "$@" >"$work/out" 2>"$work/err" || status=$?
    if [[ "|$codes|" == *"|$status|"* ]] && cat "$work/out" "$work/err" | grep -E -- "$text" >/dev/null &&
        [ $((SECONDS - began)) -le "$seconds" ]; then
        printf 'ok: %s (exit code %s, %s s): %s\n' "$what" "$status" $((SECONDS - began)) \
            "$(cat "$work/err" "$work/out" | grep -E -m 1 -- "$text" | cut -c 1-160)"
    else
        printf 'FAILED: %s: exit code %s after %s s, wanted %s within %s s and "%s"; it said:\n' "$what" "$status" \
            $((SECONDS - began)) "$codes" "$seconds" "$text"
        tail -n 8 "$work/out" "$work/err"
        failures=$((failures + 1))
    fi
}

# One event's line: event ID KEY [DATA].
event() {
    printf '{"specversion":"1.0","id":"%s","source":"/test","type":"T","subject":"%s","stream":"S","data":%s}\n' \
        "$1" "$2" "${3:-1}"
}
text_of() { head -c "$1" /dev/zero | tr '\0' x; }

bad_events() {
    say 'bad events'
    event 1 a >"$work/one"
    expect 'an unknown stream' 4 'UNKNOWN_STREAM' 15 "$program" publish --stream Nowhere "$work/one"
    event 2 "$(text_of 1025)" >"$work/key"
    expect 'a key over the limit' '2|8' 'line 1.*(LIMIT|1024|too long|limit)' 15 "$program" publish "$work/key"
    event 3 b "\"$(text_of 1048577)\"" >"$work/payload"
    expect 'a payload over the limit' '2|8' 'line 1.*(LIMIT|limit)' 15 "$program" publish "$work/payload"
    { event 4 c; echo '{"specversion":"1.0",'; event 5 c; echo 'no json'; event 6 c; } >"$work/mixed"
    expect 'a malformed line: its number' 8 'line 2' 15 "$program" publish "$work/mixed"
    expect 'two malformed lines: their count' 8 '^malformed: 2$' 15 "$program" publish "$work/mixed"
    expect 'malformed lines: the rest goes on' 8 '^applied: 3$' 15 "$program" publish "$work/mixed"
    event 7 versioned >"$work/first"
    event 8 versioned >"$work/second"
    expect 'expected version none, of a new key' 0 '^applied: 1$' 15 \
        "$program" publish --expect-version none "$work/first"
    expect 'expected version none, of a key that is there: the actual one' 6 \
        'version is 1: .* is wanted .outcome: not applied. .CHECK_FAILED' 15 \
        "$program" publish --expect-version none "$work/second"
    expect 'expected version 7, of a key with one event: the actual one' 6 \
        'version is 1: .* is wanted .outcome: not applied. .CHECK_FAILED' 15 \
        "$program" publish --expect-version 7 "$work/second"
    expect 'a wrong expected version' 2 'none, exists' 15 "$program" publish --expect-version some "$work/second"
}

bad_views() {
    say 'bad views'
    printf 'view: v\nstream: S\nkind: entity\non:\n  T: {putt: all}\n' >"$work/v.yaml"
    expect 'a view with an unknown part' 2 "v.yaml:5:7: .*putt" 15 "$program" view apply "$work/v.yaml"
    printf 'view: v\nstream: S\nkind: entity\non:\n  T: {put: al}\n' >"$work/v.yaml"
    expect 'a view with a wrong value: what was expected' 2 'v.yaml:5:[0-9]+: .*(all|map)' 15 \
        "$program" view apply "$work/v.yaml"
    printf 'view: v\nstream: S\nkind: entity\non: [\n' >"$work/v.yaml"
    expect 'a view that is no YAML' 2 'v.yaml:[0-9]+:[0-9]+: ' 15 "$program" view apply "$work/v.yaml"
    expect 'a view that is not there' 4 'UNKNOWN_VIEW' 15 "$program" view get nowhere k
}

# One event's line with another partition key: event_of ID KEY PARTITION-KEY DATA.
event_of() {
    event "$1" "$2" "$4" | sed "s/\"subject\"/\"partitionkey\":\"$3\",&/"
}

missing_partition_keys() {
    say 'reads without the partition key'
    event_of 30 order-1 ann '{"x":4}' >"$work/orders"
    event_of 31 order-2 ann '{"x":5}' >>"$work/orders"
    event_of 32 order-2 bob '{"x":6}' >>"$work/orders"
    quietly evgrid publish "$work/orders"
    expect 'a key under another partition key is found' 0 '"x":4' 15 "$program" view get s order-1 -o json
    expect 'it is said that all shards were asked' 0 'all shards were asked.*--partition-key ann' 15 \
        "$program" view get s order-1
    expect 'with the partition key they are not' 0 '"x":4' 15 "$program" view get s order-1 --partition-key ann -o json
    if grep 'all shards' "$work/err"; then
        echo 'FAILED: all shards were asked all the same'
        failures=$((failures + 1))
    fi
    expect 'a key under two partition keys: both are counted' 0 '2 entries have key order-2' 15 \
        "$program" view get s order-2
    expect 'a key that is nowhere' 4 'all shards were asked for key order-3' 15 "$program" view get s order-3
    expect 'a key that is nowhere, named with its partition key' 4 NOT_FOUND 15 \
        "$program" view get s order-1 --partition-key bob
    expect "on one node: what it holds" '0|4' 'all shards were asked' 15 "$program" view get s order-1 --node n1
}

bad_configuration() {
    say 'bad configuration and directories'
    printf 'node:\n  nmae: n1\nshards: 99\nlimits:\n  pending_bytes: many\n' >"$work/bad.yaml"
    expect 'a wrong configuration: an unknown key and the nearest' 2 'bad.yaml:2:3: .*node.nmae.*node.name' 5 \
        "$daemon" --config "$work/bad.yaml"
    expect 'all errors at once: the second' 2 'bad.yaml:3:[0-9]+: .*shards' 5 "$daemon" --config "$work/bad.yaml"
    expect 'all errors at once: the third' 2 'bad.yaml:5:[0-9]+: .*pending_bytes' 5 "$daemon" --config "$work/bad.yaml"
    expect 'a data directory in use' 3 'in use by process' 10 \
        "$daemon" --config "$work/cluster/n1/node.yaml" --listen.control=0
    mkdir "$work/strange"
    touch "$work/strange/file"
    expect "a directory that is no node's" 3 "no node's" 10 \
        "$daemon" --dev --data.dir="$work/strange" --listen.control=0
    cluster kill 3
    expect "another node's data directory" 3 "belongs to node 'n3'" 10 \
        "$daemon" --dev --data.dir="$work/cluster/n3/data" --listen.control=0
    cluster start 3
    evgrid cluster wait --for balanced --nodes 5 --timeout 60s
}

# Two of a partition's three replicas are gone, the controller is not: a write is refused soon, a read marked with its
# offset goes on. Then the majority is gone too: the same.
below_minimum() {
    local partition key one two third
    say 'below the minimum of in-sync replicas'
    partition=$(evgrid partition ls -o json --node n1 |
        python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["partition"])')
    key=$(tests/cluster/probe.py --keys | sed -n "$((partition + 1))p")
    read -r one two third _ < <(evgrid partition ls -o json --partition "$partition" | python3 -c 'import json, sys
replicas = {int(row["node"][1:]) for row in json.load(sys.stdin)} - {1}
print(*replicas, *({2, 3, 4, 5} - replicas))')
    event 9 "$key" '{"x":2}' >"$work/late"
    quietly evgrid publish "$work/late"
    export EVGRID_SERVER=${EVGRID_SERVER%%,*}
    cluster kill "$one"
    cluster kill "$two"
    wait_until 10 'the cluster notices' live_nodes_are 3
    expect 'a write below the minimum' 9 'NOT_ENOUGH_REPLICAS' 5 "$program" publish "$work/late"
    expect 'a read marked with its offset goes on' 0 '"x":2' 5 "$program" view get s "$key" --node n1 -o json
    cluster kill "$third"
    expect 'a write without a majority' 9 '.outcome: not applied. .NOT_ENOUGH_REPLICAS' 5 \
        "$program" publish "$work/late"
    for node in "$one" "$two" "$third"; do cluster start "$node"; done
    evgrid cluster wait --for balanced --nodes 5 --timeout 60s
    expect 'a write when they are back' 0 '^applied: 1$' 15 "$program" publish "$work/late"
}

three_cluster() { deploy/local/cluster --dir "$work/three" "$@"; }
no_controller() { [ "$(evgrid cluster status | grep -c '^controller: -$')" -eq 1 ]; }
a_second_passed() { [ $(($(date +%s%N) - killed_at)) -ge 1000000000 ]; }

# Two of three nodes are gone, so nobody can be elected: a write to any partition, whoever was its primary, is refused
# soon, and nothing of it is stored; a read marked with its offset goes on.
majority_lost() {
    local server
    say 'two of three nodes are gone'
    three_cluster up 3 >/dev/null 2>&1
    server=$(three_cluster server)
    export EVGRID_SERVER=${server#EVGRID_SERVER=}
    quietly evgrid stream create S
    quietly evgrid view apply "$work/s.yaml"
    quietly evgrid publish "$work/stored"
    tests/cluster/probe.py --keys | while read -r key; do event "every-$key" "$key" '{"x":3}'; done >"$work/every"
    three_cluster kill 2
    three_cluster kill 3
    killed_at=$(date +%s%N)
    wait_until 10 'nobody leads' no_controller
    wait_until 10 'a fence time' a_second_passed
    expect 'a write to every partition without a majority' 9 'NOT_ENOUGH_REPLICAS' 5 "$program" publish "$work/every"
    grep -x 'not_applied: 271' "$work/out" >/dev/null || {
        printf 'FAILED: of 271 writes, not all were refused:\n%s\n' "$(cat "$work/out")"
        failures=$((failures + 1))
    }
    expect 'a read marked with its offset goes on' 0 '"x":1' 5 "$program" view get s stored --node n1 -o json
    three_cluster start 2
    three_cluster start 3
    evgrid cluster wait --for balanced --nodes 3 --timeout 60s
    expect 'a write to every partition when they are back: nothing was stored before' 0 '^applied: 271$' 15 \
        "$program" publish "$work/every" --expect-version none
    for node in 1 2 3; do three_cluster kill "$node"; done
}

publish_slowly() { "$program" publish - --deadline 3s --history "$work/history" <"$work/fifo"; }
one_is_told() { [ "$(wc -l <"$work/history")" -ge 1 ]; }

unreachable() {
    local status=0
    say 'no node reachable'
    mkfifo "$work/fifo"
    touch "$work/history"
    in_background publish_slowly >"$work/out" 2>"$work/err"
    exec 5>"$work/fifo"
    event 10 e >&5
    for _ in 1 2 3 4; do event filler e >&5; done
    exec 6>&5
    for node in 1 2 3 4 5; do cluster kill "$node"; done
    event 11 f >&6
    exec 5>&- 6>&-
    SECONDS=0
    wait "${children[-1]}" || status=$?
    if [ "$SECONDS" -le 10 ] && [[ $status =~ ^(7|8)$ ]] &&
        grep -E '"id":"11".*"outcome":"(unknown|not_applied)"' "$work/history" >/dev/null; then
        printf 'ok: an event for nobody ends at its deadline (exit code %s, %s s): %s\n' "$status" "$SECONDS" \
            "$(tail -n 1 "$work/err")"
    else
        printf 'FAILED: an event for nobody: exit code %s after %s s\n' "$status" "$SECONDS"
        tail -n 5 "$work/out" "$work/err" "$work/history"
        failures=$((failures + 1))
    fi
    expect 'a command for nobody' 3 'CONNECT|connect' 8 "$program" cluster status --timeout 3s
    expect 'a command for a wrong address' 2 'host:port' 8 "$program" cluster status --server nowhere
}

is_unmounted() { ! mountpoint -q "$work/full/n1/data" || umount "$work/full/n1/data"; }
clean_up() {
    for node in 1 2 3; do three_cluster kill "$node" >/dev/null 2>&1; done
    full_cluster kill 1 >/dev/null 2>&1 || true
    wait_until 10 'unmounting the small disk' is_unmounted
}

full_cluster() { deploy/local/cluster --dir "$work/full" "$@"; }

full_told() {
    if grep -qE -- "$2" "$work/full/n1/log"; then
        echo "ok: the log tells $1"
    else
        printf 'FAILED: the log does not tell %s\n' "$1"
        tail -n 5 "$work/full/n1/log"
        failures=$((failures + 1))
    fi
}

# One node on a tmpfs that also holds a ballast: when the disk is full writes are refused and reads go on; room for the
# next segment is made by taking the ballast away.
full_disk() {
    local server
    say 'a full disk'
    if [ "$(id -u)" -ne 0 ]; then
        echo 'skipped: a full disk needs root for a tmpfs'
        return
    fi
    mkdir -p "$work/full/n1/data"
    if ! mount -t tmpfs -o size=160m none "$work/full/n1/data" 2>"$work/err"; then
        printf 'skipped: %s\n' "$(cat "$work/err")"
        return
    fi
    mkdir "$work/full/n1/data/lost+found"
    head -c 80M /dev/zero >"$work/full/n1/data/lost+found/ballast"
    full_cluster up 1 -- --journal.segment_bytes=8MiB --limits.disk_reserve_bytes=16MiB >/dev/null 2>&1
    server=$(full_cluster server)
    export EVGRID_SERVER=${server#EVGRID_SERVER=}
    quietly evgrid stream create S
    printf 'view: s\nstream: S\nkind: entity\non:\n  T: {put: all}\n' >"$work/s.yaml"
    quietly evgrid view apply "$work/s.yaml"
    event 20 stored '{"x":1}' >"$work/stored"
    expect 'a write while there is room' 0 '^applied: 1$' 15 "$program" publish "$work/stored"
    python3 -c 'import base64, os
for number in range(120):
    data = base64.b64encode(os.urandom(750000)).decode()
    print("{\"specversion\":\"1.0\",\"id\":\"big-%d\",\"source\":\"/test\",\"type\":\"Big\",\"subject\":\"big-%d\","
          "\"stream\":\"S\",\"data\":\"%s\"}" % (number, number, data))' >"$work/big"
    expect 'more than the disk holds' '8' 'DISK_FULL' 50 "$program" publish "$work/big" --in-flight 8
    event 21 small '"y"' >"$work/small"
    expect 'a write to a full disk' 9 'DISK_FULL' 10 "$program" publish "$work/small"
    expect 'a read from it' 0 '"x":1' 10 "$program" view get s stored -o json
    full_told "that the reserve is reached" \
        'level=warn .*event=disk.full code=DISK_FULL .* observed_bytes=[0-9]+ expected_bytes=[0-9]+ outcome=.* next='
    full_told "that a write found no room" \
        'level=error .*event=journal.disk_full code=DISK_FULL .* expected_bytes=[1-9][0-9]* outcome=.* next='
    rm "$work/full/n1/data/lost+found/ballast"
    wait_until 30 'the node takes writes again' "$program" publish "$work/small"
    echo 'ok: it takes writes again when room is made'
    full_told 'that there is room' 'level=info .*event=disk.has_room .*free_bytes='
    full_told 'that writes go on' 'level=info .*event=journal.writes_again shard='
    expect 'nothing is lost by it' 0 '"x":1' 10 "$program" view get s stored -o json
}

start_cluster 5
quietly evgrid stream create S
printf 'view: s\nstream: S\nkind: entity\non:\n  T: {put: all}\n' >"$work/s.yaml"
quietly evgrid view apply "$work/s.yaml"
event 0 stored '{"x":1}' >"$work/stored"
quietly evgrid publish "$work/stored"
bad_events
bad_views
missing_partition_keys
bad_configuration
below_minimum
unreachable
majority_lost
full_disk
[ "$failures" -eq 0 ] || fail "$failures checks"
