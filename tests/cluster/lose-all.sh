# shellcheck shell=bash disable=SC2154 # what common.sh sets
# What all-down.sh and power-loss.sh share, sourced by them: a load, lose_everything in its middle, all nodes started
# again, and what must be there then.

readonly EVENTS=36000 RATE=3000

acknowledged() { [ "$(wc -l <"$work/history")" -ge "$1" ]; }
all_gone() { [ "$(cluster status | grep -c ' stopped ')" -eq 3 ]; }

say "$EVENTS events of the shop, $RATE a second"
deploy/shop/generate.py --events "$EVENTS" >"$work/events"
: >"$work/history"
load() { deploy/shop/pace.py "$RATE" <"$work/events" | evgrid publish - --history "$work/history" --deadline 90s; }
in_background load >"$work/published" 2>&1
publisher=${children[-1]}
wait_until 60 'a third of the events is acknowledged' acknowledged $((EVENTS / 3))

lose_everything
wait_until 20 'all nodes are gone' all_gone
printf 'at that moment %s events had been acknowledged\n' "$(wc -l <"$work/history")"
for node in 1 2 3; do cluster start "$node"; done
began=$(date +%s%N)
evgrid cluster wait --for healthy --nodes 3 --timeout 60s
printf 'in sync again %s ms after all nodes listened\n' $((($(date +%s%N) - began) / 1000000))

status=0
wait "$publisher" || status=$?
cat "$work/published"
[ "$status" -eq 0 ] || [ "$status" -eq 8 ] || fail "publish ended with $status"

say 'nothing lost, nothing doubled'
evgrid cluster wait --for healthy --nodes 3 --timeout 60s
evgrid history check "$work/history"
evgrid replay --output json --timeout 30s >"$work/stored"
[ "$(wc -l <"$work/stored")" -ge "$(grep -c '"outcome":"applied"' "$work/history")" ] ||
    fail 'replay shows too few events'
compare_shop 'n1 n2 n3' "$work/stored"
[ "$status" -ne 0 ] || compare_shop n1 "$work/events"
evgrid cluster status --check-digests --timeout 30s
