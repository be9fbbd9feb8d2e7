#!/usr/bin/env bash
# The shop for long: a load at a steady rate while nodes are killed (-9) and started again; then the same load while new
# versions of its summary and of a Lua view take over. Readers watch all the while: an entry that was there is never
# empty, never older than it was seen, never of an older version than it was seen. At the end the views of every node
# equal what the events alone say, nothing is lost, nothing doubled.
#
#   tests/cluster/shop.sh [--events N] [--rate EVENTS-PER-SECOND] [--kills N]
#
# Half of the events go out under kills, half during the swap.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

events=120000
rate=4000
kills=2
while [ $# -gt 0 ]; do
    case $1 in
    --events) events=$2 ;;
    --rate) rate=$2 ;;
    --kills) kills=$2 ;;
    *) fail "usage: tests/cluster/shop.sh [--events N] [--rate N] [--kills N]" ;;
    esac
    shift 2
done
readonly WATCHED=60 # customers
half=$((events / 2))

# define VERSION: customer-orders and activity in that version, which their entries show.
define() {
    local smallest='' version=$1
    [ "$version" -eq 1 ] || smallest=$'\n    min: {smallest: total}'
    awk -v more="$smallest" '{ print } /max: \{largest/ && more != "" { print substr(more, 2) }' \
        deploy/shop/views/customer-orders.yaml >"$work/customer-orders.yaml"
    cat >"$work/activity.yaml" <<END
view: activity
streams: [Order, Payment]
kind: lua
key: partitionkey
apply: |
  function apply(event, state)
    state = state or {events = 0, version = $version}
    state.events = state.events + 1
    return state
  end
END
    quietly evgrid view apply "$work/customer-orders.yaml"
    quietly evgrid view apply "$work/activity.yaml" --wait --timeout 300s
    quietly evgrid view apply "$work/customer-orders.yaml" --wait --timeout 300s # nothing new, but known to answer
}

# load EVENTS-FILE: at the rate; what it prints is in EVENTS-FILE.out, its history in EVENTS-FILE.history.
load() {
    deploy/shop/pace.py "$rate" <"$1" |
        evgrid publish - --history "$1.history" --deadline 90s >"$1.out" 2>&1 || fail "publish ended: $(cat "$1.out")"
    grep -q "^applied: $half\$" "$1.out" || fail "not all were stored: $(cat "$1.out")"
}

# are_told EVENTS-FILE N: so many of its events were acknowledged.
are_told() { [ "$(wc -l <"$1.history")" -ge "$2" ]; }

# watch NAME [--node NODE]: until $work/watched is there; ends badly at the first entry that is empty or older.
watch() {
    tests/cluster/shop.py watch --keys "$work/watch" --until "$work/watched" "${@:2}" >"$work/watch-$1" 2>&1
}

# compare VERSION EVENTS...: every node's entries against a fold of the events.
compare() {
    local version=$1 view node
    shift
    quietly evgrid cluster wait --for healthy --nodes 3 --timeout 120s
    tests/cluster/shop.py customers "$@" >"$work/customers"
    compare_shop 'n1 n2 n3' "$@"
    for view in customer-orders activity; do
        for node in n1 n2 n3; do
            evgrid view get "$view" --keys-from "$work/customers" --node "$node" >"$work/rows" 2>"$work/errors" ||
                fail "view $view of $node cannot be read: $(cat "$work/errors")"
            tests/cluster/shop.py compare --view "$view" --version "$version" "$@" <"$work/rows" >"$work/compared" ||
                fail "view $view, version $version of $node: $(cat "$work/compared")"
        done
        cat "$work/compared"
    done
}

