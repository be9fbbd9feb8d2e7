#!/usr/bin/env bash
# Plays one scenario of Chaos Mesh on a cluster of deploy/kubernetes, under load, and judges it.
#
#   deploy/chaos/kubernetes.sh [--namespace NS] [--timeout SECONDS] SCENARIO
#
# SCENARIO: pod-kill, partition, io-errors or clock-skew; the folder of that name says what is done and what must hold.
# `evgrid bench publish --verify` runs in a pod beside (load.yaml): every event acknowledged must be there once, in its
# key's order, and all must be acknowledged. Then every node must be back as it was, and no container may have been
# started again but for the fault.
#
# Ends with 0 when all of it holds, 1 when not, 3 when it could not be tried: no Chaos Mesh, fewer than three pods, not
# ready to begin with, a fault that did not come. What it made it removes, the stream Chaos stays. Wants Chaos Mesh 2.6,
# its namespace labelled evgrid-scraper=true, and leave to make pods and workflows. About three minutes.
set -euo pipefail

readonly SET=evgrid LOAD=evgrid-chaos-load NOT_TRIED=3 PAUSE=${EVGRID_CHAOS_PAUSE:-2}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
namespace=default timeout=600 scenario=''
usage() {
    sed -n '2,/^set -/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}
while [ $# -gt 0 ]; do
    case $1 in
    --namespace) namespace=$2 ;;
    --timeout) timeout=$2 ;;
    -*) usage ;;
    *)
        scenario=$1
        shift
        continue
        ;;
    esac
    shift 2
done
# How many pods are new ones afterwards, and in how many a container has been started again.
case $scenario in
pod-kill) kind=podchaos new=1 restarted=0 ;;
partition) kind=networkchaos new=0 restarted=0 ;;
io-errors) kind=iochaos new=0 restarted=1 ;;
clock-skew) kind=timechaos new=0 restarted=0 ;;
*) usage ;;
esac
workflow=evgrid-chaos-$scenario

say() { printf 'chaos: %s\n' "$*"; }
fails() {
    printf 'chaos: FAILED: %s\n' "$*" >&2
    exit 1
}
not_tried() {
    printf 'chaos: not tried: %s\n' "$*" >&2
    exit "$NOT_TRIED"
}
ask() { kubectl --namespace "$namespace" "$@"; }
of_set() { ask get statefulset "$SET" -o "jsonpath=$1"; }
of_load() { ask get pod "$LOAD" -o "jsonpath=$1" 2>/dev/null; }
of_workflow() { ask get workflows.chaos-mesh.org "$workflow" -o "jsonpath=$1" 2>/dev/null; }
pods() { # NAME UID RESTARTS, one line each
    local ordinal
    for ((ordinal = 0; ordinal < replicas; ordinal++)); do
        ask get pod "$SET-$ordinal" \
            -o 'jsonpath={.metadata.name} {.metadata.uid} {.status.containerStatuses[0].restartCount}'
        echo
    done
}

load_runs() { [ "$(of_load '{.status.phase}')" = Running ]; }
load_has_ended() { [[ $(of_load '{.status.phase}') =~ ^(Succeeded|Failed)$ ]]; }
is_aborted() { [ "$(of_workflow '{.metadata.annotations.workflow\.chaos-mesh\.org/abort}')" = true ]; }
is_over() { [ "$(of_workflow '{.status.conditions[?(@.type=="Accomplished")].status}')" = True ]; }
is_there() {
    [[ $(ask get "$kind.chaos-mesh.org" -l "chaos-mesh.org/workflow=$workflow" \
        -o 'jsonpath={.items[*].status.conditions[?(@.type=="AllInjected")].status}') =~ True ]]
}
is_there_or_never() { is_there || is_aborted || is_over; }
is_aborted_or_over() { is_aborted || is_over; }
is_back() {
    ask exec "$SET-$1" -c evgrid -- evgrid restart-check "$SET-$1" --after >/dev/null 2>&1
}
# wait_for COMMAND...: whether it comes true in time.
wait_for() {
    local end=$((SECONDS + timeout))
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep "$PAUSE"
    done
}

replicas=$(of_set '{.spec.replicas}')
[ "${replicas:-0}" -ge 3 ] || not_tried "$SET has ${replicas:-no} pods, and one of two is no cluster: scale it to 3"
ask get workflows.chaos-mesh.org >/dev/null 2>&1 || not_tried 'there is no Chaos Mesh'
of_load '{.metadata.name}' >/dev/null && not_tried "pod $LOAD is there: another scenario runs, or has left it"
image=$(of_set '{.spec.template.spec.containers[0].image}')
before=$(pods)

say "$scenario"
sed '/^apiVersion/,$d; s/^# /    /' "$here/$scenario/kustomization.yaml"

# shellcheck disable=SC2317 # called by the trap
clean_up() {
    ask delete workflows.chaos-mesh.org "$workflow" --ignore-not-found >/dev/null || true
    ask delete pod "$LOAD" --ignore-not-found >/dev/null || true
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

sed "s|image: evgrid\$|image: $image|" "$here/load.yaml" | ask apply -f - >/dev/null
wait_for load_runs || not_tried "the load does not start: kubectl describe pod $LOAD"
kubectl kustomize "$here/$scenario" |
    sed "s|\.evgrid-headless\.grid\.svc|.evgrid-headless.$namespace.svc|" | ask apply -f - >/dev/null
wait_for is_there_or_never || true
is_there || not_tried "the fault did not come: kubectl describe workflow $workflow"
load_runs || not_tried 'the load ended before the fault came'
say 'the fault is there'
wait_for is_aborted_or_over || fails 'the workflow does not end'
is_aborted && fails 'a node is not ready again: /readyz of each says why'
say 'the fault is over, and all founders are ready'

wait_for load_has_ended || fails 'the load does not end'
ask logs "$LOAD"
code=$(of_load '{.status.containerStatuses[0].state.terminated.exitCode}')
case $code in
0) say 'every event is acknowledged, and there once, in order' ;;
11) fails 'events are lost, doubled or out of order' ;;
*) fails "not every event was acknowledged (exit code $code)" ;;
esac
for ((ordinal = 0; ordinal < replicas; ordinal++)); do
    wait_for is_back "$ordinal" || fails "$SET-$ordinal is not back as it was: evgrid restart-check says why"
done
counted=$(join <(sort <<<"$before") <(pods | sort) |
    awk '{ if ($2 != $4) { new++; if ($5 > 0) again++ } else if ($5 > $3) again++ } END { print new + 0, again + 0 }')
[ "$counted" = "$new $restarted" ] ||
    fails "pods that are new, and with containers started again: $counted, not $new $restarted"
say "holds: $scenario"
