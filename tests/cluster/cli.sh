#!/usr/bin/env bash
# The command as people use it, on one node: completion in bash, zsh and fish with live names, contexts and their
# precedence, faults with code, outcome and next step, colours, hints and progress on a terminal only, the installed
# manual pages. On three: what top tells of a member that does not answer.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

program=$EVGRID_BUILD/evgrid
export XDG_CONFIG_HOME=$work/config
unset EVGRID_SERVER EVGRID_CONTEXT EVGRID_QUIET NO_COLOR

# expect CODE TEXT COMMAND...: its exit code and a text on its stderr.
expect() {
    local code=$1 text=$2 status=0
    shift 2
    "$@" 2>"$work/stderr" >/dev/null || status=$?
    [ "$status" -eq "$code" ] || fail "$* ended with $status, not $code: $(cat "$work/stderr")"
    grep -qF -- "$text" "$work/stderr" || fail "$* did not say '$text' but: $(cat "$work/stderr")"
    ! grep -vqE '^evgrid: .* \[[A-Z_]+\]; .+$|^evgrid: [^][]*$' "$work/stderr" ||
        fail "$* said in another form: $(cat "$work/stderr")"
    grep -qE '^evgrid: .* \[[A-Z_]+\]; .+$' "$work/stderr" || fail "$* named no code: $(cat "$work/stderr")"
}

say 'one node'
in_background "$EVGRID_BUILD/evgridd" --dev --data.dir="$work/data" --listen.control=0 \
    --ports-file "$work/ports.json" 2>>"$work/log"
wait_until 30 'the node listens' test -f "$work/ports.json"
server=127.0.0.1:$(sed 's/.*"control":\([0-9]*\).*/\1/' "$work/ports.json")
quietly evgrid cluster wait -s "$server"
for stream in Customer Order; do quietly evgrid stream create "$stream" -s "$server"; done
quietly evgrid view apply deploy/shop/views/orders.yaml -s "$server"