say 'the readers can find faults'
mkdir "$work/fake"
cat >"$work/fake/evgrid" <<'END'
#!/bin/sh
sed -n "$(wc -l <"$0.asked")p" "$0.answers" | grep . && echo >>"$0.asked"
END
chmod +x "$work/fake/evgrid"
# fake STATE...: a cluster that answers these, one after the other, to both views' questions.
fake() {
    echo >"$work/fake/evgrid.asked"
    for state; do printf '{"key":"c","state":%s}\n' "$state" "$state"; done >"$work/fake/evgrid.answers"
    EVGRID_BUILD=$work/fake tests/cluster/shop.py watch --keys - --until "$work/never" >"$work/faked" 2>&1 || true
}
state() { printf '{"version":%s,"events":%s,"orders":%s,"cancelled":0%s}' "$1" "$2" "$2" "${3:-}"; }
fake "$(state 1 5)" "$(state 1 4)"
grep -q 'was .* and is' "$work/faked" || fail "an older entry is not found: $(cat "$work/faked")"
fake "$(state 1 5)" null
grep -q 'is empty' "$work/faked" || fail "an empty entry is not found: $(cat "$work/faked")"
fake "$(state 2 5 ',"smallest":1')" "$(state 1 6)"
grep -q 'was .* and is' "$work/faked" || fail "an older version is not found: $(cat "$work/faked")"
fake "$(state 1 5)" "$(state 2 5 ',"smallest":1')"
grep -q 'cannot be read' "$work/faked" || fail "sound answers are faulted: $(cat "$work/faked")"

start_cluster 3
define_shop
shop_views=${shop_views/customer-orders/} # it and activity are compared by version
define 1
deploy/shop/generate.py --events "$half" >"$work/first"
deploy/shop/generate.py --events "$half" --skip "$half" >"$work/second"
tests/cluster/shop.py customers "$work/first" >"$work/customers"
head -n "$WATCHED" "$work/customers" >"$work/watch"

say "$half events at $rate/s, $kills nodes killed meanwhile"
load "$work/first" &
loader=$!
watch fresh &
watcher=$!
children+=("$loader" "$watcher")
for kill in $(seq "$kills"); do
    wait_until 300 "event $((half * kill / (kills + 1)))" are_told "$work/first" $((half * kill / (kills + 1)))
    victim=$((RANDOM % 3 + 1))
    cluster kill "$victim"
    told=$(($(wc -l <"$work/first.history") + rate / 2))
    wait_until 60 'the others to go on' are_told "$work/first" $((told < half ? told : half))
    quietly cluster start "$victim"
    quietly evgrid cluster wait --for healthy --nodes 3 --timeout 120s
    echo "n$victim was killed, and is in sync again ($kill)"
done
wait "$loader"
touch "$work/watched"
wait "$watcher" || fail "a reader: $(cat "$work/watch-fresh")"
cat "$work/watch-fresh"
compare 1 "$work/first"
! tests/cluster/shop.py compare --view activity --version 2 "$work/first" <"$work/rows" >/dev/null ||
    fail 'rows of version 1 pass for version 2'

say "$half events at $rate/s, new versions take over meanwhile"
rm "$work/watched"
load "$work/second" &
loader=$!
watchers=()
for node in '' n1 n2 n3; do
    watch "${node:-fresh}" ${node:+--node "$node"} &
    watchers+=($!)
done
children+=("$loader" "${watchers[@]}")
wait_until 60 'the first events of the second half' are_told "$work/second" $((half / 10))
define 2
kill -0 "$loader" 2>/dev/null || fail 'the load was over before the new versions answered: more events are needed'
echo 'the new versions answer everywhere, and the load goes on'
wait "$loader"
touch "$work/watched"
for watcher in "${watchers[@]}"; do wait "$watcher" || fail "a reader: $(tail -n 3 "$work"/watch-*)"; done
cat "$work"/watch-*
compare 2 "$work/first" "$work/second"

say 'nothing lost, nothing doubled'
evgrid history check "$work/first.history" "$work/second.history" >"$work/checked" || fail "$(cat "$work/checked")"
cat "$work/checked"
evgrid cluster status --check-digests | has_line '^digests: equal' || fail 'digests differ'
