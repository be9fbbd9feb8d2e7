#!/usr/bin/env bash
# What a service manager hears of real nodes: each says once that it is ready, and goes on giving signs of life, also
# when no quorum is left; one that starts alone extends its time until the others are there; a stop is told. SIGUSR1
# makes a log verbose for a while.
# And what the unit promises, as far as systemd's own checks see it without running it.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

heard=$work/heard
export NOTIFY_SOCKET=$work/notify

said() { has_line -E "^$(node_pid "$1") .*$2" <"$heard"; } # NODE PATTERN
count() { grep -cE "^$(node_pid "$1") .*$2" "$heard" || true; }
says_again() { [ "$(count "$1" "$2")" -gt "$3" ]; } # NODE PATTERN BEFORE
# goes_on NODE PATTERN: it is said once more from now on.
goes_on() { wait_until 20 "node $1 says $2" says_again "$1" "$2" "$(count "$1" "$2")"; }

has_debug_line() { has_line -F ' level=debug ' <"$work/cluster/n1/log"; }

: >"$heard"
in_background tests/cluster/notified.py "$NOTIFY_SOCKET" "$heard"
wait_until 10 'the ear listens' test -S "$NOTIFY_SOCKET"

say 'three nodes say that they are ready, once, and that they live'
start_cluster 3 --shards=2
for node in 1 2 3; do
    wait_until 30 "node $node is ready" said "$node" 'READY=1 STATUS=ready'
    goes_on "$node" 'WATCHDOG=1 STATUS=ready'
    [ "$(count "$node" READY=1)" -eq 1 ] || fail "node $node was ready more than once: $(cat "$heard")"
done

say 'a verbose log for a while, and back'
told_level() { has_line -F "event=node.log_level from=$1 to=$2" <"$work/cluster/n1/log"; }
has_line -F ' level=debug ' <"$work/cluster/n1/log" && fail 'debug lines before they are asked for'
kill -USR1 "$(node_pid 1)"
wait_until 10 'the level changes' told_level info debug
cluster stop 3 # others get its primaries
cluster start 3
wait_until 30 'there are lines of level debug' has_debug_line
kill -USR1 "$(node_pid 1)"
wait_until 10 'the level goes back' told_level debug info

say 'without a quorum a node lives, and says what it lacks'
cluster kill 2
cluster kill 3
goes_on 1 'WATCHDOG=1 STATUS=not ready: '

say 'a stop is told, with its time'
cluster kill 1 # whom nobody can give consent
cluster start 1
goes_on 1 'WATCHDOG=1 EXTEND_TIMEOUT_USEC=[0-9]+ STATUS=not ready: '
goes_on 1 'WATCHDOG=1 EXTEND_TIMEOUT_USEC=[0-9]+ STATUS=not ready: '
said 1 READY=1 && fail 'a node is ready without a quorum'
cluster start 2
cluster start 3
wait_until 30 'node 1 is ready when the others are there' said 1 'READY=1 STATUS=ready'
cluster stop 1
said 1 'STOPPING=1 EXTEND_TIMEOUT_USEC=30000000' || fail "the stop was not told: $(tail -n 5 "$heard")"
grep "^$(node_pid 1) " "$heard" | tail -n 1 | has_line STOPPING=1 || fail 'a sign of life after the stop'

say 'a socket that cannot be is told in the log, and the node runs'
NOTIFY_SOCKET=nowhere cluster start 1
has_line -F 'event=node.notify_refused' <"$work/cluster/n1/log" || fail 'nothing in the log'
cluster kill 1

say 'the unit, by systemd itself'
if ! command -v systemd-analyze >/dev/null; then
    say 'not checked: no systemd-analyze here'
    exit 0
fi
mkdir "$work/unit"
sed "s|^ExecStart=/usr/bin/evgridd|ExecStart=$EVGRID_BUILD/evgridd|; /^Documentation=/d" \
    deploy/systemd/evgridd.service >"$work/unit/evgridd.service"
SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no --recursive-errors=no "$work/unit/evgridd.service" \
    >"$work/verified" 2>&1 || fail "systemd-analyze verify: $(cat "$work/verified")"
has_line -E 'evgridd.service:[0-9]+:' <"$work/verified" && fail "$(cat "$work/verified")"
systemd-analyze security --offline=yes --threshold=20 "$work/unit/evgridd.service" >"$work/exposure" 2>&1 ||
    fail "more exposed than 2.0 of 10: $(cat "$work/exposure")"
grep -o 'Overall exposure level.*' "$work/exposure"
