#!/usr/bin/env bash
# evgrid-floor for a second a mode: it verifies itself, its figures are there, and it leaves nothing behind, neither
# when all goes well nor when one of its nodes is killed. Uses the build in EVGRID_BUILD (default build/).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/wait.sh
floor=${EVGRID_BUILD:-build}/evgrid-floor
directory=$(mktemp -d)
running=
end() {
    [ -z "$running" ] || kill "$running" 2>/dev/null || true
    rm -rf "$directory"
}
trap end EXIT

nodes_of() { cat "/proc/$1/task/$1/children"; }
has_nodes() { [ "$(nodes_of "$1" | wc -w)" -eq 3 ]; }
has_ended() { ! kill -0 "$1"; }

mkdir "$directory/journals"
"$floor" --seconds 1 --file-mib 16 --dir "$directory/journals" >"$directory/figures"
python3 - "$directory/figures" <<'PYTHON'
import json, sys
figures = json.load(open(sys.argv[1]))
for mode in ('throughput', 'single'):
    one = figures[mode]
    print(f'{mode}: {one["events_per_second"]} events/s, p50 {one["p50_us"]} us, p99.9 {one["p999_us"]} us')
    assert one['events'] > 0 and 0 < one['seconds'] <= 1
    assert one['apart']['events'] > 0 or 0 < one['p50_us'] <= one['p99_us'] <= one['p999_us']
    assert all(node['journal_bytes'] >= one['payload_bytes'] for node in one['nodes'])
assert figures['throughput']['events_per_second'] > figures['single']['events_per_second']
rtt = figures['rtt']
print(f'rtt: {rtt["round_trips"]} round trips, p50 {rtt["p50_us"]} us, p99.9 {rtt["p999_us"]} us')
assert rtt['round_trips'] > 0 and 0 < rtt['seconds'] <= 1
assert rtt['apart']['events'] > 0 or 0 < rtt['p50_us'] <= rtt['p99_us'] <= rtt['p999_us'] <= rtt['most_us']
assert figures['verified_events'] >= sum(figures[mode]['events'] for mode in ('throughput', 'single'))
PYTHON

"$floor" --mode rtt --seconds 1 --file-mib 16 --dir "$directory/journals" >"$directory/figures"
python3 - "$directory/figures" <<'PYTHON'
import json, sys
figures = json.load(open(sys.argv[1]))
assert figures['rtt']['round_trips'] > 0 and 'single' not in figures and 'throughput' not in figures
assert figures['verified_events'] == 0      # a round trip stores nothing
PYTHON

status=0
"$floor" --mode fast 2>"$directory/errors" || status=$?
[ "$status" -eq 2 ]
grep 'expected throughput, single, rtt or all' "$directory/errors" >/dev/null
status=0
"$floor" --in-flight 0 2>"$directory/errors" || status=$?
[ "$status" -eq 2 ]
grep 'expected 1 to' "$directory/errors" >/dev/null

"$floor" --seconds 60 --file-mib 16 --dir "$directory/journals" >/dev/null 2>"$directory/errors" &
running=$!
wait_until 10 'three nodes' has_nodes "$running"
read -r -a nodes <<<"$(nodes_of "$running")"
kill -9 "${nodes[1]}"
status=0
wait "$running" || status=$?
running=
cat "$directory/errors"
[ "$status" -eq 1 ]
grep 'node [0-2] has ended' "$directory/errors" >/dev/null
for node in "${nodes[@]}"; do
    wait_until 5 "the end of node $node" has_ended "$node"
done
[ -z "$(ls -A "$directory/journals")" ]
echo 'a killed node ends the run with status 1, and nothing is left'
