#!/usr/bin/env bash
# What tests/sim/run makes of seeds that crash, fail, or reach a mark too seldom, shown with a stand-in for evgrid-sim.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/sim" <<'END'
#!/usr/bin/env bash
# Seed 7 crashes, seed 12 fails; a mark is reached by all others.
first=${2%-*} last=${2#*-} failed=0
for seed in $(seq "$first" "$last"); do
    [ "$seed" -ne 7 ] || { echo 'an assertion' >&2; kill -ABRT $$; }
    [ "$seed" -ne 12 ] || { failed=1; echo "seed $seed: FAILED after 1.000 virtual seconds: because"; }
done
count=$((last - first + 1))
echo "mark fail-over $((count - failed)) seeds"
echo "$count seeds, $failed failed, $((10 * count)) events acknowledged, $count messages, 0.500 virtual hours"
exit "$failed"
END
chmod +x "$work/sim"

# run STATUS SEEDS [ARGUMENT...]: its output is in $work/out.
run() {
    local wanted=$1 seeds=$2 status=0
    shift 2
    EVGRID_SIM=$work/sim tests/sim/run --seeds "$seeds" "$@" >"$work/out" 2>&1 || status=$?
    [ "$status" -eq "$wanted" ] || fail "seeds $seeds ended with $status"
}
fail() {
    echo "$*, and said: $(cat "$work/out")" >&2
    exit 1
}
says() { grep -q -- "$1" "$work/out" || fail "'$1' is missing"; }

run 0 13-40
says '^28 seeds, 0 failed, 280 events acknowledged'
says '^mark fail-over  *28 seeds$'
run 1 1-20
says '^20 seeds, 2 failed, 190 events acknowledged'
says '^seed 7: an assertion'
says '^seed 7: FAILED, it crashed'
says 'replay: .* --seeds 7-7 '
says '^seed 12: FAILED after'
says '^mark fail-over  *18 seeds$'
run 1 13-40 --marks-per-mille 1001
says 'TOO FEW'
run 0 13-40 --minutes 0
says '^0 minutes are over: seeds 13-17$'
says '^5 seeds, 0 failed'
