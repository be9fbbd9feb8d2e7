#!/usr/bin/env bash
# Runs every check of the repository, or the sections named, from any directory, and counts them one by one.
#
#   tests/run.sh [--werror] [--nightly] [SECTION...]
#
# Sections: format tidy build-gcc symbols unit build-clang sanitizers sim model cluster tsan fuzz; and valgrind and
# analyze, which run with --nightly, or when they are named. Chaos is a line of the cluster's.
# --werror makes warnings errors, --nightly takes more seeds and time and the suites' nightly lines. Without it seeds
# have a time: a slow machine runs fewer, and says how many.
# Each section prints one line; its log is build/logs/SECTION.log; what came before a failure is shown. The last line is
# "N passed, N failed"; the exit status is 0 only if something passed and nothing failed. What cannot run here
# is skipped in so many words and counts nothing, as does what does not exist.
#
# Builds: build/ (gcc), build-clang/ (ASan, UBSan, libFuzzer), build-sanitized/ (gcc: ASan, UBSan; the simulator alone:
# libFuzzer slows it down threefold), build-tsan/ (clang: ThreadSanitizer; the programs and the library). A script run
# from here finds the one to use in EVGRID_BUILD. What is run is data: unit tests and fuzz targets are the lists in
# tests/unit/meson.build and tests/fuzz/meson.build; tests/sim/run takes --seeds 1-N; tests/cluster/suite
# and tests/cluster/tsan-suite (which tests/cluster/tsan watches) hold one command a line (`nightly COMMAND`: only then;
# `alone COMMAND`: with nothing beside it), run from the root: exit status 0 passed, 77 skipped.
set -euo pipefail

readonly ALL=(format tidy build-gcc symbols unit build-clang sanitizers sim model cluster tsan fuzz valgrind analyze)
readonly LANES_MAX=4
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
logs=$root/build/logs
jobs=${JOBS:-$(nproc)}
werror=false
nightly=no named=no
seeds=1000 fresh_seeds=100 liveness_seeds=100 scenario_seeds=2 sanitized_seeds=150
raft_seeds=100 placement_clusters=100 fuzz_seconds=120 suite_seconds=600

usage() {
    sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

# What a check prints; finish counts these lines of the section's log.
ok() { printf 'ok %s\n' "$*"; }
failed() { printf 'FAILED %s\n' "$*"; }
none() { printf 'none %s\n' "$*"; }
skipped() { printf 'skipped %s\n' "$*"; }

# One command is one check: its exit status decides.
check() {
    local title=$1 status=0 began=$SECONDS
    shift
    "$@" || status=$?
    case $status in
        0) ok "$title ($((SECONDS - began)) s)" ;;
        77) skipped "$title: it says that it cannot run here" ;;
        *) failed "$title: exit status $status: $*" ;;
    esac
}

# A script that prints its own ok and FAILED lines; one that ends badly without such a line counts as a failure.
checks() {
    local output status=0
    output=$("$@" 2>&1) || status=$?
    printf '%s\n' "$output"
    [ "$status" -eq 0 ] || grep -q '^FAILED ' <<<"$output" || failed "$*: exit status $status"
}

