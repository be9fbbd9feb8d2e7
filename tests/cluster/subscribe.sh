#!/usr/bin/env bash
# Three nodes; shop events are published while subscribers run and nodes are killed (-9) and started again. Every
# subscriber must print every event once, in each partition in the order of its log: the same as a replay. One of them
# is ended itself and goes on from its cursor file. Then cursors that do not fit, each with its exit code.
#
#   tests/cluster/subscribe.sh [--events N] [--kills N]
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

events=40000
kills=3
rate=2500 # events a second
while [ $# -gt 0 ]; do
    case $1 in
    --events) events=$2 ;;
    --kills) kills=$2 ;;
    *) fail "usage: tests/cluster/subscribe.sh [--events N] [--kills N]" ;;
    esac
    shift 2
done
program=$EVGRID_BUILD/evgrid

# subscriber NAME [OPTION...]: runs in the background; its pid in $subscriber.
subscriber() {
    local name=$1
    shift
    in_background "$program" subscribe "$@" >>"$work/$name.out" 2>>"$work/$name.err"
    subscriber=$!
}
lines_are() { [ "$(wc -l <"$work/$1.out")" -ge "$2" ]; }
is_live() { grep -q 'live after' "$work/$1.err"; }

# end_subscriber PID: SIGINT; it must end with 130.
end_subscriber() {
    local status=0
    kill -INT "$1"
    wait "$1" || status=$?
    [ "$status" -eq 130 ] || fail "a subscriber ended with $status, not 130"
}

# compare NAME [TYPES]: what it printed against a replay, as "partition offset id", in the order printed within a
# partition.
compare() {
    local name=$1 type=${2:-}
    python3 - "$work/replayed" "$work/$name.out" "$type" <<'EOF' || fail "$name differs from the replay"
import json, sys
def read(path, kind):
    parts = {}
    for line in open(path, encoding="utf-8"):
        event = json.loads(line)
        if not kind or event["type"] in kind.split():
            parts.setdefault(int(event["partition"]), []).append((int(event["offset"]), event["id"]))
    return parts
wanted, seen = read(sys.argv[1], sys.argv[3]), read(sys.argv[2], "")
count = sum(map(len, seen.values()))
for p in sorted(set(wanted) | set(seen)):
    if wanted.get(p, []) != seen.get(p, []):
        a, b = wanted.get(p, []), seen.get(p, [])
        at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
        sys.exit(f"partition {p}: {len(a)} stored, {len(b)} printed; at {at}: {a[at:at + 2]} / {b[at:at + 2]}")
print(f"{count} events in {len(seen)} partitions, each once, in order")
EOF
}

start_cluster 3
define_shop
deploy/shop/generate.py --events "$events" --seed 7 >"$work/events"
first=$((events / 4))
head -n "$first" "$work/events" >"$work/past"
tail -n +"$((first + 1))" "$work/events" >"$work/future"

say 'a past, then subscribers: everything, one type, from now on, one that will be killed'
quietly evgrid publish "$work/past"
subscriber all --from start && all=$subscriber
subscriber type --type PaymentProcessed --type OrderCreated && one_type=$subscriber
subscriber resumed --cursor-file "$work/cursor" && resumed=$subscriber
subscriber now --from now && now=$subscriber
for name in all type resumed now; do wait_until 30 "$name is live" is_live "$name"; done
lines_are all "$first" || fail "live after $(wc -l <"$work/all.out") events of $first"

say "$((events - first)) events are published while $kills nodes die"
publish_future() {
    deploy/shop/pace.py "$rate" <"$work/future" | evgrid publish >"$work/published" 2>&1
}
in_background publish_future
publisher=$!
for kill in $(seq "$kills"); do
    node=$((kill % 3 + 1))
    wait_until 60 'events come' lines_are all "$((first + (events - first) * kill / (kills + 2)))"
    cluster kill "$node"
    if [ "$kill" -eq 1 ]; then
        end_subscriber "$resumed"
        subscriber resumed --cursor-file "$work/cursor" && resumed=$subscriber
    fi
    cluster start "$node" >/dev/null
    quietly evgrid cluster wait --for healthy --nodes 3 --timeout 60s
