#!/usr/bin/env bash
# Each object of deploy/kubernetes, rendered, against Kubernetes' and the Prometheus operator's schemas and types: wrong
# types, missing and unknown fields, words that are none. Then one of each kind of mistake must be found.
#
# Needs kubectl 1.27, node 20, npm, and the packages of tests/kubernetes/types, which npm fetches: says so, and ends
# with 77.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

skip() {
    printf 'skipped: %s\n' "$*" >&2
    exit 77
}
for tool in kubectl node npm; do command -v "$tool" >/dev/null || skip "needs $tool"; done
node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' || skip 'needs node 20 or later'

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp tests/kubernetes/types/* "$work"
(cd "$work" && timeout 300 npm ci --ignore-scripts --no-audit --no-fund) >"$work/npm" 2>&1 ||
    skip "the packages are not to be had: $(tail -n 3 "$work/npm")"

cat >"$work/kustomization.yaml" <<END
resources: [$(realpath --relative-to="$work" deploy/kubernetes/overlays/monitoring)]
components:
  - $(realpath --relative-to="$work" deploy/kubernetes/components/keys)
  - $(realpath --relative-to="$work" deploy/kubernetes/components/zone)
END
for place in deploy/kubernetes/base deploy/kubernetes/overlays/* "$work"; do
    # shellcheck disable=SC2016 # node expands it
    kubectl kustomize "$place" | kubectl annotate --local -f - tried=yes -o json |
        node -e 'const text = require("fs").readFileSync(0, "utf8");
            for (const one of text.split(/^}\n(?={)/m)) {
                const whole = one.trimEnd().endsWith("\n}") ? one : `${one}}`;
                console.log(`${process.argv[1]}\t${JSON.stringify(JSON.parse(whole))}`);
            }' "${place##*/}"
done >"$work/objects"

check() { (cd "$work" && node check.mjs); }
check <"$work/objects"

fail() {
    printf 'failed: %s\n' "$*" >&2
    exit 1
}
# One run for all: the compiler takes seconds.
changes='s/"podManagementPolicy":"Parallel"/"podManagementPolicy":"Paralel"/; s/"livenessProbe"/"liveProbe"/
    s/"maxUnavailable":1/"maxUnavailable":[1]/; s/"scrapeTimeout"/"scrapeTimeOut"/'
said=$(sed "$changes" "$work/objects" | check) && fail 'nothing was found'
for text in "Did you mean '\"Parallel\"'" "'\"liveProbe\"' does not exist" \
    'PodDisruptionBudget evgrid: data/spec/maxUnavailable' 'scrapeTimeOut'; do
    grep -qF "$text" <<<"$said" || fail "not found: $text"$'\n'"$said"
done
echo 'and four kinds of mistakes were found'
