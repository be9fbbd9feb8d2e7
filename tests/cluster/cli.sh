#!/usr/bin/env bash
# The command as people use it, on one node: completion in bash (in zsh and fish where they are installed) with live
# names, contexts and their precedence, faults with code and next step, colours and hints on a terminal only, the
# installed manual pages.
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
expect 3 'from --context: cannot connect [CONNECT]' "$program" node ls -c dead --timeout 300ms
quietly evgrid context use here
quietly evgrid node ls
evgrid context show | grep -qx "server: $server" || fail 'the current context is not shown'
EVGRID_CONTEXT=dead expect 3 'from EVGRID_CONTEXT' "$program" node ls --timeout 300ms
EVGRID_SERVER=127.0.0.1:1 quietly evgrid node ls --context here
expect 4 "no context 'her' in $XDG_CONFIG_HOME/evgrid/contexts.yaml; did you mean 'here'?" "$program" node ls -c her
expect 4 "did you mean 'dead'? [NOT_FOUND]; see evgrid context ls" "$program" context rm deed
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
grep -qF '[BAD_VIEW]' "$work/stderr" || fail "no code: $(cat "$work/stderr")"

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
in_terminal "$program" cluster status | grep -qF "state: ${escape}[32mhealthy" || fail 'no colour on a terminal'
in_terminal "$program" cluster status --no-color | grep -qF "$escape" && fail '--no-color shows colours'
NO_COLOR=1 in_terminal "$program" cluster status | grep -qF "$escape" && fail 'NO_COLOR shows colours'
evgrid cluster status | grep -qF "$escape" && fail 'colours in a pipe'
in_terminal "$program" stream create Order | grep -q 'evgrid publish --stream Order' || fail 'no hint on a terminal'
in_terminal "$program" stream create Order -q | grep -q 'evgrid publish' && fail 'a hint with --quiet'
in_terminal "$program" stream create Order -o json | grep -q 'evgrid publish' && fail 'a hint with -o json'
evgrid stream create Order 2>&1 | grep -q 'evgrid publish' && fail 'a hint in a pipe'

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

say 'zsh and fish'
if command -v zsh >/dev/null; then
    evgrid completion zsh >"$work/_evgrid"
    # shellcheck disable=SC2016 # the inner shell's
    found=$(env PATH="$EVGRID_BUILD:$PATH" zsh -f -c '
        compdef() { :; }
        _describe() { print -r -- "${(P)2}"; }
        source "$1"
        words=(evgrid stream describe O) CURRENT=4
        _evgrid' zsh "$work/_evgrid")
    [ "$found" = 'Order:stream' ] || fail "zsh completes to '$found'"
else
    echo 'zsh is not installed: its script is not tried here'
fi
if command -v fish >/dev/null; then
    evgrid completion fish >"$work/evgrid.fish"
    found=$(env PATH="$EVGRID_BUILD:$PATH" HOME="$work" \
        fish -N -c "source $work/evgrid.fish; complete -C 'evgrid stream describe O'" | cut -f 1)
    [ "$found" = Order ] || fail "fish completes to '$found'"
else
    echo 'fish is not installed: its script is not tried here'
fi

say 'the manual pages are installed and can be read'
for page in evgrid.1 evgridd.8; do
    [ -s "$EVGRID_BUILD/docs/$page" ] || fail "$page was not built"
    if command -v man >/dev/null; then
        [ -z "$(man --warnings -E UTF-8 -l -Tutf8 -Z "$EVGRID_BUILD/docs/$page" 2>&1 >/dev/null)" ] ||
            fail "man warns of $page"
    fi
done
