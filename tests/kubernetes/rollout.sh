#!/usr/bin/env bash
# deploy/kubernetes/rollout.sh and scale.sh against tests/kubernetes/kubectl: steps from the highest ordinal down,
# each when the cluster permits; ends where a pod does not come back, and goes on when called again; nodes leave
# before their pods.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
# By the interpreter itself: it is called a hundred times.
{
    python3 -c 'import sys; print("#!" + sys.executable, "-SE")'
    tail -n +2 tests/kubernetes/kubectl
} >"$work/bin/kubectl"
chmod +x "$work/bin/kubectl"
export PATH=$work/bin:$PATH EVGRID_FAKE_STATE=$work EVGRID_ROLLOUT_PAUSE=0.01

fail() {
    printf 'failed: %s\n' "$*" >&2
    cat "$work/said" "$work/calls" >&2
    exit 1
}
pod='{"ready":true,"revision":"old"}'
pods="\"evgrid-0\":$pod,\"evgrid-1\":$pod,\"evgrid-2\":$pod"
# state MORE: three pods of an old revision, and what else is so.
state() {
    printf '{"replicas":3,"partition":64,"revision":"new","current":"old","pods":{%s}%s}\n' "$pods" "$1" >"$work/state"
    : >"$work/calls"
}
# runs CODE SCRIPT...: it ends so.
runs() {
    local code=$1 status=0
    shift
    "$@" >"$work/said" 2>&1 || status=$?
    [ "$status" -eq "$code" ] || fail "$* ended with $status, not $code"
}
called() { printf '%s' "${@/%/$'\n'}" | diff - "$work/calls" >&2 || fail 'other calls'; }
rollout() { runs "$1" deploy/kubernetes/rollout.sh --namespace tried "${@:2}"; }

state ',"refusals":{"evgrid-1":2}'
rollout 0
called 'check evgrid-2 yes' 'partition evgrid 2' 'check evgrid-2 --after yes' \
    'check evgrid-1 no' 'check evgrid-1 no' 'check evgrid-1 yes' 'partition evgrid 1' 'check evgrid-1 --after yes' \
    'check evgrid-0 yes' 'partition evgrid 0' 'check evgrid-0 --after yes' 'partition evgrid 64'

state ',"stuck":["evgrid-1"]' # what is waited for is there at the first look, or never
sed -i 's/"evgrid-2":{"ready":true,"revision":"old"}/"evgrid-2":{"ready":true,"revision":"new"}/' "$work/state"
rollout 1 --timeout 1
grep -q 'waited 1 s in vain: evgrid-1 is of new, and ready' "$work/said" || fail 'it does not say where it ended'
called 'partition evgrid 2' 'check evgrid-2 --after yes' 'check evgrid-1 yes' 'partition evgrid 1'
sed -i 's/"stuck": \["evgrid-1"\]/"stuck": []/' "$work/state"
: >"$work/calls"
rollout 0
called 'check evgrid-2 --after yes' 'check evgrid-1 --after yes' 'check evgrid-0 yes' 'partition evgrid 0' \
    'check evgrid-0 --after yes' 'partition evgrid 64'

state ',"observed":1'
rollout 1
called
grep -q 'has not seen the change' "$work/said" || fail 'it does not say that it is too early'

state ''
runs 0 deploy/kubernetes/scale.sh --namespace tried 1
called 'evgrid node decommission evgrid-2 --wait --timeout 3600s' \
    'evgrid node decommission evgrid-1 --wait --timeout 3600s' 'scale evgrid 1'
state ''
runs 0 deploy/kubernetes/scale.sh 5
called 'scale evgrid 5'
runs 2 deploy/kubernetes/scale.sh 0
echo 'rollout.sh and scale.sh: as they should be'
