#!/usr/bin/env bash
# All three nodes lose power at once under load, for real: each data directory is on a loop-mounted ext4 image of its
# own, which is shut down without flushing anything. What was acknowledged is there after mounting and starting again.
# Needs root and loop devices; says so and ends with 77 where they are missing.
# shellcheck disable=SC2154 # what common.sh sets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# shellcheck source=/dev/null
. tests/cluster/common.sh

cannot() {
    printf 'skipped: %s\n' "$*"
    exit 77
}
mount_of() { printf '%s\n' "$work/cluster/n$1/data"; }
mount_image() { mount -o loop "$work/image$1" "$(mount_of "$1")"; }
is_unmounted() { ! mountpoint -q "$(mount_of "$1")" || umount "$(mount_of "$1")"; }
clean_up() {
    local node
    for node in 1 2 3; do
        wait_until 10 "unmounting the disk of node $node" is_unmounted "$node"
    done
}

# On each disk a file that is synced and one that is not, EXT4_IOC_SHUTDOWN without a flush of the log, then the kill.
lose_everything() {
    local node
    say 'power loss on all three nodes'
    python3 - "$(mount_of 1)" "$(mount_of 2)" "$(mount_of 3)" <<'PYTHON'
import fcntl, os, struct, sys
SHUTDOWN, WITHOUT_LOG_FLUSH = 0x8004587D, 2
disks = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in sys.argv[1:]]
for name, synced in (("synced", True), ("unsynced", False)):
    for disk in disks:
        marker = os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=disk)
        os.write(marker, b"x" * 4096)
        if synced:
            os.fsync(marker)
            os.fsync(disk)
        os.close(marker)
for disk in disks:
    fcntl.ioctl(disk, SHUTDOWN, struct.pack("I", WITHOUT_LOG_FLUSH))
PYTHON
    for node in 1 2 3; do kill -9 "$(node_pid "$node")" 2>/dev/null || true; done
    wait_until 20 'all nodes are gone' all_gone
    for node in 1 2 3; do
        wait_until 10 "unmounting the disk of node $node" is_unmounted "$node"
        mount_image "$node"
        [ "$(stat -c %s "$(mount_of "$node")/synced")" = 4096 ] || fail "disk $node lost what was synced"
        [ ! -s "$(mount_of "$node")/unsynced" ] || fail "disk $node kept what was not synced: no power loss"
        rm -f "$(mount_of "$node")/synced" "$(mount_of "$node")/unsynced"
    done
    echo 'each disk kept its synced file and lost the other'
}

[ "$(id -u)" -eq 0 ] || cannot 'mounting needs root'
command -v mkfs.ext4 >/dev/null || cannot 'needs mkfs.ext4'
for node in 1 2 3; do
    mkdir -p "$(mount_of "$node")"
    truncate -s 2G "$work/image$node"
    mkfs.ext4 -q "$work/image$node"
    mount_image "$node" 2>"$work/mount.err" || cannot "no loop device can be mounted: $(cat "$work/mount.err")"
done

start_cluster 3
define_shop
# shellcheck source=/dev/null
. tests/cluster/lose-all.sh
