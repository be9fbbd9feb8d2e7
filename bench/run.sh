#!/usr/bin/env bash
# Holds Evgrid's speed against the floor (bench/floor.h) in one run: alternating rounds, medians, ratios.
#
#   bench/run.sh [--rounds N] [--seconds N] [--events N] [--single-events N] [--reads N] [--live-events N]
#                [--in-flight N] [--dir DIR]
#
# A round is evgrid-floor (throughput, then single events), then, against a local cluster of three nodes with W = 1,
# `evgrid bench publish` (--events with --in-flight events in flight, then --single-events one at a time), `evgrid bench
# replay` (--events of what is stored), and five times in turn: a second of evgrid-floor's bare round trips, `evgrid
# bench get` (--reads, one blocking call after the other), the same by call-backs, and bench-subscribe_bench
# (--live-events, one after the other, without and beside a live subscriber). Of the five the median counts, since a run
# of so few microseconds follows where the scheduler happens to place it. 160-byte payloads, 100,000 keys.
# Once 10,000 events more go to one key, which is then read as of their end.
# Replay is held against 1,000,000 events/s, a read as of a time against 10 ms, views (bench-view_bench, one core)
# against 4,000,000 applications/s, Lua 150,000; every other goal is a ratio to the floor.
# Programs come from EVGRID_BUILD (default build/); DIR (default a new one in $TMPDIR or /var/tmp) holds all journals,
# so that both write to the same disk; what was made is removed. The cluster idles while the floor runs: its heartbeats
# are in the floor's figures. Exit status 0: measured (met or missed is printed), 1: something failed, 77: not built.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${EVGRID_BUILD:-build}
rounds=3 seconds=5 events=3000000 single_events=5000 reads=10000 live_events=1000 in_flight=6544 directory=
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || { sed -n '2,/^set -/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
    case $1 in
        --rounds) rounds=$2 ;;
        --seconds) seconds=$2 ;;
        --events) events=$2 ;;
        --single-events) single_events=$2 ;;
        --reads) reads=$2 ;;
        --live-events) live_events=$2 ;;
        --in-flight) in_flight=$2 ;;
        --dir) directory=$2 ;;
        *) sed -n '2,/^set -/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
for program in evgrid-floor evgridd evgrid bench/bench-view_bench bench/bench-subscribe_bench; do
    [ -x "$build/$program" ] || { echo "bench/run.sh: $build/$program is not built" >&2; exit 77; }
done