done
wait "$publisher" || fail "publishing: $(cat "$work/published")"
evgrid replay >"$work/replayed" 2>/dev/null
stored=$(wc -l <"$work/replayed")
[ "$stored" -ge "$events" ] || fail "$stored events are stored of $events"
for name in all resumed; do wait_until 60 "$name has everything" lines_are "$name" "$stored"; done
of_type=$(grep -cE '"type":"(OrderCreated|PaymentProcessed)"' "$work/replayed")
wait_until 60 'the one of two types has its' lines_are type "$of_type"
wait_until 60 'the one from now has the rest' lines_are now "$((stored - first))"
for pid in "$all" "$resumed" "$one_type" "$now"; do end_subscriber "$pid"; done
compare all
compare resumed
compare type 'OrderCreated PaymentProcessed'
[ "$(wc -l <"$work/now.out")" -eq $((stored - first)) ] || fail "from now: $(wc -l <"$work/now.out") events"

say 'a subscription goes on where it ended, and where a replay ended'
cursor=$(sed -n 's/.*--from //p' "$work/all.err" | tail -n 1)
quietly evgrid publish "$work/past"
evgrid subscribe --from "$cursor" --limit "$first" >"$work/more.out" 2>"$work/more.err" ||
    fail "$(cat "$work/more.err")"
[ "$(sort "$work/more.out" | uniq | wc -l)" -eq "$first" ] || fail 'not all of what came later'
cursor=$(evgrid replay 2>&1 >/dev/null | sed -n 's/.*--from //p')
quietly evgrid publish "$work/past"
evgrid subscribe --from "$cursor" --limit "$first" -o table 2>/dev/null | wc -l | grep -qx "$first" ||
    fail 'not what came behind the replay'

say 'what could not be written comes again'
for verb in "subscribe --cursor-file $work/unwritten" replay; do
    status=0
    # shellcheck disable=SC2086 # words
    "$program" $verb >/dev/full 2>"$work/errors" || status=$?
    [ "$status" -eq 1 ] || fail "$verb into a full file ended with $status"
    grep -q 'could not be written' "$work/errors" || fail "$verb: $(cat "$work/errors")"
    ! grep -q 'goes on with' "$work/errors" || fail "a cursor behind what was not written: $(cat "$work/errors")"
done
[ ! -e "$work/unwritten" ] || fail 'a cursor file behind what was not written'

say 'what does not fit is told'
expect 2 'a cursor is wanted' "$program" subscribe --from nonsense
expect 2 'a cursor is wanted' "$program" subscribe --from "${cursor%??}"
echo nonsense >"$work/bad-cursor"
expect 2 'bad-cursor: start, now or a cursor' "$program" subscribe --cursor-file "$work/bad-cursor"
expect 4 UNKNOWN_STREAM "$program" subscribe --stream Nowhere
for node in 1 2 3; do cluster kill "$node" >/dev/null; done
rm -rf "$work/cluster"
start_cluster 3
expect 3 FOREIGN "$program" subscribe --from "$cursor"
expect 3 FOREIGN "$program" replay --from "$cursor"
# The same cursor, made to be this cluster's: its positions lie beyond what is stored here.
id=$(evgrid cluster status -o json | sed -n 's/.*"cluster_id": *"\([0-9a-f]*\)".*/\1/p')
renamed=$(python3 - "$id" "$cursor" <<'EOF'
import base64, ctypes, sys
xxhash = ctypes.CDLL("libxxhash.so.0")
xxhash.XXH3_64bits.restype = ctypes.c_uint64
text = sys.argv[2][5:]
held = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
body = bytes.fromhex(sys.argv[1]) + held[16:-4]
check = (xxhash.XXH3_64bits(body, len(body)) & 0xffffffff).to_bytes(4, "little")
print("evc2." + base64.urlsafe_b64encode(body + check).decode().rstrip("="))
EOF
)
expect 6 BEYOND_END "$program" subscribe --from "$renamed"
expect 6 BEYOND_END "$program" replay --from "$renamed"
expect 6 BEYOND_END "$program" replay --merge --from "$renamed"

say "the how-to's program ends there, too, and prints what is stored"
mkdir "$work/docs"
quietly tests/unit/docs_c "$EVGRID_BUILD/client/libevgrid.so" "$work/docs"
expect 50 'BEYOND_END' "$work/docs/subscribe-1" "$EVGRID_SERVER" "$renamed"
define_shop
head -n 100 "$work/events" | quietly evgrid publish
in_background stdbuf -oL "$work/docs/subscribe-1" "$EVGRID_SERVER" >"$work/howto.out" 2>/dev/null
wait_until 30 "the how-to's program has printed what is stored" lines_are howto 100
