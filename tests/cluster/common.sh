# shellcheck shell=bash
# What the tests of whole clusters share: sourced from the root of the repository, never run.
#
# Gives: $work, a directory of its own; cluster and evgrid; node_pid; in_background, whose processes end with the test.
# At the end everything started here is stopped and $work removed (EVGRID_KEEP=1 keeps it); after a failure the ends of
# the nodes' logs are shown. Uses the build in EVGRID_BUILD (default build/).

# shellcheck source=/dev/null
. tests/wait.sh
export EVGRID_BUILD=${EVGRID_BUILD:-$PWD/build}
work=$(mktemp -d "${TMPDIR:-/tmp}/evgrid-test.XXXXXX")
children=()

cluster() { deploy/local/cluster --dir "$work/cluster" "$@"; }
evgrid() { "$EVGRID_BUILD/evgrid" "$@"; }
say() { printf '== %s\n' "$*"; }
fail() {
    printf 'failed: %s\n' "$*" >&2
    exit 1
}

# Is it in what comes through the pipe? grep -q ends at once, and who goes on writing then ends by SIGPIPE, now and
# again, which pipefail takes for a failure.
has_line() { grep "$@" >/dev/null; }

# The pid of node I, as deploy/local/cluster wrote it.
node_pid() { cut -d' ' -f1 "$work/cluster/n$1/pid"; }

in_background() {
    "$@" &
    children+=($!)
}

# What a test does beside when it ends; a test may define its own.
clean_up() { :; }

end_test() {
    local status=$? child node log
    trap - EXIT
    set +e
    for child in "${children[@]}"; do
        kill "$child" 2>/dev/null
    done
    for node in "$work"/cluster/n*; do # no time for a clean stop, and what failed stays as it is
        cluster kill "${node##*/n}" >/dev/null 2>&1
    done
    if [ "$status" -ne 0 ] && [ "$status" -ne 77 ]; then
        for log in "$work"/cluster/n*/log; do
            [ ! -f "$log" ] || { printf -- '-- %s\n' "$log" && tail -n 15 "$log"; } >&2
        done
    fi
    clean_up
    if [ -n "${EVGRID_KEEP:-}" ]; then printf 'kept: %s\n' "$work" >&2; else rm -rf "$work"; fi
    exit "$status"
}
trap end_test EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start_cluster N [FLAG...]: N nodes, and clients told where they are.
start_cluster() {
    local server
    cluster up "$1" -- "${@:2}" >/dev/null
    server=$(cluster server)
    export EVGRID_SERVER=${server#EVGRID_SERVER=}
}

# The stream and the view of tests/cluster/probe.py.
define_probe() {
    quietly evgrid stream create Probe
    tests/cluster/probe.py --view >"$work/probe.yaml"
    quietly evgrid view apply "$work/probe.yaml"
}

# half_of_most N: sets $rate to half of what a cluster of N nodes takes here, in events/s to each partition. Measured
# as the run that follows makes its load, with the same writer, history and view beside the nodes, and long enough for
# segments to be sealed.
half_of_most() {
    say "what $1 nodes take"
    start_cluster "$1"
    define_probe
    tests/cluster/probe.py --rate 2000 --seconds 10 | evgrid publish --history "$work/most.history" >"$work/most"
    rate=$(awk '$1 == "events_per_second:" { printf "%.1f", $2 / 2 / 271 }' "$work/most")
    echo "$(grep '^events_per_second: ' "$work/most"), half of it is $rate for each partition"
    cluster delete
    rm "$work/most.history"
}

# What is done on the way, told only when it fails.
quietly() { "$@" >"$work/quietly" 2>&1 || fail "$* ended with $?: $(cat "$work/quietly")"; }

# expect CODE TEXT COMMAND...: it ends with that code and says that on stderr.
expect() {
    local code=$1 text=$2 status=0
    shift 2
    timeout 60 "$@" 2>"$work/stderr" >/dev/null || status=$?
    [ "$status" -eq "$code" ] || fail "$* ended with $status, not $code: $(cat "$work/stderr")"
    grep -q -- "$text" "$work/stderr" || fail "$* did not say '$text' but: $(cat "$work/stderr")"
}

# Streams and views of the shop.
shop_views='customers products orders payments customer-orders open-orders'
define_shop() {
    local one
    for one in Customer Product Order Payment; do quietly evgrid stream create "$one"; done
    for one in $shop_views; do
        quietly evgrid view apply "deploy/shop/views/$one.yaml"
    done
}

live_nodes_are() { [ "$(evgrid cluster status | grep -c "^nodes_live: $1\$")" -eq 1 ]; }

# compare_shop NODES EVENTS...: the views of every node against what the events alone say.
compare_shop() {
    local nodes=$1 view node
    shift
    for view in $shop_views; do
        deploy/shop/expected.py "$@" --keys "$view" >"$work/keys"
        for node in $nodes; do
            evgrid view get "$view" --keys-from "$work/keys" --node "$node" >"$work/rows" 2>"$work/errors" ||
                fail "view $view of $node cannot be read: $(cat "$work/errors")"
            deploy/shop/expected.py "$@" --compare "$view" <"$work/rows" >"$work/compared" ||
                fail "view $view of $node differs from its events: $(cat "$work/compared")"
        done
        printf '%s, on %s\n' "$(cat "$work/compared")" "$nodes"
    done
}
