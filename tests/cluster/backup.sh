#!/usr/bin/env bash
# A cluster under load is backed up, twice into one directory, and restored into a fresh cluster of four nodes, one of
# which dies meanwhile: digests, replay and cursors go on as they were. The commands are killed and given again. A
# damaged copy is found and refused.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

readonly EVENTS=24000 RATE=4000
backup=$work/backup

value() { sed -n "s/^$1: //p" "$2"; }
# What is stored before the cut, partition by partition.
stored() { evgrid replay --timeout 60s 2>"$work/errors" || fail "replay: $(cat "$work/errors")"; }

# killed_when WHAT CONDITION EVGRID-ARGUMENT...: the command is killed as soon as the condition holds.
killed_when() {
    local what=$1 condition=$2 pid
    shift 2
    "$EVGRID_BUILD/evgrid" "$@" >"$work/killed" 2>&1 &
    pid=$!
    children+=("$pid")
    wait_until 30 "$what" "$condition"
    kill -KILL "$pid" || fail "it had ended: $(cat "$work/killed")"
    wait "$pid" || true
}

start_cluster 3 --shards=2
say 'backed up under load'
define_shop
deploy/shop/generate.py --events 2000 >"$work/shop"
quietly evgrid publish "$work/shop"
evgrid bench publish --events $EVENTS --rate $RATE --verify >"$work/published" 2>"$work/publishing" &
load=$!
children+=("$load")
has_published() { [ "$(evgrid replay --limit 4000 2>/dev/null | wc -l)" -eq 4000 ]; }
wait_until 20 'the load runs' has_published
has_files() { [ "$(find "$backup/partition" -type f ! -name '*.new' | wc -l)" -ge 10 ]; }
killed_when 'some files are there' has_files backup create "$backup" --rate 100KiB
[ ! -e "$backup/manifest.json" ] || fail 'the killed back-up says that it is done'
find "$backup/partition" -type f ! -name '*.new' -exec sha256sum {} + >"$work/kept"
evgrid backup create "$backup" >"$work/first" 2>"$work/errors" || fail "create: $(cat "$work/errors")"
cat "$work/first"
sha256sum --quiet --check "$work/kept" || fail 'what the killed back-up had finished was made anew'
wait "$load" || fail "the load: $(cat "$work/published" "$work/publishing")"

say 'and again: what is new is added'
find "$backup/partition" -type f -exec sha256sum {} + | sort >"$work/files"
evgrid backup create "$backup" --rate 50MiB --node n2 >"$work/second" 2>"$work/errors" ||
    fail "create: $(cat "$work/errors")"
cat "$work/second"
sha256sum --quiet --check "$work/files" || fail 'a file of the first back-up was changed'
[ "$(value records_added "$work/second")" -lt "$(value records "$work/second")" ] || fail 'all was read again'
evgrid backup verify "$backup" >"$work/verified" 2>"$work/errors" || fail "verify: $(cat "$work/errors")"
[ "$(value records "$work/verified")" = "$(value records "$work/second")" ] || fail "verified: $(cat "$work/verified")"
stored >"$work/before"
quietly evgrid bench publish --events 500
evgrid replay --limit 1000000 2>&1 >/dev/null | sed -n 's/.*--from //p' >"$work/too-far" # beyond the back-up

say 'a flipped bit is found'
cp -r "$backup" "$work/damaged"
victim=$(find "$work/damaged/partition" -type f -size +1k | sort | sed -n 1p)
python3 - "$victim" <<'PYTHON'
import os
import sys

with open(sys.argv[1], "r+b") as file:
    file.seek(os.path.getsize(sys.argv[1]) // 2)
    byte = file.read(1)
    file.seek(-1, os.SEEK_CUR)
    file.write(bytes([byte[0] ^ 16]))
PYTHON
expect 11 'checksum' "$EVGRID_BUILD/evgrid" backup verify "$work/damaged"
expect 6 'was not formed to restore' "$EVGRID_BUILD/evgrid" backup restore "$backup"
for node in 1 2 3; do cluster kill "$node"; done

say 'restored into four nodes, while one of them dies'
source=$EVGRID_SERVER
mv "$work/cluster" "$work/former"
start_cluster 4 --shards=3 --cluster.restore=true
[ "$EVGRID_SERVER" != "$source" ] || fail 'the new cluster has the address of the old one'
quietly evgrid cluster wait --for restoring --nodes 4 --timeout 20s
expect 11 'checksum' "$EVGRID_BUILD/evgrid" backup restore "$work/damaged"
{ evgrid cluster status || [ $? -eq 9 ]; } | has_line '^state: restoring$' || fail 'it does not say that it waits'
expect 6 'refused in the present state' "$EVGRID_BUILD/evgrid" stream create Early
some_are_there() { [ "$(evgrid partition ls -o json | grep -c '"applied":"[1-9]')" -ge 30 ]; }
killed_when 'some partitions are there' some_are_there backup restore "$backup" --rate 500KiB
evgrid backup restore "$backup" --rate 4MiB >"$work/restored" 2>"$work/errors" &
restore=$!
children+=("$restore")
more_are_there() { [ "$(evgrid partition ls -o json | grep -c '"applied":"[1-9]')" -ge 200 ]; }
wait_until 20 'more partitions are there' more_are_there
cluster kill 3
status=0
wait "$restore" || status=$?
cluster start 3
if [ "$status" -ne 0 ]; then # a digest cannot be asked of who is dead: it is given again
    cat "$work/errors"
    evgrid backup restore "$backup" --timeout 30s >"$work/restored" 2>"$work/errors" ||
        fail "restore: $(cat "$work/errors")"
fi
cat "$work/restored"
quietly evgrid cluster wait --for healthy --nodes 4 --timeout 60s
quietly evgrid backup restore "$backup"
has_line 'event=cluster.restored' <"$work/cluster/n1/log" || fail 'n1 did not say that it is over'

say 'what is there is what was there'
stored >"$work/after"
cmp "$work/before" "$work/after" || fail 'the replay differs'
evgrid cluster status --check-digests | has_line '^digests: equal' || fail 'digests differ'
for view in $shop_views; do
    deploy/shop/expected.py "$work/shop" --keys "$view" >"$work/keys"
    evgrid view get "$view" --keys-from "$work/keys" >"$work/rows" 2>"$work/errors" ||
        fail "view $view cannot be read: $(cat "$work/errors")"
    deploy/shop/expected.py "$work/shop" --compare "$view" <"$work/rows" >"$work/compared" ||
        fail "view $view differs from its events: $(cat "$work/compared")"
done

say 'and it goes on, also where cursors of then say'
quietly evgrid bench publish --events 3000 --verify
cut=$(value cursor "$work/second")
[ "$(evgrid replay --from "$cut" --timeout 60s | wc -l)" -eq 3000 ] || fail 'a cursor of then does not go on'
expect 6 'BEYOND_END' "$EVGRID_BUILD/evgrid" replay --from "$(cat "$work/too-far")"
[ "$(stored | wc -l)" -eq $(($(wc -l <"$work/before") + 3000)) ] || fail 'events are missing'
expect 6 'a back-up of another cluster' "$EVGRID_BUILD/evgrid" backup create "$backup"
quietly evgrid backup create "$work/next"
