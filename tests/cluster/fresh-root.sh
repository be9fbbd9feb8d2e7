#!/usr/bin/env bash
# A newcomer's path on a Debian with nothing on it: makes a minimal root of the release, clones the committed sources
# into it and types there what the README and the first tutorial say. From the clone to an own stream, an own view and
# an own C program it may take ten minutes, packages and build included. Then the main job of the README runs there.
#
#   tests/cluster/fresh-root.sh bookworm|trixie
#
# Needs root (for chroot and mounts, which are in a mount namespace of their own), debootstrap, and the mirror that apt
# uses here. All processes end with the run, in a process namespace of their own; the root is removed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly LIMIT_SECONDS=600
suite=${1:?bookworm or trixie}
say() { printf '== %s\n' "$*"; }
skip() {
    printf 'skipped: %s\n' "$*" >&2
    exit 77
}

[ "$(id -u)" -eq 0 ] || skip 'not root: no root of its own can be made'
command -v debootstrap >/dev/null || apt-get install -y -q --no-install-recommends debootstrap >&2 ||
    skip 'debootstrap is not to be had'
unshare --mount --pid --fork true 2>/dev/null || skip 'no namespaces are to be had'
# shellcheck disable=SC2016 # apt expands it
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | head -n 1)

work=$(mktemp -d -p "${TMPDIR:-/var/tmp}" evgrid-root.XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
say "a minimal root of $suite"
debootstrap --variant=minbase "$suite" "$work/root" "$mirror" >"$work/log" 2>&1 ||
    { tail -n 20 "$work/log" >&2 && exit 1; }
cp /etc/resolv.conf "$work/root/etc/resolv.conf"
git clone -q --no-hardlinks . "$work/root/evgrid"

in_root() { # COMMAND, in the clone
    # shellcheck disable=SC2016 # expanded in the namespace
    unshare --mount --pid --fork --kill-child bash -c '
        mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount -t sysfs -o ro sysfs "$1/sys" &&
            exec chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb \
                bash -euc "cd /evgrid && $2"' - "$work/root" "$1"
}

say 'from the clone to a stream, a view and a C program'
begun=$SECONDS
in_root deploy/install-dependencies.sh >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2 && exit 1; }
say "packages: $((SECONDS - begun)) s"
in_root 'git config --global --add safe.directory /evgrid && tests/cluster/tutorial.sh --whole'
took=$((SECONDS - begun))
say "$took s"
[ "$took" -lt "$LIMIT_SECONDS" ] || { printf 'failed: more than %s s\n' "$LIMIT_SECONDS" >&2 && exit 1; }
say 'the main job'
in_root deploy/quickstart.sh
