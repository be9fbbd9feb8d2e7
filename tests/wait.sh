# shellcheck shell=bash
# Waiting in tests of whole processes: sourced, never run. The one place in the tests where time is slept away.
#
#   wait_until SECONDS WHAT COMMAND [ARGUMENT...]
#
# tries the command every 50 ms until it succeeds; after SECONDS it says what was waited for and returns 1.
# The command runs in this shell, so it may be a function; its output is not shown.

wait_until() {
    local seconds=$1 what=$2 end
    shift 2
    end=$((SECONDS + seconds))
    until "$@" >/dev/null 2>&1; do
        if [ "$SECONDS" -gt "$end" ]; then
            printf 'waited %s s in vain: %s\n' "$seconds" "$what" >&2
            return 1
        fi
        sleep 0.05
    done
}