work=$(mktemp -d -p "${directory:-${TMPDIR:-/var/tmp}}" evgrid-bench.XXXXXX)
cluster() { EVGRID_BUILD=$build deploy/local/cluster --dir "$work/cluster" "$@"; }
end() {
    cluster delete >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap end EXIT

evgrid() { EVGRID_SERVER=$server "$build/evgrid" "$@"; }
floor() { # MODE SECONDS
    "$build/evgrid-floor" --mode "$1" --seconds "$2" --in-flight "$in_flight" --dir "$work"
}
publish() { # EVENTS IN-FLIGHT FILE
    evgrid bench publish --events "$1" --keys 100000 --payload 160 --in-flight "$2" -o json >"$3"
}

server=$(cluster up 3 -- --shards=1)
server=${server#EVGRID_SERVER=}
evgrid stream create Bench 2>/dev/null
evgrid view apply bench/bench.yaml 2>/dev/null
for ((round = 1; round <= rounds; round++)); do
    printf 'round %s of %s\n' "$round" "$rounds" >&2
    for mode in throughput single; do
        floor "$mode" "$seconds" >"$work/floor-$mode-$round.json"
    done
    publish "$events" "$in_flight" "$work/throughput-$round.json"
    publish "$single_events" 1 "$work/single-$round.json"
    evgrid bench replay --limit "$events" -o json >"$work/replay-$round.json"
    "$build/bench/bench-view_bench" >"$work/views-$round.txt"
    for pair in 1 2 3 4 5; do
        floor rtt 1 >"$work/floor-rtt-$round-$pair.json"
        evgrid bench get bench --keys 100000 --reads "$reads" -o json >"$work/get-$round-$pair.json"
        evgrid bench get bench --keys 100000 --reads "$reads" --callback -o json >"$work/callback-$round-$pair.json"
        "$build/bench/bench-subscribe_bench" "$server" "$live_events" >"$work/live-$round-$pair.json"
    done
done
evgrid bench publish --events 10000 --keys 1 --payload 160 -o json >"$work/one-key.json"
end_of_key=$(date -u +%FT%T.%6NZ)
for ((round = 1; round <= rounds; round++)); do
    evgrid bench get bench --keys 1 --reads 100 --as-of "$end_of_key" -o json >"$work/as-of-$round.json"
done

python3 - "$work" "$rounds" "$in_flight" <<'PYTHON'
import glob, json, statistics, sys

work, rounds, in_flight = sys.argv[1], int(sys.argv[2]), sys.argv[3]


def find(value, name):
    """The first member of this name, however deep; 64-bit numbers are strings in evgrid's JSON."""
    if isinstance(value, dict):
        if name in value and not isinstance(value[name], (dict, list)):
            return float(value[name])
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            found = find(one, name)
            if found is not None:
                return found
    return None


def read(kind, number, mode, name):
    """The figure of a round; where there are several of one kind, their median."""
    files = glob.glob(f'{work}/{kind}-{number}.json') + glob.glob(f'{work}/{kind}-{number}-*.json')
    return statistics.median(read_file(file, kind, mode, name) for file in files)


def read_file(path, kind, mode, name):
    with open(path) as file:
        figures = json.load(file)
    found = find(figures if mode is None else figures[mode], name)
    if found is None:
        sys.exit(f'bench/run.sh: {kind} tells no {name}: {json.dumps(figures)[:400]}')
    return found


def row(title, kind, mode, name):
    return show(title, [read(kind, number, mode, name) for number in range(1, rounds + 1)])


def show(title, values):
    print(f'{title:40}' + ''.join(f'{value:14,.0f}' for value in values) + f'{statistics.median(values):14,.0f}')
    return values


def views(title, start):
    """Applications a second, of the line of bench-view_bench that starts so."""
    values = []
    for number in range(1, rounds + 1):
        with open(f'{work}/views-{number}.txt') as file:
            line = next(line for line in map(' '.join, map(str.split, file)) if line.startswith(start))
        if not line.endswith('digests hold'):
            sys.exit(f'bench/run.sh: {line}')
        values.append(float(line.split('event, ')[1].split(' M')[0]) * 1e6)
    return show(title, values)


def ratio(title, ours, floors, good, bar):
    ratios = [one / floor for one, floor in zip(ours, floors)]
    median = statistics.median(ratios)
    print(f'{title:40}' + ''.join(f'{value:14.2f}' for value in ratios) + f'{median:14.2f}'
          f'   {bar}: {"met" if good(median) else "MISSED"}')


print(f'{"":40}' + ''.join(f'{f"round {number}":>14}' for number in range(1, rounds + 1)) + f'{"median":>14}')
floor = row(f'floor, events/s, {in_flight} in flight', 'floor-throughput', 'throughput', 'events_per_second')
ours = row(f'evgrid, events/s, {in_flight} in flight', 'throughput', None, 'events_per_second')
floor_single = row('floor, single event p50, us', 'floor-single', 'single', 'p50_us')
ours_single = row('evgrid, single event p50, us', 'single', 'completion_us', 'p50')
floor_rtt = row('floor, bare round trip p50, us', 'floor-rtt', 'rtt', 'p50_us')
ours_get = row('evgrid, view get p50, us', 'get', 'read_us', 'p50')
ours_callback = row('evgrid, view get by call-back p50', 'callback', 'read_us', 'p50')
alone = row('evgrid, single event, nobody follows', 'live', 'alone_us', 'p50')
beside = row('the same beside a live subscriber', 'live', 'beside_us', 'p50')
arrival = row('from its completion to it, p50, us', 'live', 'arrival_us', 'p50')
replay = row('evgrid, replay, events/s', 'replay', None, 'events_per_second')
as_of = row('read as of a time, 10,000 events, us', 'as-of', 'read_us', 'p50')
entity = views('entity view, events/s', 'entity Put 8 of 8 members, 10 events a batch, 64')
summary = views('summary of 5 members, events/s', 'summary Put 8 of 8 members, 10')
small = views('the same, payload of 2 members', 'summary Put 2 of 8 members, 10')
lua = views('Lua view, events/s', 'lua Put 8 of 8 members, 10')
row('floor, witness stalls', 'floor-throughput', 'throughput', 'stalls')
row('floor, steal, ms', 'floor-throughput', 'throughput', 'steal_ms')
ratio('throughput, of the floor', ours, floor, lambda value: value >= 0.1, '>= 0.1')
ratio('single event p50, of the floor', ours_single, floor_single, lambda value: value <= 2, '<= 2')
ratio('view get p50, of the floor', ours_get, floor_rtt, lambda value: value <= 1.3, '<= 1.3')
ratio('the same by call-back', ours_callback, floor_rtt, lambda value: value <= 1.3, '<= 1.3')
ratio('completion to subscriber, of the floor', arrival, floor_rtt, lambda value: value <= 1, '<= 1')
ratio('single event, followed, of not', beside, alone, lambda value: value <= 1.1, '<= 1.1')
for title, ours, goal in (('replay, of 1,000,000 events/s', replay, 1e6), ('entity view, of 4,000,000', entity, 4e6),
                          ('summary, of 4,000,000', summary, 4e6), ('the same, payload of 2', small, 4e6),
                          ('Lua view, of 150,000', lua, 150e3)):
    ratio(title, ours, [goal] * rounds, lambda value: value >= 1, '>= 1')
ratio('read as of a time, of 10 ms', as_of, [1e4] * rounds, lambda value: value <= 1, '<= 1')
PYTHON
