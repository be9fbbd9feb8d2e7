#!/usr/bin/env bash
# The operations port with TLS and tokens: what it asks for and of whom, a token and a certificate that are replaced
# while the node runs, a pair of files that do not belong together, files that are refused.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

evgridd=$EVGRID_BUILD/evgridd
tls=$work/tls
mkdir "$tls"

certificate() { # NAME: a certificate for 127.0.0.1, and its key
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj "/CN=$1" \
        -addext 'subjectAltName=IP:127.0.0.1' -keyout "$tls/$1.key" -out "$tls/$1.pem" 2>"$work/openssl" ||
        fail "openssl: $(cat "$work/openssl")"
}
ask() { curl --silent --show-error --max-time 5 "${@:2}" "https://127.0.0.1:$port$1"; } # PATH [FLAG...]
# is CODE PATH [FLAG...]: whether it is answered with that; the answer is in $work/answer
is() {
    [ "$(ask "$2" --cacert "$tls/shown.pem" --output "$work/answer" --write-out '%{http_code}' "${@:3}")" = "$1" ]
}
wants() { is "$@" || fail "$2 is not answered with $1 but: $(cat "$work/answer")"; }
shows() { ask /livez --cacert "$tls/$1.pem" --output "$work/answer" 2>"$work/refused"; }

certificate first
certificate second
cp "$tls/first.pem" "$tls/shown.pem"
cp "$tls/first.key" "$tls/shown.key"
token=$(openssl rand -hex 32)
printf '# scrapers\n%s\n' "$token" >"$tls/tokens"
chmod 600 "$tls/tokens" "$tls/shown.key"

say 'with TLS and tokens another address than loopback is taken'
node=("$evgridd" --dev --data.dir="$work/node" --listen.control=0 --http.address=0.0.0.0 --http.tokens="$tls/tokens"
    --http.certificate="$tls/shown.pem" --http.key="$tls/shown.key")
in_background "${node[@]}" --ports-file "$work/ports.json" 2>"$work/log"
wait_until 20 'the node listens' test -f "$work/ports.json"
port=$(sed 's/.*"http":\([0-9]*\).*/\1/' "$work/ports.json")

say 'probes need no token, all else does'
for path in /livez /readyz /startupz; do
    wait_until 20 "$path is content" is 200 "$path"
done
for path in /metrics /restart-check/before /restart-check/after; do
    wants 401 "$path"
    wants 401 "$path" --header "Authorization: Bearer ${token}0"
done
wants 200 /metrics --header "Authorization: Bearer $token"
wants 401 /anything
wants 404 /anything --header "Authorization: Bearer $token"
! curl --silent --max-time 5 "http://127.0.0.1:$port/livez" >"$work/answer" || fail 'it speaks without TLS, too'
! curl --silent --max-time 5 --tls-max 1.1 --insecure "https://127.0.0.1:$port/livez" >"$work/answer" ||
    fail 'it takes TLS 1.1'

say 'a token that is replaced counts at once'
openssl rand -hex 32 >"$tls/tokens"
wants 401 /metrics --header "Authorization: Bearer $token"
wants 200 /metrics --header "Authorization: Bearer $(cat "$tls/tokens")"

say 'a certificate without its key changes nothing; with it, it is shown'
cp "$tls/second.pem" "$tls/shown.pem"
refused() { has_line 'event=http.certificate_refused' <"$work/log"; }
wait_until 20 'the pair is refused' refused
wait_until 20 'the former is shown' shows first
wait_until 20 'the former is shown' shows first
cp "$tls/second.key" "$tls/shown.key"
wait_until 20 'the other is shown' shows second
! shows first || fail 'the former is shown still'
has_line 'event=http.certificate_changed' <"$work/log" || fail "no line tells of it: $(cat "$work/log")"

say 'what cannot be used is refused at the start'
chmod 644 "$tls/tokens"
expect 4 'event=node.http_secrets .*others may read or change' "${node[@]}" --data.dir="$work/other"
chmod 600 "$tls/tokens"
printf 'no PEM\n' >"$tls/shown.pem"
expect 1 'event=node.refused ' "${node[@]}" --data.dir="$work/other"
expect 2 'http.certificate and http.key: one without the other' "${node[@]}" --http.key=
