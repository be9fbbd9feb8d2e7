#!/usr/bin/env bash
# Brings a changed StatefulSet to its pods one after the other, from the highest ordinal down, as the cluster permits:
# before each pod `evgrid restart-check` must say yes, after it the pod must be ready and as it was.
#
#   deploy/kubernetes/rollout.sh [--namespace NS] [--set NAME] [--timeout SECONDS]
#
# Apply the change first (kubectl apply -k): updateStrategy.rollingUpdate.partition is above every ordinal there, so
# that nothing happens by itself. Each step lowers it by one; at the end it is put back. What is done is read off the
# pods, so a run that ended at any place is gone on with by calling it again. A pod that does not come back, or is not
# let go, within the time-out (default 900) ends it with 1: mend the cause and call again. Needs kubectl, with leave
# to get and patch the StatefulSet, to get its pods and to exec in them.
set -euo pipefail

readonly PARKED=64 # above every ordinal: a cluster has 64 members at most
namespace=() set_name=evgrid timeout=900
while [ $# -gt 0 ]; do
    case $1 in
    --namespace) namespace=(--namespace "$2") ;;
    --set) set_name=$2 ;;
    --timeout) timeout=$2 ;;
    *)
        sed -n '2,/^set -/s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
    shift 2
done

say() { printf 'rollout: %s\n' "$*"; }
die() {
    printf 'rollout: %s\n' "$*" >&2
    exit 1
}
ask() { kubectl "${namespace[@]}" "$@"; }
of_set() { ask get statefulset "$set_name" -o "jsonpath=$1"; }
of_pod() { ask get pod "$set_name-$1" -o "jsonpath=$2" 2>/dev/null; }

is_updated() { [ "$(of_pod "$1" '{.metadata.labels.controller-revision-hash}')" = "$wanted" ]; }
is_ready() { [ "$(of_pod "$1" '{.status.conditions[?(@.type=="Ready")].status}')" = True ]; }
is_new_and_ready() { is_updated "$1" && is_ready "$1"; }
# A pod's own node answers for the cluster as it knows it.
checked() { ask exec "$set_name-$1" -c evgrid -- evgrid restart-check "$set_name-$1" "${@:2}" >/dev/null 2>&1; }
may_stop() { checked "$1"; }
is_back() { checked "$1" --after; }
is_recorded() { [ "$(of_set '{.status.currentRevision}')" = "$wanted" ]; }

# wait_for WHAT COMMAND...
wait_for() {
    local what=$1 end=$((SECONDS + timeout))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || die "waited $timeout s in vain: $what; call again when it is mended"
        sleep "${EVGRID_ROLLOUT_PAUSE:-2}"
    done
}

set_partition() {
    ask patch statefulset "$set_name" --type merge \
        -p "{\"spec\":{\"updateStrategy\":{\"rollingUpdate\":{\"partition\":$1}}}}" >/dev/null
}

[ "$(of_set '{.metadata.generation}')" = "$(of_set '{.status.observedGeneration}')" ] ||
    die 'the controller has not seen the change yet: call again in a moment'
wanted=$(of_set '{.status.updateRevision}')
replicas=$(of_set '{.spec.replicas}')
[ -n "$wanted$replicas" ] || die "cannot read StatefulSet $set_name"

for ((ordinal = replicas - 1; ordinal >= 0; ordinal--)); do
    if is_updated "$ordinal"; then
        say "$set_name-$ordinal is of $wanted already"
    else
        wait_for "$set_name-$ordinal may stop" may_stop "$ordinal"
        say "$set_name-$ordinal may stop"
    fi
    partition=$(of_set '{.spec.updateStrategy.rollingUpdate.partition}')
    [ "${partition:-0}" -le "$ordinal" ] || set_partition "$ordinal"
    wait_for "$set_name-$ordinal is of $wanted, and ready" is_new_and_ready "$ordinal"
    wait_for "$set_name-$ordinal is back as it was" is_back "$ordinal"
    say "$set_name-$ordinal is back as it was"
done
# Only then is a pod that is made anew below the partition of the new revision.
wait_for "the StatefulSet's present revision is $wanted" is_recorded
set_partition "$PARKED"
say "all $replicas pods are of $wanted"
