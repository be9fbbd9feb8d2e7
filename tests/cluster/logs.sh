#!/usr/bin/env bash
# The log as an operator reads it: three nodes; one is stopped, has a block of its journal damaged, is killed. Each is
# told by its name, at its level, with what the reader needs; and no line of any node is missing in
# docs/reference/logs.md.
# (A full disk: bad-input.sh.)
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

readonly VICTIM=2

log_of() { printf '%s\n' "$work/cluster/n$1/log"; }
# tells NODE PATTERN: a line of its log has it.
tells() { grep -q -- "$2" "$(log_of "$1")"; }
# others_tell PATTERN: those that are not the victim.
others_tell() { tells 1 "$1" && tells 3 "$1"; }
# tells_back NODE: that it was lost, and after that that it is live.
tells_back() {
    sed "1,/event=cluster.member_lost .*name=n$VICTIM /d" "$(log_of "$1")" >"$work/since"
    grep -q "level=info .*event=cluster.member_live name=n$VICTIM\$" "$work/since"
}
others_tell_back() { tells_back 1 && tells_back 3; }

start_cluster 3 --shards=1 --log.level=debug
define_shop
deploy/shop/generate.py --events 3000 >"$work/events"
deploy/shop/pace.py 3000 <"$work/events" | quietly evgrid publish -

say 'a clean stop is no loss'
cluster stop "$VICTIM"
wait_until 20 'the others tell it' others_tell "level=info .*event=cluster.member_stopped name=n$VICTIM\$"
lost="event=cluster.member_lost .*name=n$VICTIM "
if tells 1 "$lost" || tells 3 "$lost"; then fail 'a stop was told as a loss'; fi

say 'a damaged block: what, where, how many, what the node does, what to do'
victim=$(find "$work/cluster/n$VICTIM/data/journal-0" -name '*1.segment') # of its first life: nothing of it is sealed
printf '\xff\x00\xff' | dd of="$victim" bs=1 seek=8300 conv=notrunc status=none
cluster start "$VICTIM"
damage='shard=0 segment=1 .*observed_blocks=1 expected_blocks=0'
wait_until 20 'it tells it' tells "$VICTIM" \
    "level=error .*event=journal.quarantined code=CHECKSUM cause=\".*\" $damage outcome=\".*\" next=\""
evgrid cluster wait --for healthy --nodes 3 --timeout 60s
evgrid cluster status --check-digests --timeout 60s

say 'a kill: the others tell who is lost, and that it is back'
kill -9 "$(node_pid "$VICTIM")"
wait_until 20 'the others tell it' others_tell "level=warn .*event=cluster.member_lost .*name=n$VICTIM .*next="
cluster start "$VICTIM"
evgrid cluster wait --for healthy --nodes 3 --timeout 60s
wait_until 20 'the others tell it' others_tell_back

say 'every line of every node stands in the reference, and trouble has what it promises'
python3 - docs/reference/logs.md "$(log_of 1)" "$(log_of 2)" "$(log_of 3)" <<'PYTHON'
import json, re, sys

PAIR = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^ "]*)(?: |$)')
page = open(sys.argv[1]).read()
known = {name: text for name, text in re.findall(r'^### `([a-z_.]+)`\n(.*?)(?=^##|\Z)', page, re.S | re.M)}
seen, faults = {}, []
for path in sys.argv[2:]:
    for line in open(path).read().splitlines():
        pairs = PAIR.findall(line)
        fields = {key: json.loads(value) if value.startswith('"') else value for key, value in pairs}
        event = fields.get('event')
        if ''.join(f'{key}={value} ' for key, value in pairs).rstrip() != line or event not in known:
            faults.append(line)
            continue
        seen[event] = seen.get(event, 0) + 1
        named = {key for key in fields if f'| `{key}` |' in known[event]}
        trouble = fields['level'] in ('warn', 'error')
        wanted = {'ts', 'level', 'node', 'event'} | ({'cause', 'outcome', 'next'} if trouble else set())
        if fields['level'] == 'error':
            wanted |= {'code'}
        if not wanted <= set(fields) or set(fields) - wanted - named - {'code'}:
            faults.append(line)
print(', '.join(f'{event} {count}' for event, count in sorted(seen.items())))
for fault in faults[:10]:
    print('not as the reference says:', fault, file=sys.stderr)
sys.exit(1 if faults or len(seen) < 10 else 0)
PYTHON
