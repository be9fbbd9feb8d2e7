#!/usr/bin/env bash
# The last resort, and what it costs: five nodes; of a partition's three replicas one is away while events are
# acknowledged by the other two, which then die. An operator makes the first one primary. What only the dead held is
# given up, everywhere and for good; who stood in that history is told so (HISTORY) and never answered from the new one.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

program=$EVGRID_BUILD/evgrid

# publish FIRST LAST: one event each, of one key.
publish() {
    local i event='{"specversion":"1.0","source":"/test","type":"T","subject":"k","stream":"S"'
    for i in $(seq "$1" "$2"); do
        printf '%s,"id":"%s","data":{"n":%s}}\n' "$event" "$i" "$i"
    done >"$work/events"
    quietly evgrid publish "$work/events" --deadline 60s
}
stored() {
    evgrid replay --partition "$partition" --stream S 2>/dev/null | sed 's/.*"id":"\([0-9]*\)".*/\1/' | tr '\n' ' '
}
stored_is() { [ "$(stored)" = "$1" ]; }
# row FIELD NODE: of the partition's row for this node (columns of `partition ls`).
row() {
    evgrid partition ls --timeout 2s | awk -v p="$partition" -v n="n$2" -v f="$1" '$1 == p && $2 == n { print $f }'
}
is_out() { [ "$(row 5 "$behind")" = false ]; }
elects() {
    evgrid partition elect "$partition" --node "n$behind" --accept-loss --reason 'a test' >"$work/elected" 2>&1
}

start_cluster 5 --shards=1
quietly evgrid stream create S
printf 'view: v\nstream: S\nkind: entity\non:\n  T: {put: all}\n' >"$work/v.yaml"
quietly evgrid view apply "$work/v.yaml"
publish 1 3
partition=$(evgrid replay --stream S --limit 1 2>/dev/null | sed 's/.*"partition":\([0-9]*\).*/\1/')
read -r first behind second <<<"$(evgrid partition ls | awk -v p="$partition" \
    '$1 == p { sub("n", "", $2); if ($3 == "true") primary = $2; else rest = rest " " $2 } END { print primary rest }')"
printf 'partition %s: n%s is primary, n%s is the one that is away, n%s the third\n' \
    "$partition" "$first" "$behind" "$second"

say 'what only two hold is acknowledged; the two die'
expect 6 '' "$program" partition elect "$partition" --node "n$behind" --accept-loss
cluster kill "$behind"
wait_until 20 'it has left the in-sync set' is_out
publish 4 6
stored_is '1 2 3 4 5 6 ' || fail "stored: $(stored)"
cursor=$(evgrid replay 2>&1 >/dev/null | sed -n 's/.*--from //p')
position=$partition:$(evgrid replay --stream S 2>/dev/null | sed -n '$s/.*"offset":"\([0-9]*\)".*/\1/p')@0
cluster kill "$first"
cluster kill "$second"
cluster start "$behind"
wait_until 30 'three of five are there' live_nodes_are 3

say 'the operator decides; one who comes back gives up what it held'
wait_until 30 'the election is taken' elects
cat "$work/elected"
cluster start "$first"
wait_until 60 'it has cut its tail and there are two again' stored_is '1 2 3 '

say 'who stood in the history that was given up is told so'
expect 6 HISTORY "$program" replay --from "$cursor"
expect 6 HISTORY "$program" subscribe --from "$cursor"
expect 6 HISTORY "$program" view get v k --at-least "$position"

say 'it goes on, with the last one, too'
publish 7 9
cluster start "$second"
evgrid cluster wait --for healthy --nodes 5 --timeout 60s
stored_is '1 2 3 7 8 9 ' || fail "stored: $(stored)"
expect 6 HISTORY "$program" replay --from "$cursor"
for node in "$first" "$behind" "$second"; do
    evgrid view get v k --node "n$node" >"$work/row"
    grep -q '^state: {"n":9,' "$work/row" || fail "n$node: $(cat "$work/row")"
done
evgrid cluster status --check-digests --timeout 60s
