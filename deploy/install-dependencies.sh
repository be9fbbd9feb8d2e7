#!/usr/bin/env bash
# Installs what building, running and testing Evgrid needs, on Debian 12 and 13, as root or through sudo.
#
# May be called any time: when everything is there it asks dpkg only and changes nothing. libraft is too old in
# Debian 12 itself (0.15.0 loses committed entries), so bookworm-backports is enabled when it is not yet: the
# machine's own entry for Debian is copied with the suite renamed, and so keeps its mirror, options and keys.
# `--build`: only what builds the programs and their packages (deploy/packages/build).
# `--print` names what is missing and installs nothing; it comes last.
set -euo pipefail

readonly RAFT_MINIMUM=0.22.1
readonly BACKPORTS_FILE=/etc/apt/sources.list.d/evgrid-backports

say() { printf 'install-dependencies: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# The packages of this release, one a line; libraft-dev is apart, since its version counts. zsh, fish and man-db are for
# the tests of completion and of the manual pages, spin for docs/model, valgrind and cppcheck for two sections of
# tests/run.sh, llvm (of the clang that is the default) for tests/coverage, jq for the scripts of deploy/container,
# libfaketime for deploy/chaos/local.sh.
packages() {
    printf '%s\n' build-essential gcc meson ninja-build pkg-config git python3 debhelper \
        libuv1-dev libzmq3-dev libczmq-dev liblz4-dev libxxhash-dev libmsgpack-dev libjansson-dev libyaml-dev \
        liblua5.4-dev libmicrohttpd-dev libcmocka-dev
    [ "$purpose" = all ] || return 0
    printf '%s\n' clang ccache shellcheck iproute2 nftables curl openssl jq e2fsprogs procps zsh fish man-db \
        spin valgrind cppcheck llvm libfaketime
    case "$1" in
        12) printf '%s\n' clang-format-14 clang-tidy-14 libclang-rt-14-dev ;;
        *) printf '%s\n' libclang-rt-dev ;;
    esac
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

raft_is_recent() {
    local version
    version=$(dpkg-query -W -f '${Version}' libraft-dev 2>/dev/null || true)
    is_installed libraft-dev && dpkg --compare-versions "$version" ge "$RAFT_MINIMUM"
}

missing() {
    local package
    while read -r package; do
        is_installed "$package" || printf '%s\n' "$package"
    done < <(packages "$1")
    raft_is_recent || printf 'libraft-dev\n'
}

# The entries of Debian's own archive for a suite, as apt understands them: "file release uri" (release as written).
debian_entries() {
    # shellcheck disable=SC2016 # apt expands these
    apt-get indextargets --format '$(SOURCESENTRY) $(RELEASE) $(REPO_URI)' \
        'Created-By: Packages' "Origin: $2" "Codename: $1" | sed -E 's/:[0-9]+ / /' | sort -u
}

# Prints the first deb822 stanza of a file that names this release and this URI, with another suite.
stanza_with_suite() {
    awk -v release="$2" -v uri="${3%/}" -v suite="$4" '
        function has(list, word,    parts, count, i) {
            count = split(list, parts, /[ \t\n]+/)
            for (i = 1; i <= count; i++) { sub(/\/$/, "", parts[i]); if (parts[i] == word) return 1 }
            return 0
        }
        function flush() {
            if (!found && has(value["suites"], release) && has(value["uris"], uri)) { printf "%s", text; found = 1 }
            text = ""; field = ""; delete value
        }
        BEGIN { text = "" }
        /^[ \t]*$/ { flush(); next }
        /^#/ { next }
        /^[ \t]/ { value[field] = value[field] " " $0; if (field != "suites") text = text $0 "\n"; next }
        {
            field = tolower($0); sub(/[ \t]*:.*/, "", field)
            rest = $0; sub(/^[^:]*:/, "", rest); value[field] = rest
            text = text (field == "suites" ? "Suites: " suite : $0) "\n"
        }
        END { flush(); exit !found }' "$1"
}

