#!/usr/bin/env bash
# The Debian packages from the first to the last day of a host: built from the committed sources on a Debian with
# nothing on it, looked over by lintian, and installed on another one, where a node runs as its unit would start it, the
# main job of the README runs with what was installed, then systemd is booted and runs the unit, through a kill, a node
# that stands still, an upgrade and a removal; all is purged, and what is left is what the page says.
#
#   tests/packages.sh [bookworm] [trixie]      both without an argument
#
# Needs root (for chroot and mounts, which are in namespaces of their own), debootstrap, and the mirror that apt uses
# here; for systemd cgroup2, without which that part is skipped, and the whole says so at its end.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=/dev/null
. tests/wait.sh

say() { printf '== %s\n' "$*"; }
skip() {
    printf 'skipped: %s\n' "$*" >&2
    exit 77
}
fail() {
    printf 'failed: %s\n' "$*" >&2
    exit 1
}

[ "$(id -u)" -eq 0 ] || skip 'not root: no root of its own can be made'
command -v debootstrap >/dev/null || apt-get install -y -q --no-install-recommends debootstrap >&2 ||
    skip 'debootstrap is not to be had'
unshare --mount --pid --net --fork true 2>/dev/null || skip 'no namespaces are to be had'
# shellcheck disable=SC2016 # apt expands it
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | head -n 1)

work=$(mktemp -d -p "${TMPDIR:-/var/tmp}" evgrid-packages.XXXXXX)
booted='' group='' left_out=''
trap 'shut_down; rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# in_root ROOT COMMAND [UNSHARE-OPTION]: with --net the root's loopback is its own, and there is nothing else.
in_root() {
    # shellcheck disable=SC2016 # expanded in the namespace
    unshare --mount --pid --fork --kill-child "${@:3}" bash -c '
        [ -z "$3" ] || ip link set lo up
        mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount -t sysfs -o ro sysfs "$1/sys" &&
            exec chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb \
                DEBIAN_FRONTEND=noninteractive JOBS='"${JOBS:-$(nproc)}"' bash -euc "$2"' \
        - "$work/$1" "$2" "${3:-}"
}
# What is done on the way, told only when it fails.
quietly() { "$@" >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2 && fail "$suite: $2"; }; }

make_roots() {
    quietly debootstrap --variant=minbase "$suite" "$work/host" "$mirror"
    cp /etc/resolv.conf "$work/host/etc/resolv.conf"
    cp -a "$work/host" "$work/builder"
    git clone -q --no-hardlinks . "$work/builder/evgrid"
}

# On Debian 12 libraft comes from its backports, as the page says.
enable_backports() {
    [ "$suite" = bookworm ] || return 0
    sed -n 's/^\(deb .*\) bookworm main$/\1 bookworm-backports main/p' "$work/$1/etc/apt/sources.list" \
        >"$work/$1/etc/apt/sources.list.d/backports.list"
}

