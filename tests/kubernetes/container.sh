#!/usr/bin/env bash
# deploy/container/Containerfile without a container engine: its lines are carried out in minimal roots of Debian, one a
# stage, from the committed sources. Then the image's entry script forms a cluster of one in the last root, as its user,
# with keys as components/keys names them, writes and reads it back, and its pre-stop script runs.
#
# Needs root (for chroot and mounts, which are in namespaces of their own), debootstrap, and the mirror that apt uses
# here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf '== %s\n' "$*"; }
fail() {
    printf 'failed: %s\n' "$*" >&2
    exit 1
}
skip() {
    printf 'skipped: %s\n' "$*" >&2
    exit 77
}

[ "$(id -u)" -eq 0 ] || skip 'not root: no root of its own can be made'
command -v debootstrap >/dev/null || apt-get install -y -q --no-install-recommends debootstrap >&2 ||
    skip 'debootstrap is not to be had'
unshare --mount --pid --net --fork true 2>/dev/null || skip 'no namespaces are to be had'
# shellcheck disable=SC2016 # apt expands it
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | head -n 1)

work=$(mktemp -d -p "${TMPDIR:-/var/tmp}" evgrid-image.XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# in_root ROOT NAMESPACES USER COMMAND: in the stage's folder, with a root's devices and processes.
in_root() {
    # shellcheck disable=SC2016,SC2086 # expanded in the namespace; a list of flags
    unshare --mount --pid --fork --kill-child $2 bash -c '
        mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount -t sysfs -o ro sysfs "$1/sys" &&
            { [ ! -e /sys/class/net/lo ] || ip link set lo up; } &&
            exec chroot --userspec="$2" "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
                LANG=C.UTF-8 bash -euc "cd $3 && $4"' - "$1" "$3" "$folder" "$4"
}

new_root() {
    if [ ! -d "$work/first" ]; then
        say "a minimal root of $1"
        debootstrap --variant=minbase "$1" "$work/first" "$mirror" >"$work/log" 2>&1 ||
            { tail -n 20 "$work/log" >&2 && exit 1; }
        cp /etc/resolv.conf "$work/first/etc/resolv.conf"
    fi
    cp -a "$work/first" "$work/$2"
}

copy() { # FROM TO: out of the stage --from, or of the sources
    if [[ $1 == --from=* ]]; then
        cp -a "$work/${1#--from=}$2" "$work/$stage$3"
    else
        git archive HEAD | tar -x -C "$work/$stage$2"
    fi
}

user=0:0 folder=/ stage='' entry=''
while read -r word rest; do
    case $word in
    '' | '#'*) ;;
    FROM)
        [[ $rest =~ ^debian:([a-z]+)(\ AS\ ([a-z]+))?$ ]] || fail "a FROM that is not known here: $rest"
        stage=${BASH_REMATCH[3]:-image} folder=/
        new_root "${BASH_REMATCH[1]}" "$stage"
        ;;
    WORKDIR) folder=$rest && mkdir -p "$work/$stage$folder" ;;
    COPY)
        read -ra words <<<"$rest"
        copy "${words[@]}"
        ;;
    RUN)
        say "$stage: ${rest:0:90}"
        in_root "$work/$stage" '' "$user" "$rest" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2 && exit 1; }
        ;;
    ENV) ;;
    USER) user=$rest ;;
    ENTRYPOINT) entry=${rest//[][\"]/} ;;
    *) fail "a line that is not known here: $word $rest" ;;
    esac
done < <(sed -e ':next' -e '/\\$/N; s/\\\n *//; t next' deploy/container/Containerfile)
[ "$stage $user $entry" = 'image 10001:10001 entrypoint' ] || fail "the last stage is no image: $stage $user $entry"
du -sh --one-file-system "$work/image" | cut -f1

say 'a pod of one'
cp deploy/kubernetes/base/evgridd.yaml "$work/image/etc/evgrid/"
domain=headless.default.svc.cluster.local
printf '127.0.0.1 evgrid-0.%s %s\n' "$domain" "$domain" >>"$work/image/etc/hosts"
cat >"$work/image/tmp/pod" <<'END'
export POD_NAME=evgrid-0 POD_NAMESPACE=default POD_IP=127.0.0.1
export EVGRID_SERVICE=headless EVGRID_FOUNDERS=1 EVGRID_SERVER=127.0.0.1:7400
mkdir keys
evgrid keygen keys/node.key --for-node '*'
evgrid keygen keys/operator.key --for-client operator
cat keys/node.key.pub >keys/nodes
cat keys/node.key.pub keys/operator.key.pub >keys/trusted
chmod 440 keys/*
export EVGRID_KEYS__SECRET=/tmp/keys/node.key EVGRID_KEYS__TRUSTED=/tmp/keys/trusted
export EVGRID_KEY=/tmp/keys/operator.key EVGRID_NODE_KEYS=/tmp/keys/nodes
entrypoint 2>>/tmp/log &
pod=$!
evgrid cluster wait --timeout 60s
grep -q '"event":"keys.taken"' /tmp/log
curl -fsS --retry 20 --retry-delay 1 http://127.0.0.1:7480/readyz # told within a second, 503 until then
evgrid bench publish --events 1000 --verify
EVGRID_PRESTOP_LOG=/tmp/log prestop
kill $pod
wait $pod
cat /tmp/log
grep -q 'prestop: no other node is live' /tmp/log
END
folder=/tmp
in_root "$work/image" --net "$user" 'bash -eu /tmp/pod' || fail 'the image does not work'