# The same for the one-line form: `deb [options] uri release components`.
line_with_suite() {
    awk -v release="$2" -v uri="${3%/}" -v suite="$4" '
        !/^[ \t]*deb[ \t]/ { next }
        {
            line = $0; head = ""
            if (match(line, /^[ \t]*deb[ \t]+\[[^]]*\][ \t]+/) || match(line, /^[ \t]*deb[ \t]+/)) {
                head = substr(line, 1, RLENGTH); line = substr(line, RLENGTH + 1)
            }
            split(line, part, /[ \t]+/); written = part[1]; sub(/\/$/, "", written)
            if (written != uri || part[2] != release) next
            sub(/^[^ \t]+[ \t]+[^ \t]+/, part[1] " " suite, line)
            print head line; found = 1; exit
        }
        END { exit !found }' "$1"
}

enable_backports() {
    local codename=$1 suite="$1-backports" file release uri extension
    [ -z "$(debian_entries "$suite" 'Debian Backports')" ] || return 0
    read -r file release uri < <(debian_entries "$codename" Debian) ||
        die "cannot enable $suite: apt knows no entry for Debian $codename to copy; add $suite by hand"
    case "$file" in
        *.sources) extension=sources ;;
        *) extension=list ;;
    esac
    say "enabling $suite, after the entry in $file"
    {
        printf '# For libraft: made by Evgrid from the entry for %s in %s.\n' "$codename" "$file"
        if [ "$extension" = sources ]; then
            stanza_with_suite "$file" "$release" "$uri" "$suite"
        else
            line_with_suite "$file" "$release" "$uri" "$suite"
        fi
    } >"$work/entry" || die "cannot enable $suite: no entry for $uri $release in $file; add $suite by hand"
    "${as_root[@]}" install -m 0644 "$work/entry" "$BACKPORTS_FILE.$extension"
    if ! "${as_root[@]}" apt-get update -q >&2 || [ -z "$(debian_entries "$suite" 'Debian Backports')" ]; then
        "${as_root[@]}" rm -f "$BACKPORTS_FILE.$extension"
        die "cannot enable $suite: $uri does not serve it; install libraft-dev >= $RAFT_MINIMUM by hand"
    fi
}

[ -r /etc/os-release ] || die "only Debian is known here: install by hand what $0 lists"
# shellcheck source=/dev/null
. /etc/os-release
[ "${ID:-}" = debian ] || die "only Debian is known here, not '${ID:-}': install by hand what $0 lists"
major=${VERSION_ID:-99} # testing and unstable name no number
[ "$major" -ge 12 ] || die "Debian $major is too old: 12 or later is needed"

purpose=all
if [ "${1:-}" = --build ]; then
    purpose=build
    shift
fi
mapfile -t wanted < <(missing "$major")
if [ "${1:-}" = --print ]; then
    [ "${#wanted[@]}" -eq 0 ] || printf '%s\n' "${wanted[@]}"
    exit 0
fi
[ "${#wanted[@]}" -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "missing, and neither root nor sudo to install them: ${wanted[*]}"
    as_root=(sudo)
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say "installing ${wanted[*]}"
install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends)

"${as_root[@]}" apt-get update -q >&2
others=()
for package in "${wanted[@]}"; do
    [ "$package" = libraft-dev ] || others+=("$package")
done
[ "${#others[@]}" -eq 0 ] || "${install[@]}" "${others[@]}" >&2
if ! raft_is_recent; then
    if [ "$major" -eq 12 ]; then
        enable_backports "$VERSION_CODENAME"
        "${install[@]}" -t "$VERSION_CODENAME-backports" libraft-dev >&2
    else
        "${install[@]}" libraft-dev >&2
    fi
fi

mapfile -t wanted < <(missing "$major")
[ "${#wanted[@]}" -eq 0 ] || die "still missing after the installation: ${wanted[*]}"
say 'everything is installed'