say 'contexts: set, use, show, ls, rm, and who goes before whom'
quietly evgrid context set here "$server"
quietly evgrid context set dead 127.0.0.1:1
expect 3 'from --context: cannot connect (waited 300 ms) [CONNECT]' "$program" node ls -c dead --timeout 300ms
quietly evgrid context use here
quietly evgrid node ls
evgrid context show | has_line -x "server: $server" || fail 'the current context is not shown'
EVGRID_CONTEXT=dead expect 3 'from EVGRID_CONTEXT' "$program" node ls --timeout 300ms
EVGRID_SERVER=127.0.0.1:1 quietly evgrid node ls --context here
expect 4 "no context 'her' in $XDG_CONFIG_HOME/evgrid/contexts.yaml; did you mean 'here'?" "$program" node ls -c her
expect 4 "did you mean 'dead'? (outcome: not applied) [NOT_FOUND]; see evgrid context ls" "$program" context rm deed
expect 2 'host:port[,host:port...] is wanted' "$program" context set a nonsense
expect 2 '--server and --context are both there' "$program" node ls -c here -s "$server"
[ "$(evgrid context ls -o json | python3 -c 'import json, sys
print(*[(c["name"], c["current"]) for c in json.load(sys.stdin)])')" = "('here', True) ('dead', False)" ] ||
    fail "context ls: $(evgrid context ls)"
cp "$XDG_CONFIG_HOME/evgrid/contexts.yaml" "$work/contexts.yaml"
printf 'contexts:\n  here:\n    sever: %s\n' "$server" >"$XDG_CONFIG_HOME/evgrid/contexts.yaml"
expect 2 'contexts.yaml:3:5: contexts.here.sever: no such member' "$program" node ls
expect 2 'contexts.yaml:3:5: ' "$program" context use here
quietly evgrid node ls -s "$server"
mv "$work/contexts.yaml" "$XDG_CONFIG_HOME/evgrid/contexts.yaml"

say 'faults: the nearest name, the code, the next step'
expect 2 "no command 'viwe'; did you mean 'view'? [USAGE]" "$program" viwe ls
expect 2 "no command 'viwe'; did you mean 'view'? [USAGE]" "$program" help viwe
expect 2 "no command 'gte'; did you mean 'get'? [USAGE]" "$program" help view gte
expect 2 "no option '--sream'; did you mean '--stream'? [USAGE]; see evgrid help replay" "$program" replay --sream x
expect 4 "no stream 'Ordr'; did you mean 'Order'? [UNKNOWN_STREAM]; create it" "$program" replay --stream Ordr
expect 4 "no stream 'Ordr'; did you mean 'Order'?" "$program" subscribe --stream Ordr
expect 4 "no stream 'order'; did you mean 'Order'?" "$program" stream describe order
expect 4 "no view 'oders'; did you mean 'orders'? [UNKNOWN_VIEW]" "$program" view get oders k
expect 4 "no view 'oders'; did you mean 'orders'?" "$program" view describe oders
expect 4 "no view 'oders'; did you mean 'orders'? (outcome: not applied) [UNKNOWN_VIEW]" "$program" view drop oders
expect 2 '[USAGE]; see evgrid help view drop' "$program" view drop
expect 4 "no node 'deb'; did you mean 'dev'?" "$program" partition ls --node deb
expect 4 "no node 'deb'; did you mean 'dev'?" "$program" replay --node deb
expect 4 "no view 'oders'; did you mean 'orders'?" "$program" view scan oders
expect 4 "no stream 'Ordr'; did you mean 'Order'?" "$program" history o-1 --stream Ordr
expect 4 "no node 'deb'; did you mean 'dev'?" "$program" history o-1 --node deb
expect 4 "no error 'NOT_REDY'; did you mean 'NOT_READY'? [NOT_FOUND]; see evgrid errors" "$program" errors not_redy
expect 9 '[NOT_READY]; see evgrid cluster status' "$program" cluster wait --nodes 2 --timeout 200ms
expect 4 '[NOT_FOUND]; name what data.dir' "$program" journal verify "$work/config"
printf 'view: v\nstream: Order\nkind: entity\non: {A: {putt: all}}\n' >"$work/v.yaml"
expect 2 "v.yaml:4:10: on.A.putt" "$program" view apply "$work/v.yaml"
expect 2 '[BAD_VIEW]; mend that line' "$program" view test "$work/v.yaml" --events /dev/null
printf 'view: [\n' >"$work/v.yaml"
expect 2 'v.yaml:2:1: ' "$program" view apply "$work/v.yaml"
printf 'view: v\nstream: Order\nkind: lua\nfile: v.lua\n' >"$work/v.yaml"
printf 'function apply(event, state)\n  return stat e\nend\n' >"$work/v.lua"
expect 2 'v.lua:2:1: ' "$program" view apply "$work/v.yaml"
{ cat deploy/shop/views/orders.yaml && head -c 300000 /dev/zero | tr '\0' '#'; } >"$work/v.yaml"
expect 2 'is longer than 262144 bytes, the most that is read (outcome: not applied) [LIMIT]' \
    "$program" view apply "$work/v.yaml"
expect 2 '[USAGE]; see evgrid help view get' "$program" view get orders
expect 2 '[USAGE]; see evgrid help view test' "$program" view test deploy/shop/views/orders.yaml
expect 2 '[USAGE]; see evgrid help history' "$program" history o-1 --from x

say 'what changes something says its outcome'
order() { # order ID
    printf '{"specversion":"1.0","id":"%s","source":"/me","type":"OrderConfirmed","subject":"o-1","data":{}}\n' "$1"
}
order one >"$work/order"
quietly evgrid publish --stream Order "$work/order"
order two >"$work/order"
expect 6 "line 1: the key's version is 1: a key without events is wanted (outcome: not applied) [CHECK_FAILED]; read" \
    "$program" publish --stream Order --expect-version none "$work/order"
expect 6 "line 1: the key's version is 1: version 7 is wanted (outcome: not applied) [CHECK_FAILED]" \
    "$program" publish --stream Order --expect-version 7 "$work/order"
expect 8 'line 1: no stream (outcome: not applied) [BAD_EVENT]; give --stream' "$program" publish "$work/order"
expect 4 "line 1: no stream 'Ordr'; did you mean 'Order'? (outcome: not applied) [UNKNOWN_STREAM]" \
    "$program" publish --stream Ordr "$work/order"
echo '{"specversion":"1.0", id}' >"$work/order"
expect 8 'line 1, column 23: ' "$program" publish --stream Order "$work/order"
expect 8 '(outcome: not applied) [BAD_EVENT]; mend the line named' "$program" publish --stream Order "$work/order"
expect 8 'line 1, column 23: ' "$program" view test deploy/shop/views/orders.yaml --events "$work/order"
expect 2 'one of 1 to 63 bytes is wanted (outcome: not applied) [EMPTY]; give one' "$program" stream create ''
expect 4 'nothing is stored under this key (outcome: not applied) [NOT_FOUND]' "$program" view skip orders o-1
expect 6 'key o-1 is not blocked: a blocked key is wanted (outcome: not applied) [REFUSED]; evgrid view errors' \
    "$program" view skip orders o-1 --partition-key o-1
expect 6 'key o-1 is not blocked by 3: a blocked key is wanted (outcome: not applied)' \
    "$program" view retry orders o-1 --partition-key o-1 --offset 3
expect 6 'partition 3' "$program" partition elect 3 --node dev --accept-loss
grep -qF '(outcome: not applied) [REFUSED]' "$work/stderr" || fail "no outcome: $(cat "$work/stderr")"

# in_terminal COMMAND...: what a terminal shows of both its outputs.
in_terminal() {
    python3 - "$@" <<'PYTHON'
import os, pty, sys
os.environ['TERM'] = 'xterm'
pid, end = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
shown = b''
try:
    while more := os.read(end, 4096):
        shown += more
except OSError:
    pass
os.waitpid(pid, 0)
sys.stdout.write(shown.decode())
PYTHON
}

say 'colours and hints on a terminal only, and not where they are unwanted'
escape=$'\033'
in_terminal "$program" cluster status | has_line -F "state: ${escape}[32mhealthy" || fail 'no colour on a terminal'
in_terminal "$program" cluster status --no-color | grep -qF "$escape" && fail '--no-color shows colours'
NO_COLOR=1 in_terminal "$program" cluster status | grep -qF "$escape" && fail 'NO_COLOR shows colours'
evgrid cluster status | grep -qF "$escape" && fail 'colours in a pipe'
in_terminal "$program" stream create Order | has_line 'evgrid publish --stream Order' || fail 'no hint on a terminal'
in_terminal "$program" stream create Order -q | grep -q 'evgrid publish' && fail 'a hint with --quiet'
in_terminal "$program" stream create Order -o json | grep -q 'evgrid publish' && fail 'a hint with -o json'
evgrid stream create Order 2>&1 | grep -q 'evgrid publish' && fail 'a hint in a pipe'

say 'progress on a terminal only, and not where it is unwanted'
deploy/shop/generate.py --events 4000 | grep '"stream":"Order"' >"$work/orders"
slowly() { # slowly SECONDS-A-LINE COMMAND...: its input comes so slowly that progress would be shown
    deploy/shop/pace.py 1000 <"$work/orders" | "$@"
}
export -f slowly
export work
in_terminal bash -c "slowly $program publish -" | has_line -aE 'published [0-9]+, [0-9]+/s' ||
    fail 'no progress on a terminal'
in_terminal bash -c "slowly $program publish - -q" | grep -qaE 'published [0-9]+,' && fail 'progress with --quiet'
slowly "$program" publish - 2>&1 | grep -qaE 'published [0-9]+,' && fail 'progress in a pipe'

# candidates WORD...: what bash completes `evgrid WORD...` to; words are parted as bash parts them.
candidates() {
    # shellcheck disable=SC2016 # the inner shell's
    env PATH="$EVGRID_BUILD:$PATH" bash --norc -c '
        source <(evgrid completion bash)
        COMP_WORDS=(evgrid "$@") COMP_CWORD=$#
        _evgrid evgrid "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
        [ "${#COMPREPLY[@]}" -eq 0 ] || printf "%s\n" "${COMPREPLY[@]}" | paste -sd " "' bash "$@"
}
completes() { # completes WANTED WORD...
    local wanted=$1 found
    shift
    found=$(candidates "$@")
    [ "$found" = "$wanted" ] || fail "evgrid $* completes to '$found', not '$wanted'"
}

say 'bash completes verbs, options, values and live names'
completes 'status' cluster st
completes '--stream' subscribe --st
completes 'healthy' cluster wait --for = he
completes 'Customer Order' stream describe ''
completes 'Order' replay --stream O
completes 'orders' view get ''
completes 'orders' view drop o
completes 'dev' partition ls --node ''
completes 'here' node ls -c h
completes 'deploy/shop/views/orders.yaml' view apply deploy/shop/views/ord
completes '' stream describe Nonsense
completes '' nonsense ''

say 'without a cluster it completes to nothing, silently and soon'
begun=$(date +%s%N)
completes '' stream describe -s 127.0.0.1:1 ''
[ $((($(date +%s%N) - begun) / 1000000)) -lt 3000 ] || fail 'completion waited for a cluster that is not there'
[ -z "$("$program" __complete stream describe -s 127.0.0.1:1 '' 2>&1)" ] || fail 'completion is not silent'

say 'top: one frame for people, one for programs, frames in a pipe, a screen that is given back'
evgrid top --once --interval 300ms >"$work/top"
grep -q '^healthy; controller dev; 1 of 1 members live; of 271 partitions 271 take writes' "$work/top" ||
    fail "top --once: $(cat "$work/top")"
grep -q '^dev  *true  *true  *271  *271  *271  *[0-9][0-9]*  *[0-9][0-9]*  *0  *0  *-$' "$work/top" ||
    fail "top --once: $(cat "$work/top")"
in_background quietly evgrid bench publish --rate 2000 --events 6000
applied_is_seen() {
    evgrid top --once --interval 500ms -o json | python3 -c 'import json, sys
top = json.load(sys.stdin)
member, = top["members"]
rate = top["records_per_s"]
sys.exit(not (rate == member["records_per_s"] and 500 < rate < 8000 and 500 < member["applied_per_s"] < 8000))'
}
wait_until 30 'top sees about 2000 records a second' applied_is_seen
status=0
timeout -s INT 5 "$program" top --interval 100ms >"$work/top" || status=$?
[ "$(grep -c '^healthy; ' "$work/top")" -ge 3 ] || fail "frames in a pipe ($status): $(cat "$work/top")"
in_terminal timeout --foreground -s INT 2 "$program" top >"$work/top"
grep -qF "${escape}[?1049h" "$work/top" || fail "no screen of its own: $(cat -v "$work/top")"
tail -c 30 "$work/top" | grep -qF "${escape}[?1049l" ||
    fail "the screen is not given back: $(cat -v "$work/top")"
expect 2 "--interval '1ms': a time of at least 100ms is wanted" "$program" top --interval 1ms

say 'zsh and fish complete, too'
for shell in zsh fish man; do
    command -v "$shell" >/dev/null || fail "$shell is not installed: deploy/install-dependencies.sh"
done
evgrid completion zsh >"$work/_evgrid"
# shellcheck disable=SC2016 # the inner shell's
found=$(env PATH="$EVGRID_BUILD:$PATH" zsh -f -c '
    compdef() { :; }
    _describe() { print -r -- "${(P)2}"; }
    source "$1"
    words=(evgrid stream describe O) CURRENT=4
    _evgrid' zsh "$work/_evgrid")
[ "$found" = 'Order:stream' ] || fail "zsh completes to '$found'"
evgrid completion fish >"$work/evgrid.fish"
found=$(env PATH="$EVGRID_BUILD:$PATH" HOME="$work" \
    fish -N -c "source $work/evgrid.fish; complete -C 'evgrid stream describe O'" | cut -f 1)
[ "$found" = Order ] || fail "fish completes to '$found'"

say 'the manual pages are installed and can be read'
for page in evgrid.1 evgridd.8; do
    [ -s "$EVGRID_BUILD/docs/$page" ] || fail "$page was not built"
    [ -z "$(man --warnings -E UTF-8 -l -Tutf8 -Z "$EVGRID_BUILD/docs/$page" 2>&1 >/dev/null)" ] ||
        fail "man warns of $page"
done

say 'three nodes: top tells who does not answer'
start_cluster 3
quietly evgrid cluster wait --for healthy
silence_is_told() {
    local status=0
    kill -STOP "$(node_pid 3)"
    evgrid top --once --interval 150ms >"$work/top" || status=$?
    kill -CONT "$(node_pid 3)"
    quietly evgrid cluster wait --for healthy --timeout 60s
    [ "$status" -eq 8 ] && grep -qE '^n3 +true +(true|false)( +[0-9]+){3}( +-){5}$' "$work/top"
}
wait_until 60 'top ends with 8 while a member that counts as live is silent' silence_is_told
grep -qE '^n1 +true +(true|false)( +[0-9]+){5} ' "$work/top" || fail "the others did not answer: $(cat "$work/top")"
