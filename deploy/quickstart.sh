#!/usr/bin/env bash
# The main job: three nodes on this machine take a shop's events, keep its views, lose a node to kill -9 in mid-load,
# and lose nothing. Installs what is missing, builds, runs, checks, cleans up.
#   deploy/quickstart.sh [--keep] [--events N] [--rate N] [--seconds N] [--no-install]
# --keep leaves the cluster running and says how to reach it. Exit status 0: every check passed.
set -euo pipefail
cd "$(dirname "$0")/.."

keep=false
events=100000
rate=5000
seconds=20
install=true
while [ $# -gt 0 ]; do
	case $1 in
	--keep) keep=true ;;
	--events) events=$2; shift ;;
	--rate) rate=$2; shift ;;
	--seconds) seconds=$2; shift ;;
	--no-install) install=false ;;
	*) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
	esac
	shift
done
kill_at=$((seconds / 4))
start_at=$((seconds * 3 / 5))

say() { printf '\n== %s\n' "$*"; }

if $install; then
	say "packages"
	deploy/install-dependencies.sh
fi
if [ -z "${EVGRID_BUILD:-}" ]; then
	say "build"
	EVGRID_BUILD=$PWD/build
	[ -f build/build.ninja ] || meson setup build >/dev/null
	ninja -C build evgrid evgridd | tail -1
fi
export EVGRID_BUILD
evgrid=$EVGRID_BUILD/evgrid
work=$(mktemp -d "${TMPDIR:-/tmp}/evgrid-quickstart.XXXXXX")
cluster() { deploy/local/cluster --dir "$work/cluster" "$@"; }
finish() {
	status=$?
	if $keep && [ "$status" -eq 0 ]; then
		printf '\nIt goes on: export EVGRID_SERVER=%s\nEnd it with: deploy/local/cluster --dir %s down\n' \
			"$EVGRID_SERVER" "$work/cluster"
	else
		cluster down >/dev/null 2>&1 || true
		[ "$status" -eq 0 ] && rm -rf "$work" || printf 'what is left for a look: %s\n' "$work" >&2
	fi
}
trap finish EXIT

say "three nodes"
cluster up 3
server=$(cluster server)
export EVGRID_SERVER=${server#EVGRID_SERVER=}
"$evgrid" cluster wait --for balanced --timeout 30s

say "streams and views"
for stream in Customer Product Order Payment; do "$evgrid" stream create "$stream" 2>/dev/null; done
for view in customers products orders payments customer-orders open-orders; do
	"$evgrid" view apply "deploy/shop/views/$view.yaml" 2>/dev/null
done
"$evgrid" view ls

# The views of every node against what the events alone say: compare_views EVENTS-FILE...
compare_views() {
	"$evgrid" cluster wait --for healthy --timeout 60s
	for view in customers products orders payments customer-orders open-orders; do
		deploy/shop/expected.py "$@" --keys "$view" >"$work/keys"
		for node in n1 n2 n3; do
			"$evgrid" view get "$view" --keys-from "$work/keys" --node "$node" >"$work/rows"
			printf '%s ' "$node"
			deploy/shop/expected.py "$@" --compare "$view" <"$work/rows"
		done
	done
}

say "$events events of a shop"
deploy/shop/generate.py --events "$events" >"$work/first.ndjson"
"$evgrid" publish "$work/first.ndjson" --history "$work/first.history"
compare_views "$work/first.ndjson"

load=$((rate * seconds))
say "$rate events/s for $seconds s; kill -9 of the node with most primaries at second $kill_at, back at $start_at"
deploy/shop/generate.py --events "$load" --skip "$events" >"$work/second.ndjson"
victim=$("$evgrid" partition ls -o json | python3 -c '
import collections, json, sys
rows = json.load(sys.stdin)
print(collections.Counter(row["node"] for row in rows if row["role"] == "primary").most_common(1)[0][0][1:])')
"$evgrid" partition ls -o json --node "n$victim" >"$work/led"
deploy/shop/pace.py "$rate" <"$work/second.ndjson" |
	"$evgrid" publish - --history "$work/second.history" >"$work/second.out" 2>"$work/second.err" &
publisher=$!
sleep "$kill_at"
killed_at=$(date +%s.%N)
cluster kill "$victim"
echo "n$victim killed"
sleep $((start_at - kill_at))
cluster start "$victim"
echo "n$victim started again"
status=0
wait "$publisher" || status=$?
cat "$work/second.out" "$work/second.err"
[ "$status" -eq 0 ] || { echo "publish ended with $status" >&2; exit 1; }
python3 deploy/shop/figures.py "$work/second.history" "$killed_at" --led "$work/led"
compare_views "$work/first.ndjson" "$work/second.ndjson"

say "nothing lost, nothing doubled"
"$evgrid" history check "$work/first.history" "$work/second.history" -o json >"$work/check"
"$evgrid" cluster status --check-digests -o json >"$work/status"
python3 - "$work/check" "$work/status" <<'PYTHON'
import json, sys
check, status = (json.load(open(path)) for path in sys.argv[1:])
print("acknowledged {acknowledged}, found {found}, lost {lost}, doubled {doubled}, ".format(**check) +
      "digests {digests} on all replicas".format(**status))
PYTHON
say "done"
