#!/usr/bin/env bash
# deploy/local/cluster: a process of which only the first thread has ended is not gone, since its ports are taken still.
# So it is for a moment whenever a node is killed.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

readonly HALF_DEAD='
import ctypes, threading
threading.Thread(target=threading.Event().wait).start()
ctypes.CDLL(None).pthread_exit(None)  # of this thread alone
'
mkdir -p "$work/cluster/n1"
echo 1 >"$work/cluster/count"
printf 'listen:\n  control: 1\n' >"$work/cluster/n1/node.yaml"
state_is() { cluster status | has_line -E "^n1 +$1 "; }
in_state() { [ "$(sed 's/.*) //; s/ .*//' "/proc/$pid/stat")" = "$1" ]; }

setsid python3 -c "$HALF_DEAD" &
pid=$!
children+=("$pid")
printf '%s %s\n' "$pid" "$(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f20)" >"$work/cluster/n1/pid"
state_is running || fail "$(cluster status)"
wait_until 20 'its first thread has ended' in_state Z
state_is running || fail "its first thread has ended: $(cluster status)"
cluster kill 1
state_is stopped || fail "it was killed: $(cluster status)"
