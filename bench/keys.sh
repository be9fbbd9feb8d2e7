#!/usr/bin/env bash
# What keys cost, in one run: throughput with keys over without, and completions beside bad handshakes over without.
#
#   bench/keys.sh [--rounds N] [--events N] [--in-flight N] [--single-events N] [--rate N] [--from ADDRESS]
#
# Two local clusters of three nodes, W = 1, one with keys. A round is `evgrid bench publish` (--events, --in-flight)
# against the one and the other, in turn the one or the other first; then --single-events one after the other against
# the one with keys, alone and while bench-handshakes throws --rate bad handshakes a second at all its ports, from
# before the first event on: what a flood does until it is limited is in it, and weighs the more the fewer events there
# are.
# The handshakes come from another loopback address (--from, 127.0.0.66) than the honest client and the nodes, as a
# stranger's would: who shares the flood's address can hardly connect. Printed: medians of the rounds, the ratios, how
# many were begun, and how many the nodes' kernels let in. The goals are 0.8 and 2.0. Exit status 0: measured (met or
# missed is printed), 1: something failed, 77: not built.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
export EVGRID_BUILD=${EVGRID_BUILD:-build}
rounds=3 events=1000000 in_flight=6544 single_events=10000 rate=10000 from=127.0.0.66
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || { sed -n '2,/^set -/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
    case $1 in
        --rounds) rounds=$2 ;;
        --events) events=$2 ;;
        --in-flight) in_flight=$2 ;;
        --single-events) single_events=$2 ;;
        --rate) rate=$2 ;;
        --from) from=$2 ;;
        *) sed -n '2,/^set -/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
for program in evgridd evgrid bench/bench-handshakes; do
    [ -x "$EVGRID_BUILD/$program" ] || { echo "bench/keys.sh: $EVGRID_BUILD/$program is not built" >&2; exit 77; }
done

work=$(mktemp -d -p "${TMPDIR:-/var/tmp}" evgrid-bench.XXXXXX)
flood=
cluster() { deploy/local/cluster --dir "$work/$1" "${@:2}"; }
end() {
    [ -z "$flood" ] || kill "$flood" 2>/dev/null || true
    cluster plain delete >/dev/null 2>&1 || true
    cluster keyed delete >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap end EXIT

keys=$work/keys
mkdir "$keys"
for node in 1 2 3; do "$EVGRID_BUILD/evgrid" keygen "$keys/n$node.key" --for-node "n$node" >/dev/null; done
"$EVGRID_BUILD/evgrid" keygen "$keys/app" --for-client app >/dev/null
cat "$keys"/n?.key.pub >"$keys/nodes"
cat "$keys/nodes" "$keys/app.pub" >"$keys/trusted"

evgrid() { # CLUSTER ARGUMENT...
    local at=$1
    shift
    if [ "$at" = keyed ]; then
        "$EVGRID_BUILD/evgrid" "$@" --server "$keyed" --key "$keys/app" --node-keys "$keys/nodes"
    else
        "$EVGRID_BUILD/evgrid" "$@" --server "$plain"
    fi
}
publish() { # CLUSTER EVENTS IN-FLIGHT FILE
    evgrid "$1" bench publish --events "$2" --keys 100000 --payload 160 --in-flight "$3" -o json >"$4"
}

plain=$(cluster plain up 3 -- --shards=1)
keyed=$(EVGRID_KEYS=$keys EVGRID_KEY=$keys/app EVGRID_NODE_KEYS=$keys/nodes cluster keyed up 3 -- --shards=1)
plain=${plain#EVGRID_SERVER=} keyed=${keyed#EVGRID_SERVER=}
for at in plain keyed; do evgrid "$at" stream create Bench 2>/dev/null; done
mapfile -t ports < <(for node in 1 2 3; do
    sed 's/"http".*//; s/[^0-9]/\n/g' "$work/keyed/n$node/ports.json" | awk 'length($0) > 3'
done)

for ((round = 1; round <= rounds; round++)); do
    printf 'round %s of %s\n' "$round" "$rounds" >&2
    order=(plain keyed)
    [ $((round % 2)) -eq 1 ] || order=(keyed plain)
    for at in "${order[@]}"; do publish "$at" "$events" "$in_flight" "$work/$at-$round.json"; done
    publish keyed "$single_events" 1 "$work/quiet-$round.json"
    "$EVGRID_BUILD/bench/bench-handshakes" "$rate" 600 "$from" 127.0.0.1 "${ports[@]}" >"$work/flood-$round.json" &
    flood=$!
    publish keyed "$single_events" 1 "$work/beside-$round.json"
    kill -TERM "$flood"
    wait "$flood" || true
    flood=
done

python3 - "$work" "$rounds" <<'PYTHON'
import json, statistics, sys

work, rounds = sys.argv[1], int(sys.argv[2])


def median(kind, figure):
    return statistics.median(figure(json.load(open(f'{work}/{kind}-{round}.json'))) for round in range(1, rounds + 1))


def verdict(met):
    return 'met' if met else 'missed'


plain, keyed = (median(at, lambda run: run['events_per_second']) for at in ('plain', 'keyed'))
quiet, beside = (median(at, lambda run: run['completion_us']['p99']) for at in ('quiet', 'beside'))
begun, connected = (median('flood', lambda run: run[f'{what}_per_second']) for what in ('begun', 'connected'))
print(f'throughput: {plain:.0f} events/s without keys, {keyed:.0f} with: ratio {keyed / plain:.2f}, '
      f'goal 0.80: {verdict(keyed >= 0.8 * plain)}')
print(f'completion p99: {quiet:.0f} us alone, {beside:.0f} us beside {begun:.0f} bad handshakes/s '
      f'({connected:.0f}/s were let in): ratio {beside / quiet:.2f}, goal below 2.00: {verdict(beside < 2 * quiet)}')
PYTHON
