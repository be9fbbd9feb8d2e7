#!/usr/bin/env bash
# Reads of keys as a user asks them: several at once with one that is blocked, keys whose partition key is another and
# was not named, positions as they are printed, what a view that is being filled says.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

# order KEY PARTITION-KEY AMOUNT
order() {
    printf '{"specversion":"1.0","id":"%s-%s","source":"test","type":"Ordered","stream":"Order",' "$1" "$3"
    printf '"subject":"%s","partitionkey":"%s","data":{"amount":%s}}\n' "$1" "$2" "$3"
}

# expect STATUS COMMAND...: its output is in $work/out and $work/err.
expect() {
    local wanted=$1 status=0
    shift
    "$@" >"$work/out" 2>"$work/err" || status=$?
    [ "$status" -eq "$wanted" ] || fail "$* ended with $status, not $wanted: $(cat "$work/out" "$work/err")"
}
said() { grep -q -- "$1" "$work/err" || fail "'$1' was not said: $(cat "$work/err")"; }
unsaid() { ! grep -q -- "$1" "$work/err" || fail "'$1' was said: $(cat "$work/err")"; }
printed() { grep -q -- "$1" "$work/out" || fail "'$1' was not printed: $(cat "$work/out" "$work/err")"; }

start_cluster 1
quietly evgrid stream create Order
cat >"$work/sums.yaml" <<'END'
view: sums
stream: Order
kind: lua
apply: |
  function apply(event, state)
    if event.data.amount > 100 then
      error("an amount of " .. event.data.amount)
    end
    state = state or {sum = 0}
    state.sum = state.sum + event.data.amount
    return state
  end
END
quietly evgrid view apply --wait "$work/sums.yaml"
{
    order a a 1
    order b b 2
    order bad bad 500
    order o-1 ann 3
    order o-2 ann 4
    order o-2 bob 5
    order o-bad ann 600
    order o-bad ann 7
} >"$work/orders"
quietly evgrid publish "$work/orders" --history "$work/told"

say 'several keys: each has its own answer'
expect 8 evgrid view get sums a bad b -o json
printed '"sum": *1\b'
printed '"sum": *2\b'
said 'key bad is blocked by .* an amount of 500'
said 'view sums, key bad: .*'
unsaid 'key a:'
expect 6 evgrid view get sums bad bad
expect 4 evgrid view get nowhere a b
printf 'a\nbad\nnobody\no-1\no-1\tann\n' >"$work/keys"
expect 8 evgrid view get sums --keys-from "$work/keys"
printed '"key":"a","state":{"sum":1'
printed '"key":"o-1","state":{"sum":3'
said 'key bad is blocked by .* an amount of 500'
said 'view sums, key bad: .*'
said '2 found, 2 not there, 1 not answered'
said '2 of them were asked for under themselves as partition key.*KEY<Tab>PARTITION-KEY'

say 'a partition key that was not named'
expect 0 evgrid view get sums a o-1 -o json
printed '"sum": *3\b'
said 'all shards were asked for key o-1; --partition-key ann avoids that'
expect 4 evgrid history o-1
said 'no event of key o-1 .*--partition-key'
expect 0 evgrid history o-1 --partition-key ann
printed '"amount":3'
now=$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)
expect 0 evgrid view get sums o-1 --as-of "$now" -o json
printed '"sum": *3\b'
said '--partition-key ann'
expect 2 evgrid view get sums o-2 --as-of "$now"
said '2 entries have key o-2.*--partition-key'
expect 4 evgrid view get sums o-1 --as-of 0
said 'no event of key o-1 .*--partition-key'
expect 6 evgrid view retry sums o-bad
said '--partition-key ann'
said 'an amount of 600'
expect 0 evgrid view skip sums o-bad
expect 0 evgrid view get sums o-bad --partition-key ann -o json
printed '"sum": *7\b'
expect 2 evgrid view skip sums o-2
said '2 entries have key o-2.*--partition-key'
expect 4 evgrid view skip sums nobody

say 'positions, as they are printed'
position=$(grep '"key":"a"' "$work/told" | sed 's/.*"position":"\([^"]*\)".*/\1/')
[[ $position == *:*@0 ]] || fail "position '$position'"
expect 0 evgrid view get sums a --at-least "$position" -o json
printed '"sum": *1\b'
expect 0 evgrid view get sums a --as-of "$position" -o json
expect 7 evgrid view get sums a --at-least "${position%@*}@1" --timeout 300ms
expect 2 evgrid view get sums b --at-least "$position"
said 'that is a position of partition'
evgrid replay -o table 2>/dev/null | has_line "^$position " || fail "no $position in the table"
