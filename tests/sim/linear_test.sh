#!/usr/bin/env bash
# What evgrid-linear says of histories: linear_test.sh EVGRID-LINEAR
set -euo pipefail
linear=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "failed: $*" >&2
    cat "$work/out" >&2
    exit 1
}

# expect STATUS TEXT [STEPS]: of the history on standard input.
expect() {
    local status=0
    cat >"$work/history"
    "$linear" "$work/history" "${@:3}" >"$work/out" 2>&1 || status=$?
    [ "$status" -eq "$1" ] || fail "status $status where $1 is right"
    grep -qF -- "$2" "$work/out" || fail "it does not say: $2"
}

expect 0 '0 operations of 0 keys' <<'END'
# nothing
END
expect 0 '4 operations of 2 keys: 0 keys not linearizable' <<'END'
a put 10 20 7 - 3
b put 10 - 7 - -
a read 30 40 7 1 3

b read 30 40 0 - -
END
expect 1 'b: no order has this read: invoked 30 returned 40 value 7 version - place -' <<'END'
a put 10 20 7 - 3
b put 10 15 7 - 4
b put 16 20 8 - 5
b read 30 40 7 - -
END
expect 2 ':2: no operation of a history' <<'END'
a put 10 20 7 - 3
a took 10 20 7 - 3
END
expect 3 'a: not decided' 1 < <(
    for name in $(seq 30); do echo "a put 1 - $name - -"; done
    echo 'a read 2 3 99 - -'
)
echo '- - -' | expect 2 'no operation'
rm "$work/history"
"$linear" "$work/history" >"$work/out" 2>&1 && fail 'a file that is not there'
"$linear" >"$work/out" 2>&1 && fail 'no file'
exit 0
