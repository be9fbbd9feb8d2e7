#!/usr/bin/env bash
# Every kind of fault that the command can be brought to say by one node: tests/cluster/faults.py has the table.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

export XDG_CONFIG_HOME=$work/contexts

text_of() { head -c "$1" /dev/zero | tr '\0' "$2"; }
# One event's line: event FILE KEY TYPE.
event() {
    printf '{"specversion":"1.0","id":"1","source":"/t","type":"%s","subject":"%s","stream":"S","data":{"x":1}}\n' \
        "$3" "$2" >"$work/$1"
}

start_cluster 1
quietly evgrid stream create S
printf 'view: s\nstream: S\nkind: entity\non:\n  T: {put: all}\n' >"$work/s.yaml"
printf 'view: l\nstream: S\nkind: lua\non: [T]\napply: |\n  function apply(e, s) return s.x end\n' >"$work/l.yaml"
for view in s l; do quietly evgrid view apply --wait "$work/$view.yaml"; done
event one a T
event key "$(text_of 1025 k)" T
event type a "$(text_of 64 t)"
echo '{"specversion":"1.0",' >"$work/bad"
sed 's/stream: S/stream: N/' "$work/s.yaml" >"$work/bad.yaml"
{ printf -- '-- ' && text_of 70000 x; } >"$work/big.lua"
printf 'view: big\nstream: S\nkind: lua\non: [T]\nfile: big.lua\n' >"$work/big.yaml"
quietly evgrid publish "$work/one"
say 'each fault: code, what was observed and expected, outcome, next step'
tests/cluster/faults.py "$EVGRID_BUILD/evgrid" "$work"