build_packages() {
    enable_backports builder
    quietly in_root builder 'apt-get update -q && apt-get install -y -q --no-install-recommends git ca-certificates'
    quietly in_root builder 'git config --global --add safe.directory /evgrid
        cd /evgrid && deploy/install-dependencies.sh --build'
    in_root builder 'cd /evgrid && deploy/packages/build /packages' 2>&1 | sed 's/^/    /'
    mkdir "$work/host/packages"
    cp "$work"/builder/packages/*.deb "$work/host/packages/"
}

check_packages() {
    local name
    for name in evgridd evgrid libevgrid0; do
        compgen -G "$work/builder/packages/$name-dbgsym_*.deb" >/dev/null || fail "$suite: no $name-dbgsym"
    done
    quietly in_root builder 'apt-get install -y -q --no-install-recommends lintian'
    in_root builder 'lintian --allow-root --tag-display-limit 0 --fail-on error,warning /packages/*.changes' ||
        fail "$suite: lintian"
}

# Twice the same, and of the shape that CycloneDX wants.
check_sbom() {
    # shellcheck disable=SC2016 # expanded there
    in_root builder 'cd /evgrid && SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) deploy/packages/sbom /packages |
        cmp - /packages/*.cdx.json' || fail "$suite: the list of components is another one the second time"
    python3 - "$work"/builder/packages/*.cdx.json <<'PYTHON'
import json, re, sys
bom = json.load(open(sys.argv[1], encoding="utf-8"))
assert (bom["bomFormat"], bom["specVersion"], bom["version"]) == ("CycloneDX", "1.5", 1), bom
assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
                    bom["serialNumber"])
assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", bom["metadata"]["timestamp"])
by_name = {one["name"]: one for one in bom["components"]}
references = {one["bom-ref"] for one in bom["components"]} | {bom["metadata"]["component"]["bom-ref"]}
assert len(references) == len(bom["components"]) + 1, "a reference that names two"
for one in bom["components"]:
    assert one["type"] == "library" and one["name"], one
    properties = {entry["name"] for entry in one["properties"]}
    if properties == {"debian:not-installed"}:
        assert one["name"] == "systemd", f"{one['name']} is needed, and was not there when the packages were built"
        continue
    assert properties == {"debian:source", "debian:source-version"}, one
    assert one["version"] and one["supplier"]["name"], one
    assert one["purl"].startswith(f"pkg:deb/debian/{one['name']}@"), one
    assert all("name" in entry["license"] or "id" in entry["license"] for entry in one.get("licenses", [])), one
for edge in bom["dependencies"]:
    assert {edge["ref"], *edge["dependsOn"]} <= references, edge
assert {edge["ref"] for edge in bom["dependencies"]} == references
ours = {"evgrid", "evgridd", "libevgrid0", "libevgrid-dev"}
assert all(by_name[name]["hashes"][0]["alg"] == "SHA-256" for name in ours)
assert {"libc6", "libraft0", "libzmq5"} <= set(by_name), sorted(by_name)
edges = {edge["ref"]: edge["dependsOn"] for edge in bom["dependencies"]}
assert by_name["libraft0"]["bom-ref"] in edges[by_name["evgridd"]["bom-ref"]]
print(f"    {len(by_name)} components, {sum('licenses' in one for one in by_name.values())} with their licences")
PYTHON
}

# A program on the library, shared and static.
check_library() {
    quietly in_root builder 'apt-get install -y -q --no-install-recommends /packages/libevgrid*_*.deb'
    # shellcheck disable=SC2016 # expanded there
    quietly in_root builder 'cd /tmp
        printf "%s\n" "#include <evgrid.h>" "#include <stdio.h>" \
            "int main(void) { return puts(evg_error_name(EVG_TIMEOUT)) < 0; }" >one.c
        cc -Wall -Werror one.c -o shared $(pkg-config --cflags --libs evgrid)
        cc -Wall -Werror one.c -o static -Wl,-Bstatic -levgrid -Wl,-Bdynamic \
            -lzmq -lyaml -llz4 -lxxhash -pthread
        [ "$(./shared)" = TIMEOUT ] && [ "$(./static)" = TIMEOUT ]
        ldd ./shared | grep -qE "libevgrid.so.0 => /(usr/)?lib/"'
}

install_packages() {
    enable_backports host
    quietly in_root host 'apt-get update -q'
    [ "$suite" != bookworm ] || quietly in_root host 'apt-get install -y -q -t bookworm-backports libraft0'
    quietly in_root host 'apt-get install -y -q --no-install-recommends /packages/evgridd_*.deb /packages/evgrid_*.deb'
    # shellcheck disable=SC2016 # expanded there
    in_root host '[ "$(stat -c %U:%G:%a /var/lib/evgrid)" = evgrid:evgrid:750 ]' || fail "$suite: whose is the data?"
    in_root host '! systemctl is-enabled --quiet evgridd' || fail "$suite: the unit is enabled"
    in_root host 'systemd-analyze verify --man=no --recursive-errors=no evgridd.service 2>&1 | grep evgridd' &&
        fail "$suite: systemd-analyze verify"
    in_root host 'systemd-analyze security --offline=yes --threshold=20 evgridd.service' >"$work/log" ||
        fail "$suite: more exposed than 2.0 of 10: $(tail -n 1 "$work/log")"
    tail -n 1 "$work/log" | sed 's/^/    /'
}

# As the unit would start it: its user, its command.
run_node() {
    # shellcheck disable=SC2016 # expanded there
    quietly in_root host '
        command=$(sed -n "s/^ExecStart=//p" /usr/lib/systemd/system/evgridd.service)
        node() { exec setpriv --reuid evgrid --regid evgrid --init-groups --no-new-privs --bounding-set=-all $command; }
        status=0
        (node) || status=$?
        [ "$status" -eq 2 ] || { echo "a node without a name ended with $status"; exit 1; }
        printf "%s\n" "node:" "  name: n1" >>/etc/evgrid/evgridd.yaml
        (node) &
        evgrid cluster wait --timeout 30s
        evgrid stream create Task
        printf "%s\n" "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/me\",\"type\":\"A\",\"subject\":\"t-1\"}" |
            evgrid publish --stream Task
        kill %1
        wait %1
        (node) &
        evgrid cluster wait --timeout 30s
        evgrid replay --stream Task | grep -F "\"subject\":\"t-1\""
        kill %1
        wait %1' --net
}

main_job() {
    quietly in_root host 'apt-get install -y -q --no-install-recommends python3 procps'
    mkdir "$work/host/evgrid"
    git archive HEAD deploy | tar -x -C "$work/host/evgrid"
    in_root host 'cd /evgrid && EVGRID_BUILD=/usr/bin deploy/quickstart.sh --no-install --events 20000 --rate 2000 \
        --seconds 15' --net >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2 && fail "$suite: the quickstart"; }
    sed -n 's/^acknowledged/    &/p' "$work/log"
    rm -rf "$work/host/evgrid"
}

# The host boots: systemd is the first process of namespaces that are its own, in a group of processes of its own.
boot_host() {
    group=$(awk '$3 == "cgroup2" { print $2 "/"; exit }' /proc/mounts)
    [ -n "$group" ] && group+=evgrid-packages.$$ && mkdir "$group" 2>"$work/boot" || return 1
    # shellcheck disable=SC2016 # expanded there
    bash -euc 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' - "$group" \
        unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child bash -euc '
        ip link set lo up
        mount --make-rprivate /
        mount --bind "$1" "$1"
        mount -t proc proc "$1/proc"
        mount -t sysfs -o ro sysfs "$1/sys"
        mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
        for folder in run tmp dev; do mount -t tmpfs tmpfs "$1/$folder"; done
        for device in null zero full random urandom tty; do
            touch "$1/dev/$device"
            mount --bind "/dev/$device" "$1/dev/$device"
        done
        mkdir "$1/dev/pts" "$1/dev/shm"
        mount -t devpts -o newinstance,ptmxmode=0666 devpts "$1/dev/pts"
        ln -s pts/ptmx "$1/dev/ptmx"
        ln -s /proc/self/fd "$1/dev/fd"
        cd "$1"
        pivot_root . mnt
        umount -l /mnt
        exec env -i container=unshare PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd \
            --unit=multi-user.target --log-target=journal --show-status=no' - "$work/host" \
        >"$work/boot" 2>&1 </dev/null &
    booted=$!
    # shellcheck disable=SC2016 # expanded there
    wait_until 60 'systemd runs' inside '[[ $(systemctl is-system-running) =~ ^(running|degraded)$ ]]'
}
shut_down() {
    [ -z "$booted" ] || { kill -KILL "$booted" && wait "$booted"; } 2>/dev/null || true # what it started ends with it
    booted=''
    wait_until 10 'the groups of processes are empty' remove_groups || true
}
remove_groups() { [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} +; }
inside() {
    nsenter --target "$(pgrep -P "$booted")" -m -p -n -u -i -C env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive bash -euc "cd /; $1"
}
of_unit() { inside "systemctl show --property=$1 --value evgridd"; }
is_of_unit() { [ "$(of_unit "$1")" = "$2" ]; }
is_another() { [ "$(of_unit MainPID)" != "$1" ] && is_of_unit ActiveState active && is_of_unit StatusText ready; }
in_journal() { inside "journalctl -u evgridd --no-pager" | grep -F "$1" >/dev/null; }

# What the unit promises, and that an upgrade leaves a node alone, and a removal does not.
under_systemd() {
    local pid
    if ! boot_host; then
        left_out="$suite: systemd does not run in namespaces here: $(tail -n 1 "$work/boot" 2>&1)"
        return
    fi
    quietly inside 'systemctl enable --now evgridd'
    is_of_unit StatusText ready || fail "$suite: started, and $(of_unit StatusText)"
    quietly inside 'evgrid bench publish --events 20000 --verify'
    pid=$(of_unit MainPID)
    inside "kill -KILL $pid"
    wait_until 60 "$suite: a node that was killed runs again" is_another "$pid" || fail 'it does not'
    pid=$(of_unit MainPID)
    inside "kill -STOP $pid"
    wait_until 120 "$suite: the watchdog ends a node that stands still" is_another "$pid" || fail 'it does not'
    in_journal 'evgridd.service: Watchdog timeout' || fail "$suite: no word of the watchdog"
    inside 'systemctl kill --signal=USR1 evgridd'
    wait_until 10 "$suite: the log is verbose" in_journal 'event=node.log_level from=info to=debug' || fail 'it is not'
    pid=$(of_unit MainPID)
    quietly inside 'systemctl reload evgridd'
    is_of_unit MainPID "$pid" || fail "$suite: a reload restarts the node"
    quietly inside 'apt-get install -y -q --reinstall /packages/evgridd_*.deb'
    is_of_unit MainPID "$pid" || fail "$suite: an upgrade restarts the node"
    is_of_unit NeedDaemonReload no || fail "$suite: systemd was not told of the new unit"
    grep -qx '  name: n1' "$work/host/etc/evgrid/evgridd.yaml" || fail "$suite: an upgrade takes the configuration"
    quietly inside 'apt-get remove -y -q evgridd'
    in_journal 'event=node.stopped' || fail "$suite: a removal does not stop the node cleanly"
    inside "[ ! -e /proc/$pid ]" || fail "$suite: a removal leaves the node running"
    shut_down
}

# Removed: configuration and events stay. Purged: the events and their owner.
remove_packages() {
    quietly in_root host 'apt-get remove -y -q evgridd evgrid'
    quietly in_root host '[ -f /etc/evgrid/evgridd.yaml ] && [ -d /var/lib/evgrid/raft ] && [ ! -e /usr/bin/evgridd ]'
    quietly in_root host 'apt-get purge -y -q evgridd evgrid && rm -r /packages'
    find "$work/host" -xdev -name '*evgrid*' ! -path "$work/host/var/cache/*" ! -path "$work/host/var/lib/evgrid/*" \
        -printf '/%P\n' | sort >"$work/left"
    diff "$work/left" - <<<'/var/lib/evgrid' || fail "$suite: left (<) and expected to be (>)"
    [ -d "$work/host/var/lib/evgrid/raft" ] || fail "$suite: the events are gone"
    grep -q '^evgrid:' "$work/host/etc/passwd" || fail "$suite: the owner of the events is gone"
}

[ $# -gt 0 ] || set -- bookworm trixie
for suite in "$@"; do
    say "$suite: two minimal roots"
    make_roots
    say "$suite: the packages"
    build_packages
    check_packages
    say "$suite: what they are made of"
    check_sbom
    say "$suite: the library"
    check_library
    say "$suite: a host with them"
    install_packages
    run_node
    say "$suite: the main job"
    main_job
    say "$suite: under systemd; upgraded, removed"
    under_systemd
    say "$suite: purged"
    remove_packages
    rm -rf --one-file-system "$work/host" "$work/builder"
done
[ -z "$left_out" ] || skip "$left_out"
