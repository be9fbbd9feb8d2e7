#!/usr/bin/env bash
# One node without configuration: evgridd --dev comes up, publishes and replays; kill -9 and a restart keep everything;
# a clean stop ends with 0 and leaves its proof; the wrong uses of a data directory are refused with exit code 3; the
# reference page of the configuration is the one that the program prints.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

evgridd=$EVGRID_BUILD/evgridd
pid=

start() {
    rm -f "$work/ports.json"
    "$evgridd" --dev --data.dir="$work/data" --listen.control=0 --ports-file "$work/ports.json" 2>>"$work/log" &
    pid=$!
    children+=("$pid")
    wait_until 30 'the node listens' test -f "$work/ports.json"
    EVGRID_SERVER=127.0.0.1:$(sed 's/.*"control":\([0-9]*\).*/\1/' "$work/ports.json")
    export EVGRID_SERVER
    evgrid cluster wait
}

clean_up() { [ ! -f "$work/log" ] || [ -z "${EVGRID_KEEP:-}" ] || cat "$work/log" >&2; }

say 'the reference page is the one that evgridd prints'
"$evgridd" --print-config-reference | diff - docs/reference/configuration.md ||
    fail 'evgridd --print-config-reference >docs/reference/configuration.md'

say 'wrong configurations are told, all errors at once'
printf 'node:\n  nmae: n1\nshards: 99\n' >"$work/wrong.yaml"
expect 2 "wrong.yaml:2:3: unknown key 'node.nmae': the nearest is 'node.name'" \
    "$evgridd" --config "$work/wrong.yaml" --check-config
grep -q 'wrong.yaml:3:9: shards: expected' "$work/stderr" || fail 'the second error was not told'
expect 2 'is no option' "$evgridd" --dev nonsense
expect 2 'usage:' "$evgridd"
"$evgridd" --dev --check-config

say 'it comes up, publishes and replays'
start
evgrid bench publish --events 20000 --verify --history "$work/history" >"$work/published"
[ "$(sed -n 's/^acknowledged: //p' "$work/published")" = 20000 ] || fail "published: $(cat "$work/published")"

python3 - "$work/history" <<'EOF' || fail 'the stages of a completion do not sum up to its time'
import json, sys
sums = [0] * 6
for line in open(sys.argv[1]):
    event = json.loads(line)
    if event["outcome"] == "applied":
        whole = int(event["completed_us"]) - int(event["invoked_us"])
        sums = [a + b for a, b in zip(sums, event["stages_us"])]
        assert abs(whole - sum(event["stages_us"])) <= 2, event
assert all(sums[i] > 0 for i in (0, 1, 2, 3, 5)), sums
print("stages, sums in us:", sums)
EOF

say 'a second process in the same directory is refused'
expect 3 'is in use by process' "$evgridd" --dev --data.dir="$work/data" --listen.control=0

say 'a port that is taken is refused'
expect 4 'event=node.not_bound code=BAD_CONFIG .*socket=control ' \
    "$evgridd" --dev --data.dir="$work/fresh" --listen.control="${EVGRID_SERVER##*:}"

say 'kill -9 and a restart keep everything'
kill -9 "$pid"
wait "$pid" 2>/dev/null || true
start
evgrid history check "$work/history" >"$work/checked" || fail "after kill -9: $(cat "$work/checked")"
[ "$(sed -n 's/^lost: //p' "$work/checked")" = 0 ] || fail "after kill -9: $(cat "$work/checked")"

say 'a clean stop ends with 0 and leaves its proof'
kill -TERM "$pid"
wait "$pid" || fail "a clean stop ended with $?"
grep -q '^proof [1-9]' "$work/data/identity" || fail "no proof: $(cat "$work/data/identity")"

say 'another name, another W, a foreign directory are refused'
expect 3 "belongs to node 'dev', and this node is 'other'" "$evgridd" --dev --node.name=other --data.dir="$work/data"
expect 3 'was made with shards' "$evgridd" --dev --shards=8 --data.dir="$work/data"
mkdir "$work/foreign"
touch "$work/foreign/thesis"
expect 3 'is no node.s, and not empty (thesis)' "$evgridd" --dev --data.dir="$work/foreign"

say 'what was stored is there after all that'
start
evgrid history check "$work/history" >"$work/checked" || fail "at the end: $(cat "$work/checked")"
kill -TERM "$pid"
wait "$pid" || fail "a clean stop ended with $?"
