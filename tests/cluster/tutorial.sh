#!/usr/bin/env bash
# Runs a tutorial as a reader would: the fenced `sh` blocks of the page, in their order, in one shell; what a block
# prints must fit the `output` block behind it, where `...` stands for anything within a line, and alone for any lines.
#
#   tests/cluster/tutorial.sh [--whole] [PAGE]     default docs/tutorial/first-steps.md
#
# `sh build` blocks are passed over and the build in EVGRID_BUILD is used; --whole runs them too, in a fresh copy of the
# committed sources, and tells how long everything took.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

whole=false
limit=300
[ "${1:-}" != --whole ] || { whole=true && limit=3000 && shift; }
page=$(realpath "${1:-docs/tutorial/first-steps.md}")
place=$work/evgrid
export XDG_CONFIG_HOME=$work/config
unset EVGRID_SERVER EVGRID_CONTEXT

clean_up() { [ ! -x "$place/deploy/local/cluster" ] || (cd "$place" && deploy/local/cluster down) >/dev/null 2>&1; }

# page_tool split PAGE FOLDER: N.sh and N.output for each block; page_tool fits OUTPUT PATTERN: does it?
page_tool() {
    python3 - "$@" <<'PYTHON'
import pathlib, re, sys

def split(page, folder, whole):
    blocks = re.findall(r'^```(\w*)(?: +(\w+))?\n(.*?)^```$', pathlib.Path(page).read_text(), re.M | re.S)
    count, last = 0, None
    for kind, word, text in blocks:
        if kind == 'sh' and (word != 'build' or whole == 'true'):
            count += 1
            last = count
            (pathlib.Path(folder) / f'{count:02}.sh').write_text(text)
        elif kind == 'sh':
            last = None
        elif kind == 'output':
            if last is None:
                sys.exit('an output block without commands before it')
            (pathlib.Path(folder) / f'{last:02}.output').write_text(text)
            last = None
    print(count)

def fits(output, pattern):
    regex = ''
    for line in pattern.splitlines():
        if line == '...':
            regex += r'(?:.*\n)*?'
        else:
            regex += '.*'.join(map(re.escape, re.split(r' *\.\.\. *|\.\.\.', line))) + r'\n'
    return re.fullmatch(regex, output) is not None

if sys.argv[1] == 'split':
    split(*sys.argv[2:])
else:
    output, pattern = (pathlib.Path(path).read_text() for path in sys.argv[2:])
    sys.exit(not fits(output, pattern))
PYTHON
}

say 'the comparison can fail'
fits() { printf '%b' "$1" >"$work/o" && printf '%b' "$2" >"$work/p" && page_tool fits "$work/o" "$work/p"; }
fits 'a: 1\nb: 2\nc: 3\n' 'a: ...\n...\nc: 3\n' || fail 'a fitting output is refused'
for pattern in 'a: 1\n' 'a: ...\nc: 3\n' 'a: 2\n...\n' '...\nd\n' 'a: 1\nb: 2\nc: 3\nd\n' ''; do
    ! fits 'a: 1\nb: 2\nc: 3\n' "$pattern" || fail "an output fits '$pattern'"
done

say "the commands of ${page##*/}"
mkdir "$work/blocks"
count=$(page_tool split "$page" "$work/blocks" "$whole")
[ "$count" -gt 5 ] || fail "$count blocks were found"
if $whole; then
    git clone -q . "$place"
else
    mkdir "$place"
    for entry in *; do
        case $entry in build*) ;; *) ln -s "$PWD/$entry" "$place/$entry" ;; esac
    done
    ln -s "$(realpath "$EVGRID_BUILD")" "$place/build"
fi
unset EVGRID_BUILD
{
    printf 'set -euo pipefail\ncd "%s"\n' "$place"
    for block in "$work"/blocks/*.sh; do
        printf 'echo "%s" >"%s"\n{\n' "${block##*/}" "$work/at"
        cat "$block"
        printf '} >"%s" 2>&1 </dev/null\n' "${block%.sh}.printed"
    done
} >"$work/all.sh"
begun=$SECONDS
if ! timeout "$limit" bash "$work/all.sh"; then
    block=$work/blocks/$(cat "$work/at")
    fail "a command failed: $(cat "$block")"$'\n'"it printed: $(tail -n 20 "${block%.sh}.printed")"
fi
for pattern in "$work"/blocks/*.output; do
    page_tool fits "${pattern%.output}.printed" "$pattern" ||
        fail "the page promises"$'\n'"$(cat "$pattern")"$'\n'"and this was printed:"$'\n'"$(
            cat "${pattern%.output}.printed"
        )"
done
say "$count blocks, $(find "$work/blocks" -name '*.output' | wc -l) outputs compared, $((SECONDS - begun)) s"
[ ! -e "$place/.evgrid-local" ] || fail 'the page leaves its cluster behind'
