#!/usr/bin/env bash
# Changes the number of pods. Upwards the StatefulSet alone is scaled: pods join by themselves. Downwards the nodes of
# the pods that go leave the cluster first, the highest ordinal first, each when others hold all that it held; only
# then is the StatefulSet scaled. So it takes as long as copying takes, whatever the pods' grace period is.
#
#   deploy/kubernetes/scale.sh [--namespace NS] [--set NAME] [--timeout SECONDS] REPLICAS
#
# Refused where a cluster would be left with fewer nodes than a partition has copies. A run that ended early is gone on
# with by calling it again. Volumes stay; a pod that comes back later finds that its node has left, and joins anew.
set -euo pipefail

namespace=() set_name=evgrid timeout=3600 replicas=''
while [ $# -gt 0 ]; do
    case $1 in
    --namespace) namespace=(--namespace "$2") ;;
    --set) set_name=$2 ;;
    --timeout) timeout=$2 ;;
    [0-9]*)
        replicas=$1
        shift
        continue
        ;;
    *)
        sed -n '2,/^set -/s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
    shift 2
done
case $replicas in
'' | 0 | *[!0-9]*)
    echo 'scale: name the number of pods, at least 1' >&2
    exit 2
    ;;
esac

ask() { kubectl "${namespace[@]}" "$@"; }
in_first() { ask exec "$set_name-0" -c evgrid -- evgrid "$@"; }
is_member() { grep -Eq "\"name\":\"$1\",\"id\":[0-9]+,\"state\":\"(active|joining|draining)\"" <<<"$nodes"; }

present=$(ask get statefulset "$set_name" -o 'jsonpath={.spec.replicas}')
for ((ordinal = present - 1; ordinal >= replicas; ordinal--)); do
    nodes=$(in_first node ls -o json)
    if is_member "$set_name-$ordinal"; then
        printf 'scale: %s-%s leaves\n' "$set_name" "$ordinal"
        in_first node decommission "$set_name-$ordinal" --wait --timeout "${timeout}s"
    fi
done
ask scale statefulset "$set_name" --replicas "$replicas"
