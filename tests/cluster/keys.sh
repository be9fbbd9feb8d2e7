#!/usr/bin/env bash
# A cluster with keys: it forms, and takes events from who has a trusted key; who has none, or another, is refused, and
# the log names the key; a client's key does not speak for a node. A node's key is changed under load, in three steps,
# and nothing is lost; what is taken out of the list is out, without a restart.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

keys=$work/keys
mkdir "$keys"
key() { evgrid keygen "$keys/$1" "$2" "$3" -o json | sed 's/.*"fingerprint":"\([0-9a-f]*\)".*/\1/'; }
for node in 1 2 3; do key "n$node.key" --for-node "n$node" >/dev/null; done
app=$(key app --for-client app)
stranger=$(key stranger --for-client stranger)
cat "$keys"/n?.key.pub >"$keys/nodes"
cat "$keys/nodes" "$keys/app.pub" >"$keys/trusted"

# check_config TEXT FLAG...: that configuration is refused, and it is said why.
check_config() {
    expect 2 "$1" "$EVGRID_BUILD/evgridd" --check-config --node.name=n1 --data.dir="$work/none" "${@:2}"
}
say 'what is wrong with the files is told before anything starts'
check_config 'keys.trusted is not' "--keys.secret=$keys/n1.key"
check_config 'not among those of' "--keys.secret=$keys/app" "--keys.trusted=$keys/trusted"
check_config 'not a loopback address' --listen.address=0.0.0.0
cp "$keys/n1.key" "$keys/open"
chmod 644 "$keys/open"
check_config "chmod g-w,o-rwx $keys/open" "--keys.secret=$keys/open" "--keys.trusted=$keys/trusted"
printf 'node n1\n' | cat "$keys/trusted" - >"$keys/wrong"
check_config "$keys/wrong:5: " "--keys.secret=$keys/n1.key" "--keys.trusted=$keys/wrong"
"$EVGRID_BUILD/evgridd" --print-config --node.name=n1 --data.dir="$work/none" --listen.address=0.0.0.0 \
    --keys.secret="$keys/n1.key" --keys.trusted="$keys/trusted" | has_line 'fingerprint [0-9a-f]\{16\}'

say 'a cluster with keys'
export EVGRID_KEYS=$keys EVGRID_KEY=$keys/app EVGRID_NODE_KEYS=$keys/nodes
start_cluster 3
grep -q "event=keys.taken .*trusted=4" "$work/cluster/n1/log" || fail 'n1 does not say that it has keys'
quietly evgrid stream create Order
quietly evgrid bench publish --events 2000 --verify

say 'nobody else comes in'
tells() { has_line "event=$2 .*$3" <"$work/cluster/n$1/log"; }
expect 3 "$stranger" "$EVGRID_BUILD/evgrid" node ls --key "$keys/stranger" --timeout 1s
tells 1 keys.refused "observed=$stranger" || fail "n1 does not name the key $stranger"
expect 3 CONNECT env -u EVGRID_KEY -u EVGRID_NODE_KEYS "$EVGRID_BUILD/evgrid" node ls --timeout 1s
expect 2 'both are wanted' env -u EVGRID_KEY "$EVGRID_BUILD/evgrid" node ls
http_port() { sed 's/.*"http":\([0-9]*\).*/\1/' "$work/cluster/n$1/ports.json"; }
metric() { curl --silent --max-time 5 "http://127.0.0.1:$(http_port "$1")/metrics" | sed -n "s/^$2 //p"; }
counts() { [ "$(metric "$@" | cut -d. -f1)" -gt 0 ]; }
wait_until 20 'n1 counts who was refused' counts 1 evgrid_keys_refused_total

say "a client's key does not speak for a node"
mapfile -t ports < <(sed 's/"http".*//; s/[^0-9]/\n/g' "$work/cluster/n1/ports.json" | awk 'length($0) > 3')
tests/cluster/curve.py impostor "$keys/app" "$keys/nodes" n2 "${ports[@]}"
wait_until 20 'n1 counts what was tried' counts 1 evgrid_keys_overreached_total
tells 1 keys.overreached "client app $app" || fail "n1 does not say who spoke as a node"
quietly evgrid cluster wait --for healthy

say "n2's key is changed under load"
reloaded() { grep -c 'event=keys.reloaded' "$work/cluster/n$1/log" || true; }
reloaded_more() { [ "$(reloaded "$1")" -gt "$2" ]; }
reload() {
    local node before
    for node in "$@"; do
        before=$(reloaded "$node")
        kill -HUP "$(node_pid "$node")"
        wait_until 20 "n$node reads its keys" reloaded_more "$node" "$before"
    done
}
# without FILE KEY...: the list FILE, in one piece, without those keys.
without() {
    local file=$1
    shift
    grep -vFf <(cat "$@") "$file" >"$file.new" && mv "$file.new" "$file"
}
evgrid bench publish --rate 2000 --events 18000 --verify --quiet >"$work/published" 2>&1 &
publisher=$!
children+=("$publisher")
mv "$keys/n2.key.pub" "$keys/old.pub"
key n2.next --for-node n2 >/dev/null
for list in trusted nodes; do
    cat "$keys/$list" "$keys/n2.next.pub" >"$keys/new"
    mv "$keys/new" "$keys/$list"
done
reload 1 2 3
mv "$keys/n2.next" "$keys/n2.key"
reload 2
# So long that who did not find the other key would have been left behind, and before the lists are read anew.
quietly evgrid bench publish --rate 1000 --events 3000 --verify
quietly evgrid cluster wait --for healthy
without "$keys/trusted" "$keys/old.pub"
without "$keys/nodes" "$keys/old.pub"
reload 1 2 3
wait "$publisher" || fail "publishing while a key was changed: $(cat "$work/published")"
grep -qx 'lost: 0' "$work/published" || fail "events were lost: $(cat "$work/published")"
sed -n '/^longest_gap_us/p' "$work/published"
quietly evgrid cluster wait --for healthy

say 'who is taken out of the list is out'
chmod 644 "$keys/n1.key"
kill -HUP "$(node_pid 1)"
wait_until 20 'n1 says that it keeps its keys' tells 1 keys.kept 'chmod g-w,o-rwx'
chmod 600 "$keys/n1.key"
quietly evgrid node ls
evgrid subscribe --from now >"$work/subscribed" 2>&1 &
subscriber=$!
children+=("$subscriber")
refused_before=$(grep -c "event=keys.refused .*observed=$app" "$work/cluster/n1/log" || true)
without "$keys/trusted" "$keys/app.pub"
cat "$keys/stranger.pub" >>"$keys/trusted"
reload 1 2 3
refused_again() { [ "$(grep -c "event=keys.refused .*observed=$app" "$work/cluster/n1/log")" -gt "$refused_before" ]; }
wait_until 20 "n1 refuses who was there" refused_again
kill "$subscriber"
expect 3 "$app" "$EVGRID_BUILD/evgrid" node ls --timeout 1s
quietly evgrid bench publish --events 500 --verify --key "$keys/stranger"
quietly evgrid cluster wait --for healthy --key "$keys/stranger"
