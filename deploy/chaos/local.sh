#!/usr/bin/env bash
# Plays one scenario on a cluster of deploy/local/cluster, under load, and judges it.
#
#   deploy/chaos/local.sh [--dir DIR] [--node I] [--seconds S] SCENARIO
#
#   pod-kill     kill -9; started again after S seconds (default 10)
#   partition    SIGSTOP, SIGCONT after S seconds. A stand-in: on one loopback nobody can be cut off from some only, so
#                it is silent to clients, too, and does nothing meanwhile. What is cut in truth: tests/chaos/run
#   io-errors    every write of the node fails, the operating system says "File too large" (prlimit --fsize=0, which
#                needs no rights); started again after S seconds. For it the node is stopped and started once before
#   clock-skew   its wall clock goes 3 s ahead, and back after S seconds (libfaketime, which must be installed). For it
#                the node is stopped and started once before, and once after
#
# DIR (default .evgrid-local) holds a cluster of three or more that runs and is well; --node: who is hurt, default 2.
# `evgrid bench publish --verify` runs beside: every event must be acknowledged, and there once, in its key's order.
# Then the node must be back as it was. The stream Chaos stays.
#
# Ends with 0 when all of it holds, 1 when not, 3 when it could not be tried. evgrid is EVGRID, or in EVGRID_BUILD, or
# in the build folder, or on PATH.
set -euo pipefail

readonly RATE=500 NOT_TRIED=3 WAIT_SECONDS=${EVGRID_WAIT_SECONDS:-60}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=.evgrid-local node=2 seconds=10 scenario=''
usage() {
    sed -n '2,/^set -/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}
while [ $# -gt 0 ]; do
    case $1 in
    --dir) dir=$2 ;;
    --node) node=$2 ;;
    --seconds) seconds=$2 ;;
    -*) usage ;;
    *)
        scenario=$1
        shift
        continue
        ;;
    esac
    shift 2
done
[[ $node$seconds =~ ^[0-9]+$ ]] || usage

say() { printf 'chaos: %s\n' "$*"; }
fails() {
    printf 'chaos: FAILED: %s\n' "$*" >&2
    exit 1
}
not_tried() {
    printf 'chaos: not tried: %s\n' "$*" >&2
    exit "$NOT_TRIED"
}
cluster() { "$root/deploy/local/cluster" --dir "$dir" "$@" 2>>"$work/cluster"; }
program() {
    local place
    for place in "${EVGRID:-}" "${EVGRID_BUILD:-$root/build}/evgrid"; do
        [ ! -x "$place" ] || { printf '%s\n' "$place" && return; }
    done
    command -v evgrid
}
wait_for() {
    local end=$((SECONDS + WAIT_SECONDS))
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.2
    done
}
of_node() { "$evgrid" node ls -o json | tr '{' '\n' | grep "\"name\":\"n$node\""; }
is_back() { "$evgrid" restart-check "n$node" --after >/dev/null 2>&1; }
leads_nothing() { of_node | grep '"primaries":"\{0,1\}0[",]' >/dev/null; }
has_ended() { cluster status | grep -E "^n$node +stopped " >/dev/null; }
clock_is() { of_node | grep "\"clock\":\"$1\"" >/dev/null; }
node_pid() { cut -d' ' -f1 "$dir/n$node/pid"; }
# restart [COMMAND...]: stops the node and starts it, by that command.
restart() {
    cluster stop "$node"
    "$@" cluster start "$node"
    wait_for is_back || fails "n$node is not back after a clean restart, before anything was done to it"
}

# --- scenarios: what is prepared, what is done, how it ends -----------------------------------------------------------

must_hold='the others take its partitions within a second, and nothing that was acknowledged is lost or there twice'
prepare() { :; }
finish() { :; }
case $scenario in
pod-kill)
    begin() { cluster kill "$node"; }
    end() { cluster start "$node"; }
    ;;
partition)
    must_hold+='; when it goes on it acknowledges nothing as what it was, and follows'
    begin() { cluster pause "$node"; }
    end() { cluster resume "$node"; }
    ;;
io-errors)
    must_hold+='; it ends at the first write that fails'
    # Else the first such write ends the process from outside. What is ignored stays so in what is started.
    deaf_to_the_limit() { (trap '' XFSZ && "$@"); }
    prepare() {
        command -v prlimit >/dev/null || not_tried 'prlimit is missing (util-linux)'
        restart deaf_to_the_limit
    }
    begin() {
        prlimit --pid "$(node_pid)" --fsize=0:
        wait_for has_ended || fails "n$node goes on without a disk that takes its writes"
    }
    end() { cluster start "$node"; }
    ;;
clock-skew)
    must_hold='the others see that its clock is off and take its partitions by hand-over; it stays in sync, and leads'
    must_hold+=' again when its clock is right'
    with_a_clock_of_its_own() {
        LD_PRELOAD=$faketime FAKETIME_TIMESTAMP_FILE=$work/clock FAKETIME_DONT_FAKE_MONOTONIC=1 \
            FAKETIME_CACHE_DURATION=1 "$@"
    }
    prepare() {
        faketime=$(find /usr/lib /usr/local/lib -name libfaketimeMT.so.1 2>/dev/null | head -n 1)
        [ -n "$faketime" ] || not_tried 'libfaketime is missing (Debian package libfaketime)'
        echo +0 >"$work/clock"
        restart with_a_clock_of_its_own
    }
    begin() {
        echo +3 >"$work/clock"
        wait_for clock_is off || fails "nobody sees that the clock of n$node is off"
        wait_for leads_nothing || fails "n$node leads on with a clock that is off"
    }
    end() {
        echo +0 >"$work/clock"
        wait_for clock_is right || fails "nobody sees that the clock of n$node is right again"
    }
    finish() { restart; }
    ;;
*) usage ;;
esac

evgrid=$(program) || not_tried 'evgrid is not built: meson setup build && ninja -C build'
work=$(mktemp -d "${TMPDIR:-/tmp}/evgrid-chaos.XXXXXX")
load=''
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    local status=$?
    [ -z "$load" ] || kill "$load" 2>/dev/null || true
    if [ "$status" -ne 0 ] && [ -s "$work/cluster" ]; then tail -n 10 "$work/cluster" >&2; fi
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

server=$(cluster server) || not_tried "there is no cluster in $dir: deploy/local/cluster up 3"
export "${server?}"
[ "$(cluster status | grep -c ' running ')" -ge 3 ] || not_tried 'three nodes must run'
"$evgrid" cluster wait --for healthy >/dev/null || not_tried 'the cluster is not well: evgrid cluster status'
say "$scenario of n$node"
say "must hold: $must_hold"
prepare
"$evgrid" stream create Chaos >/dev/null
"$evgrid" bench publish --stream Chaos --rate "$RATE" --events $((RATE * (seconds + 10))) --verify --timeout 60s \
    -o json >"$work/load" 2>"$work/complaints" &
load=$!
sleep 2
begin
say 'the fault is there'
sleep "$seconds"
end
say 'the fault is over'
code=0
wait "$load" || code=$?
load=''
cat "$work/load" "$work/complaints"
case $code in
0) say 'every event is acknowledged, and there once, in order' ;;
11) fails 'events are lost, doubled or out of order' ;;
*) fails "not every event was acknowledged (exit code $code)" ;;
esac
wait_for is_back || fails "n$node is not back as it was: evgrid restart-check n$node --after"
finish
say "holds: $scenario"
