#!/usr/bin/env bash
# deploy/debug-bundle on a cluster of one that holds something: what was promised is in it, nothing that is secret or
# somebody's data is, and what cannot be had does not stop it.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh
for tool in curl openssl; do
    command -v "$tool" >/dev/null || { printf 'skipped: no %s\n' "$tool" >&2 && exit 77; }
done

unpack() { rm -rf "$work/bundle" && mkdir "$work/bundle" && tar -C "$work/bundle" --strip-components=1 -xzf "$1"; }
holds() { grep -qE -- "$2" "$work/bundle/$1" || fail "no '$2' in $1: $(head -n 5 "$work/bundle/$1")"; }

start_cluster 1 --shards=1
define_shop
cat >"$work/event" <<'END'
{"specversion":"1.0","id":"1","source":"/me","type":"CustomerCreated","subject":"c-7","data":{"name":"wordofmouth"}}
END
quietly evgrid publish --stream Customer "$work/event"

say 'a node that runs'
deploy/debug-bundle -o "$work/one.tar.gz" --config "$work/cluster/n1/node.yaml" --lines 10
[ "$(stat -c %a "$work/one.tar.gz")" = 600 ] || fail 'others may read it'
unpack "$work/one.tar.gz"
holds versions.txt '^protocol: '
holds cluster/cluster-status.json '"nodes": ?1'
holds cluster/node-ls.json '"n1"'
holds cluster/view-ls.json '"customers"'
holds node/config.txt '^  name: n1 '
holds node/livez.txt '^\[\+\]control ok$'
holds node/readyz.txt '^ok$'
holds node/metrics.txt '^evgrid_'
holds node/files.txt ' raft$'
holds node/disk.txt '%|IAvail|IFree'
grep -rqa wordofmouth "$work/bundle" && fail 'an event is in it'

say 'an operations port with TLS and tokens'
token=$(openssl rand -hex 32)
printf '# scrapers\n%s\n' "$token" >"$work/tokens"
certificate() { # NAME: one that is for no address of this machine
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj "/CN=$1.example" \
        -keyout "$work/$1.key" -out "$work/$1.pem" 2>"$work/openssl" || fail "openssl: $(cat "$work/openssl")"
}
certificate node
certificate other
chmod 600 "$work/tokens" "$work/node.key"
cluster stop 1
sed -i "s|^http:|&\n  address: 0.0.0.0\n  tokens: $work/tokens\n  certificate: $work/node.pem\n  key: $work/node.key|" \
    "$work/cluster/n1/node.yaml"
cluster start 1
evgrid cluster wait --for serving >/dev/null
deploy/debug-bundle -o "$work/tls.tar.gz" --config "$work/cluster/n1/node.yaml" --lines 10
unpack "$work/tls.tar.gz"
holds node/readyz.txt '^ok$'
holds node/metrics.txt '^evgrid_'
holds node/config.txt "^  tokens: $work/tokens "
grep -rqaF "$token" "$work/bundle" && fail 'the token is in it'
sed "s|certificate: .*|certificate: $work/other.pem|; s|  key: .*|  key: $work/other.key|" \
    "$work/cluster/n1/node.yaml" >"$work/other.yaml"
deploy/debug-bundle -o "$work/other.tar.gz" --config "$work/other.yaml" --lines 10
unpack "$work/other.tar.gz"
grep -qP '^90\tnode/metrics.txt\t' "$work/bundle/asked" || fail 'who has another key is asked'
printf 'no-such-token-here\n' >"$work/wrong"
sed "s|tokens: .*|tokens: $work/wrong|" "$work/cluster/n1/node.yaml" >"$work/other.yaml"
deploy/debug-bundle -o "$work/other.tar.gz" --config "$work/other.yaml" --lines 10
unpack "$work/other.tar.gz"
grep -qP '^22\tnode/metrics.txt\t' "$work/bundle/asked" || fail 'a refusal is not told'

say 'secrets in a configuration'
sed -n '/^without_secrets() {$/,/^}$/p' deploy/debug-bundle >"$work/function"
# shellcheck source=/dev/null
. "$work/function"
without_secrets <<'END' >"$work/stripped"
keys:
  secret: /etc/evgrid/keys/n1 # file
  token: s3cr3t-1 # environment
http:
  bearer_token: "s3cr3t-2" # file
  password: 's3cr3t-3'
EVGRID_HTTP__TOKEN=s3cr3t-4
  port: 7480 # default
END
grep s3cr3t "$work/stripped" && fail 'a secret is told'
grep -qx '  secret: /etc/evgrid/keys/n1 # file' "$work/stripped" || fail 'where the secret key lies is left out'
grep -qx '  port: 7480 # default' "$work/stripped" || fail 'what is no secret is left out'

say 'a node that does not run'
cluster kill 1
deploy/debug-bundle -o "$work/two.tar.gz" --config "$work/cluster/n1/node.yaml" --lines 10
unpack "$work/two.tar.gz"
holds node/config.txt '^  name: n1 '
holds node/files.txt ' raft$'
grep -qP '^[1-9]\d*\tnode/readyz.txt\t' "$work/bundle/asked" || fail 'not told that nobody answered'
