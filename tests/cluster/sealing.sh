#!/usr/bin/env bash
# Sealed segments in whole processes: three nodes with the smallest segments take enough to seal many. What is replayed
# is what was published, also after a kill -9 in the midst of sealing and a restart; views are right; the journals'
# folders stay near what lives in them; `evgrid journal verify` finds nothing, and finds a byte that is changed.
#
#   tests/cluster/sealing.sh [--megabytes N]      published, of what cannot be compressed; default: 72
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

megabytes=72
[ "${1:-}" != --megabytes ] || megabytes=$2
readonly SEGMENT=$((8 * 1024 * 1024)) SHOP=9000 VICTIM=2
# Beside what lives, a journal's folder may hold: the segment being written, one that is being sealed and its copy, four
# spares. Live bytes are those of all batches; index and keys are allowed an eighth of them.
readonly FILES_BESIDE=7
blobs=$((megabytes * 1000 / 3 / 2)) # of each half
seals=$((megabytes * 3 / 4 / 8))    # the very least that a journal must have sealed in the end

journal() { printf '%s\n' "$work/cluster/n$1/data/journal-0"; }
sealed() { find "$(journal "$1")" -name '*.sealed' | wc -l; }
own_segments() { find "$(journal "$1")" -name '*.segment' | wc -l; }
is_gone() { ! kill -0 "$(node_pid "$1")"; }
has_sealed() { [ "$(sealed "$1")" -ge "$2" ]; }
is_sealing() { compgen -G "$(journal "$1")/*.sealing" >/dev/null; }
# All that is full has been sealed: what is left is being written, or was when the node started.
is_settled() { [ "$(own_segments "$1")" -le 2 ] && ! is_sealing "$1"; }

publish_all() {
    local file
    for file in "$@"; do
        evgrid publish "$file" --deadline 120s >"$file.summary" 2>"$file.errors" ||
            fail "publish of $file ended with $?: $(cat "$file.summary" "$file.errors")"
    done
}

replay_equals() {
    evgrid replay --output json --timeout 120s 2>/dev/null >"$work/stored" || fail "replay ended with $?"
    tests/cluster/sealing.py compare "$@" <"$work/stored"
}

start_cluster 3 --journal.segment_bytes=8MiB --shards=1
define_shop
quietly evgrid stream create Blob
deploy/shop/generate.py --events "$SHOP" >"$work/shop1"
deploy/shop/generate.py --events "$SHOP" --skip "$SHOP" >"$work/shop2"
tests/cluster/sealing.py blobs 0 "$blobs" >"$work/blobs1"
tests/cluster/sealing.py blobs "$blobs" "$blobs" >"$work/blobs2"

# The thread that seals, one a shard, stands back behind all others (node/shard_disk.h).
for node in 1 2 3; do
    process=/proc/$(node_pid "$node")
    nice=$(cut -d' ' -f19 "$process/stat") # at most 19: nothing stands behind that
    [ "$nice" -ge 19 ] || [ "$(awk -v nice="$nice" '$19 > nice' "$process"/task/*/stat | wc -l)" -eq 1 ] ||
        fail "n$node has no polite sealer"
done

say "the first half: $blobs blobs, $SHOP events of the shop"
publish_all "$work/shop1" "$work/blobs1"
for node in 1 2 3; do wait_until 60 "n$node has sealed" has_sealed "$node" 2; done
replay_equals "$work/shop1" "$work/blobs1"

say "the second half, and kill -9 of n$VICTIM while it seals"
in_background publish_all "$work/shop2" "$work/blobs2"
publisher=${children[-1]}
tests/cluster/sealing.py kill "$(node_pid "$VICTIM")" "$(journal "$VICTIM")"
wait_until 10 "n$VICTIM is gone" is_gone "$VICTIM"
echo "left by n$VICTIM: $(sealed "$VICTIM") sealed segments, $(own_segments "$VICTIM") of its own, $(
    find "$(journal "$VICTIM")" -name '*.sealing' | wc -l) half sealed"
cluster start "$VICTIM"
wait "$publisher" || fail 'publishing failed'
evgrid cluster wait --for healthy --nodes 3 --timeout 120s
replay_equals "$work/shop1" "$work/blobs1" "$work/shop2" "$work/blobs2"
cat "$work/shop1" "$work/shop2" >"$work/shop"
compare_shop 'n1 n2 n3' "$work/shop"

say 'all three stopped with kill -9 and started again'
for node in 1 2 3; do cluster kill "$node"; done
for node in 1 2 3; do cluster start "$node"; done
evgrid cluster wait --for healthy --nodes 3 --timeout 120s
replay_equals "$work/shop1" "$work/blobs1" "$work/shop2" "$work/blobs2"
compare_shop 'n1 n2 n3' "$work/shop"
evgrid cluster status --check-digests --timeout 60s

say 'files'
for node in 1 2 3; do
    wait_until 60 "n$node has sealed what is full" is_settled "$node"
    [ "$(sealed "$node")" -ge "$seals" ] || fail "n$node sealed $(sealed "$node") segments, wanted at least $seals"
done
for node in 1 2 3; do
    cluster stop "$node"
    evgrid journal verify "$work/cluster/n$node/data" --output json >"$work/verified" ||
        fail "verify of n$node ended with $?: $(cat "$work/verified")"
    python3 - "$node" "$(du -s --block-size=1 "$(journal "$node")" | cut -f1)" $((FILES_BESIDE * SEGMENT)) \
        "$work/verified" <<'PYTHON'
import json, sys
node, used, beside = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
text = open(sys.argv[4]).read()
try:
    rows = json.loads(text)
except ValueError:
    rows = [json.loads(line) for line in text.splitlines()]
row = rows[0] if isinstance(rows, list) else rows
live = int(row["batch_bytes"])
bound = live * 9 // 8 + beside
print(f"n{node}: {row['sealed']} sealed segments of {int(row['sealed_bytes']) >> 20} MiB, {live >> 20} MiB of batches "
      f"in all, {used >> 20} MiB on the disk, at most {bound >> 20} are allowed")
if used > bound:
    sys.exit("the journal's folder is too large")
if int(row["corrupt_blocks"]) + int(row["sealed_faults"]) != 0:
    sys.exit("verify found faults")
PYTHON
done

say 'a byte that is changed is found'
victim=$(find "$(journal 1)" -name '*.sealed' | sort | head -n 1)
cp "$victim" "$work/kept"
printf '\xff\x00\xff' | dd of="$victim" bs=1 seek=100000 conv=notrunc status=none
status=0
evgrid journal verify "$work/cluster/n1/data" >"$work/verified" || status=$?
[ "$status" -eq 11 ] || fail "verify of a damaged journal ended with $status: $(cat "$work/verified")"
echo 'found'
