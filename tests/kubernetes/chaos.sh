#!/usr/bin/env bash
# deploy/chaos/kubernetes.sh against a kubectl that plays a cluster and Chaos Mesh: what it applies, when it says that a
# scenario holds, and each way in which it must not.
#
# Needs kubectl 1.27 or later, which renders: says so and ends with 77.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

real=$(command -v kubectl || true)
if ! "${real:-false}" kustomize deploy/chaos/pod-kill >/dev/null 2>&1; then
    printf 'skipped: needs kubectl 1.27 or later\n' >&2
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
fail() {
    printf 'failed: %s\n' "$*" >&2
    cat "$work/said" >&2
    exit 1
}

# What it answers is in files of $work: a question that was asked so often of a thing that comes true.
cat >"$work/bin/kubectl" <<'END'
#!/usr/bin/env bash
set -euo pipefail
cd "$EVGRID_FAKE"
[ "$1" != kustomize ] || exec "$EVGRID_REAL_KUBECTL" "$@"
[ "$1 $2" = '--namespace tried' ] || { echo "another namespace: $*" >&2 && exit 1; }
shift 2
from() { cat "$1" 2>/dev/null || echo "${2:-}"; }
pod() { # NAME: what it was, or what it is after the fault
    if [ -e evgrid-chaos-"$(cat scenario)" ] && [ -e "after-$1" ]; then cat "after-$1"; else echo "$1 uid-$1 0"; fi
}
case "$*" in
'get statefulset evgrid -o jsonpath={.spec.replicas}') from replicas 3 ;;
'get statefulset evgrid -o jsonpath={.spec.template.spec.containers[0].image}') echo registry.example/evgrid:1.2.3 ;;
'get workflows.chaos-mesh.org') [ ! -e no-mesh ] ;;
'get pod evgrid-chaos-load '*metadata.name*) [ -e load ] && echo evgrid-chaos-load ;;
'get pod evgrid-chaos-load '*phase*) if [ -e over ]; then from phase Succeeded; else echo Running; fi ;;
'get pod evgrid-chaos-load '*exitCode*) from exit-code 0 ;;
'get pod evgrid-'*) pod "$3" | tr -d '\n' ;;
'apply -f -') cat >applied && mv applied "$(sed -n 's/^  name: //p' applied | head -n 1)" ;;
'get '*'chaos.chaos-mesh.org -l chaos-mesh.org/workflow=evgrid-chaos-'*)
    [ "$2" = "$(cat kind).chaos-mesh.org" ] && [ ! -e no-fault ] && echo True ;;
'get workflows.chaos-mesh.org evgrid-chaos-'*abort*) from aborted ;;
'get workflows.chaos-mesh.org evgrid-chaos-'*Accomplished*) [ ! -e "$3" ] || { : >over && echo True; } ;;
'exec evgrid-'*' -c evgrid -- evgrid restart-check '*' --after') [ ! -e "missing-$2" ] ;;
'logs evgrid-chaos-load') echo '{"lost":"0"}' ;;
'delete '*) echo "$*" >>deleted ;;
*) echo "this one does not know: $*" >&2 && exit 1 ;;
esac
END
chmod +x "$work/bin/kubectl"
export PATH=$work/bin:$PATH EVGRID_REAL_KUBECTL=$real EVGRID_CHAOS_PAUSE=0.01

# play CODE SCENARIO KIND [FILE=CONTENT...]: with those files it ends so.
play() {
    local code=$1 scenario=$2 kind=$3 status=0 file
    shift 3
    rm -rf "$work/state"
    mkdir "$work/state"
    printf '%s' "$scenario" >"$work/state/scenario"
    printf '%s' "$kind" >"$work/state/kind"
    for file in "$@"; do printf '%s\n' "${file#*=}" >"$work/state/${file%%=*}"; done
    EVGRID_FAKE=$work/state deploy/chaos/kubernetes.sh --namespace tried --timeout 1 "$scenario" >"$work/said" 2>&1 ||
        status=$?
    [ "$status" -eq "$code" ] || fail "$scenario ($*) ended with $status, not $code"
}
says() { grep -q -- "$1" "$work/said" || fail "it does not say: $1"; }

another='after-evgrid-1=evgrid-1 another 0'
again='after-evgrid-2=evgrid-2 uid-evgrid-2 3'
play 0 pod-kill podchaos "$another"
says 'Must hold: the others take'
says 'holds: pod-kill'
grep -q 'image: registry.example/evgrid:1.2.3$' "$work/state/evgrid-chaos-load" ||
    fail "the load is not of the nodes' image"
grep -q 'http://evgrid-2.evgrid-headless.tried.svc:7480/readyz' "$work/state/evgrid-chaos-pod-kill" ||
    fail 'other pods are asked'
printf '%s\n' 'delete workflows.chaos-mesh.org evgrid-chaos-pod-kill --ignore-not-found' \
    'delete pod evgrid-chaos-load --ignore-not-found' | diff - "$work/state/deleted" || fail 'something is left'
play 0 partition networkchaos
play 0 io-errors iochaos "$again"
play 0 clock-skew timechaos

play 1 pod-kill podchaos "$another" exit-code=11 phase=Failed
says 'lost, doubled'
play 1 pod-kill podchaos "$another" exit-code=8 phase=Failed
says 'not every event was acknowledged (exit code 8)'
play 1 pod-kill podchaos
says 'started again: 0 0, not 1 0'
play 1 pod-kill podchaos "$another" "$again"
play 1 partition networkchaos "$again"
play 1 io-errors iochaos
play 1 partition networkchaos missing-evgrid-0=yes
says 'evgrid-0 is not back'
play 1 clock-skew timechaos aborted=true
says 'not ready again'
play 3 clock-skew timechaos aborted=true no-fault=yes
says 'the fault did not come'
play 3 pod-kill podchaos no-mesh=yes
play 3 pod-kill podchaos replicas=1
play 3 pod-kill podchaos load=yes
[ ! -e "$work/state/deleted" ] || fail "another run's load is removed"
status=0
deploy/chaos/kubernetes.sh none >"$work/said" 2>&1 || status=$?
[ "$status" -eq 2 ] || fail "a scenario that is none ended with $status"
echo 'kubernetes.sh: 4 scenarios hold, 12 ways in which one does not'