# Configures a build directory when it must: configure DIRECTORY COMPILER [MESON-OPTION...].
# A stamp in it names what it was configured with.
configure() {
    local directory=$1 compiler=$2 stamp=$1/.run-options
    shift 2
    local wanted="$compiler -Dwerror=$werror $*"
    if [ ! -f "$directory/build.ninja" ]; then
        CC=$compiler meson setup "$directory" "-Dwerror=$werror" "$@" || return 1
    elif [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        CC=$compiler meson setup --reconfigure "$directory" "-Dwerror=$werror" "$@" || return 1
    fi
    printf '%s\n' "$wanted" >"$stamp"
}
build() {
    configure "$@" && ninja -k 0 -j "$jobs" -C "$1"
}
build_gcc() { build build gcc; }
clang_options=('-Db_sanitize=address,undefined' -Db_lundef=false -Dfuzz=true)
build_clang() { build build-clang clang "${clang_options[@]}"; }
build_sanitized() {
    configure build-sanitized gcc -Db_sanitize=address,undefined &&
        ninja -k 0 -j "$jobs" -C build-sanitized evgrid-sim
}
build_tsan() { # what the nightly tests install is everything
    local targets=(evgrid evgridd)
    [ "$nightly" = no ] || targets=(all)
    configure build-tsan clang -Db_sanitize=thread -Db_lundef=false &&
        ninja -k 0 -j "$jobs" -C build-tsan "${targets[@]}"
}

# The tests of a build directory's suites, each a check.
meson_tests() {
    local directory=$1 arguments=() suite
    shift
    for suite in "$@"; do
        arguments+=(--suite "$suite")
    done
    if [ -z "$(meson test -C "$directory" --no-rebuild --list "${arguments[@]}" 2>/dev/null)" ]; then
        none "no test in $directory for: $*"
        return
    fi
    rm -f "$directory/meson-logs/testlog.json"
    meson test -C "$directory" --no-rebuild --num-processes "$jobs" --print-errorlogs --timeout-multiplier 3 \
        "${arguments[@]}" || true
    if [ ! -f "$directory/meson-logs/testlog.json" ]; then
        failed "meson test wrote no log"
        return
    fi
    python3 - "$directory/meson-logs/testlog.json" <<'PYTHON'
import json, sys
for line in open(sys.argv[1]):
    test = json.loads(line)
    word = {'OK': 'ok', 'EXPECTEDFAIL': 'ok', 'SKIP': 'skipped'}.get(test['result'], 'FAILED')
    print(word, test['name'], '' if word == 'ok' else test['result'])
PYTHON
}

# What runs beside others prints so.
in_one_piece() { flock "$logs/.print" cat <<<"$1"; }

# One command of a suite, in its own range of ports; what it printed and its verdict come in one piece.
suite_command() {
    local ports=$((21000 + LANE * 2500)) output # LANES_MAX of them end below the ports that the kernel gives away
    output=$(EVGRID_PORTS=$ports-$((ports + 2499)) check "$1" timeout -k 30 "$suite_seconds" bash -c "$1" 2>&1)
    in_one_piece "$output"
}

# The commands of a suite file, each a check, on a build: suite FILE [FOLDER BUILD-FUNCTION]. They wait more than they
# work, so some run at a time; `alone COMMAND` does not.
suite() {
    local file=$1 folder=${2:-build} line alone=() beside=()
    if [ ! -f "$file" ]; then
        none "$file"
        return
    fi
    "${3:-build_gcc}" || { failed "$file: the build"; return; }
    while read -r line; do
        case "$line" in
            '' | '#'*) continue ;;
            nightly\ *) [ "$nightly" = yes ] || continue; line=${line#nightly } ;;
        esac
        case "$line" in
            alone\ *) alone+=("${line#alone }") ;;
            *) beside+=("$line") ;;
        esac
    done <"$file"
    [ $((${#alone[@]} + ${#beside[@]})) -gt 0 ] || { none "$file is empty"; return; }
    export -f check ok failed skipped in_one_piece suite_command
    export EVGRID_BUILD=$root/$folder logs suite_seconds
    [ "${#alone[@]}" -eq 0 ] || printf '%s\n' "${alone[@]}" | in_lanes 1
    [ "${#beside[@]}" -eq 0 ] || printf '%s\n' "${beside[@]}" | in_lanes $((jobs < LANES_MAX ? jobs : LANES_MAX))
}
in_lanes() {
    # shellcheck disable=SC2016 # expands there
    xargs -d '\n' -n 1 -P "$1" --process-slot-var=LANE bash -c 'suite_command "$1" </dev/null' suite
}

c_files() { find proto partition raft net node client tests bench examples -name '*.[ch]' | sort; }

section_format() {
    command -v clang-format-14 >/dev/null || { skipped 'needs clang-format-14 (Debian 12)'; return; }
    local bad files
    mapfile -t files < <(c_files)
    # shellcheck disable=SC2016 # expands there
    bad=$(printf '%s\n' "${files[@]}" | xargs -P "$jobs" -n 1 sh -c \
        'clang-format-14 --dry-run -Werror "$1" >&2 || printf "%s " "$1"' format)
    if [ -n "$bad" ]; then failed "mend: clang-format-14 -i $bad"; else ok "${#files[@]} files"; fi
}

section_tidy() {
    local scripts
    checks tests/tidy
    checks tests/tidy --self-test
    check 'mutations: the texts that they break' tests/mutations/run --texts
    mapfile -t scripts < <(grep -rlE --exclude-dir='build*' --exclude-dir=.git '^#!.*\b(ba)?sh\b' .)
    if command -v shellcheck >/dev/null; then check "shellcheck, ${#scripts[@]} scripts" shellcheck "${scripts[@]}"
    else skipped 'shellcheck: not installed'; fi
    command -v clang-tidy-14 >/dev/null || { skipped 'clang-tidy: needs clang-tidy-14 (Debian 12)'; return; }
    configure build-clang clang "${clang_options[@]}" || { failed 'clang-tidy: no build-clang/'; return; }
    ninja -C build-clang examples/evgrid.h || { failed 'clang-tidy: no header for the examples'; return; }
    mapfile -t sources < <(python3 -c 'import json, os, sys
for one in json.load(open("build-clang/compile_commands.json")):
    print(os.path.relpath(os.path.join(one["directory"], one["file"])))' | sort -u)
    [ "${#sources[@]}" -gt 0 ] || return 0
    check "clang-tidy, ${#sources[@]} files" \
        xargs -P "$jobs" -n 4 clang-tidy-14 --quiet -p build-clang < <(printf '%s\n' "${sources[@]}")
}

section_build_gcc() { check 'build with gcc' build_gcc; }
section_build_clang() { check 'build with clang' build_clang; }

section_symbols() {
    checks tests/symbols --self-test
    build_gcc || { failed 'the build'; return; }
    checks tests/symbols build
    checks tests/abi --self-test
    checks tests/abi build
}

section_unit() {
    build_gcc || { failed 'the build'; return; }
    meson_tests build unit fuzz
    [ "$nightly" = no ] ||
        EVGRID_FAULT_STRIDE=1 check 'a shard, each allocation failing in turn' build/tests/unit/test_shard_memory
}

section_sanitizers() {
    build_clang || { failed 'the build'; return; }
    meson_tests build-clang unit fuzz
}

# simulate FIRST COUNT MINUTES [OPTION...]: by day no seed is begun after so many minutes.
simulate() {
    local first=$1 count=$2 bound=(--minutes "$3")
    shift 3
    [ "$nightly" = no ] || bound=()
    tests/sim/run --seeds "$first-$((first + count - 1))" "${bound[@]}" "$@"
}

section_sim() {
    [ -x tests/sim/run ] || { none 'tests/sim/run'; return; }
    build_gcc || { failed 'the build'; return; }
    check 'a seed that crashes or fails is told' tests/sim/run_test.sh
    export EVGRID_BUILD=$root/build
    check "seeds from 1, at most $seeds" simulate 1 "$seeds" 3
    # Seeds that nobody has run before: a failure prints the command that replays it.
    local fresh=$((10#$(date +%s) % 1000000000))
    check "fresh seeds from $fresh, at most $fresh_seeds" simulate "$fresh" "$fresh_seeds" 1
    check "seeds from 1, at most $liveness_seeds, something stays bad" \
        simulate 1 "$liveness_seeds" 1 --liveness --marks-per-mille 0
    check 'scenarios' tests/sim/run --seeds "1-$scenario_seeds" --scenario all
    check "libraft, seeds 21-$raft_seeds" build/evgrid-raft-torture --seeds "21-$raft_seeds" # 1-20: a unit test
    check "placement on $placement_clusters clusters" build/evgrid-placement --clusters "$placement_clusters"
    build_sanitized || { failed 'the sanitized build'; return; }
    EVGRID_BUILD=$root/build-sanitized check "seeds from 1, at most $sanitized_seeds, ASan and UBSan" \
        simulate 1 "$sanitized_seeds" 1
}

section_model() {
    command -v spin >/dev/null || { skipped 'needs spin (Debian package spin)'; return; }
    if [ "$nightly" = no ]; then
        checks docs/model/run --quick
        return
    fi
    checks docs/model/run
    checks docs/model/run --broken
}

section_cluster() { suite tests/cluster/suite; }
section_tsan() { suite tests/cluster/tsan-suite build-tsan build_tsan; }

long_section() {
    [ "$nightly" = yes ] || [ "$named" = yes ] || { skipped 'runs with --nightly, or when named'; return 1; }
}

# memcheck over each unit test; those whose processes end in the middle of things, as a node does, leave memory behind.
section_valgrind() {
    local test leaks
    long_section || return 0
    command -v valgrind >/dev/null || { skipped 'needs valgrind'; return; }
    build_gcc || { failed 'the build'; return; }
    for test in build/tests/unit/test_*; do
        if [ ! -f "$test" ] || [ ! -x "$test" ]; then continue; fi
        leaks=full
        case "$test" in */test_*_faults | */test_schedules_disk) leaks=no ;; esac
        check "$test" timeout -k 30 7200 valgrind -q --error-exitcode=99 --leak-check="$leaks" \
            --errors-for-leak-kinds=definite,indirect,possible --show-leak-kinds=definite,indirect,possible "$test"
    done
}

section_analyze() {
    long_section || return 0
    build_gcc || { failed 'the build'; return; }
    checks tests/analyze --self-test
    checks tests/analyze build "$jobs"
}

fuzz_target() {
    local name=${1##*/} inputs output
    inputs=("$found/$name")
    mkdir "${inputs[0]}"
    [ ! -d "tests/fuzz/corpus/${name#fuzz_}" ] || inputs+=("tests/fuzz/corpus/${name#fuzz_}")
    output=$(check "$name, $seconds s" "$1" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=2048 \
        -print_final_stats=1 -verbosity=0 -artifact_prefix="$logs/$name-" "${inputs[@]}" 2>&1)
    in_one_piece "$output"
}

section_fuzz() {
    local source found seconds targets
    local sources=(tests/fuzz/fuzz_*.c)
    seconds=$((fuzz_seconds / ${#sources[@]})) # fuzz_seconds are for all of them
    for source in tests/fuzz/fuzz_*.c; do
        [ -e "$source" ] || { none 'no fuzz target'; return; }
    done
    build_clang || { failed 'the build'; return; }
    found=$(mktemp -d)
    mapfile -t targets < <(find build-clang/tests/fuzz -maxdepth 1 -type f -name 'fuzz_*' | sort)
    [ "${#targets[@]}" -gt 0 ] || { failed 'tests/fuzz/meson.build lists no target'; return; }
    export -f check ok failed skipped in_one_piece fuzz_target
    export found logs seconds
    # shellcheck disable=SC2016 # expands there
    printf '%s\n' "${targets[@]}" | xargs -n 1 -P "$jobs" bash -c 'fuzz_target "$1"' fuzz
    rm -rf "$found"
}

# Counts a section's log and prints its line; when it failed, also the end of the log up to the last failure.
finish() {
    local section=$1 log=$2 seconds=$3 passed_here failed_here
    passed_here=$(grep -c '^ok ' "$log" || true)
    failed_here=$(grep -c '^FAILED ' "$log" || true)
    passed=$((passed + passed_here)) failures=$((failures + failed_here))
    if [ "$failed_here" -gt 0 ]; then
        printf '%s: FAILED (%s s), %s of %s; build/logs/%s.log:\n' "$section" "$seconds" "$failed_here" \
            $((passed_here + failed_here)) "$section"
        grep -B 40 '^FAILED ' "$log" | tail -n 80 | sed 's/^/    /'
    elif [ "$passed_here" -gt 0 ]; then
        printf '%s: ok (%s s), %s\n' "$section" "$seconds" "$passed_here"
    elif ! grep -q '^skipped ' "$log"; then
        printf '%s: nothing to check yet\n' "$section"
    fi
    grep '^skipped ' "$log" | sed "s/^skipped /$section: skipped: /" || true
}

# A section in a shell of its own; one that dies between two checks is a failure too.
run_section() {
    local section=$1 log=$logs/$1.log start=$SECONDS status
    set +e
    (
        set -e
        exec 9>&- # what it leaves behind does not hold the lock
        "section_${section//-/_}"
    ) >"$log" 2>&1
    status=$?
    set -e
    [ "$status" -eq 0 ] || failed "$section: ended in the middle" >>"$log"
    finish "$section" "$log" $((SECONDS - start))
}

sections=()
for argument in "$@"; do
    case "$argument" in
        --werror) werror=true ;;
        --nightly)
            nightly=yes seeds=10000 fresh_seeds=1000 liveness_seeds=2000 scenario_seeds=4 sanitized_seeds=1000
            raft_seeds=1000 placement_clusters=10000 fuzz_seconds=14400 suite_seconds=14400
            ;;
        -h | --help) usage; exit 0 ;;
        *)
            [[ " ${ALL[*]} " == *" $argument "* ]] || { usage >&2; exit 2; }
            sections+=("$argument") named=yes
            ;;
    esac
done
[ "${#sections[@]}" -gt 0 ] || sections=("${ALL[@]}")

export UBSAN_OPTIONS=print_stacktrace=1
deploy/install-dependencies.sh
mkdir -p "$logs"
exec 9>"$logs/.lock"
flock -n 9 || { echo 'waiting for another tests/run.sh in this tree' >&2; flock 9; }

passed=0 failures=0
for section in "${sections[@]}"; do
    run_section "$section"
done
printf '%s passed, %s failed\n' "$passed" "$failures"
[ "$failures" -eq 0 ] && [ "$passed" -gt 0 ]
