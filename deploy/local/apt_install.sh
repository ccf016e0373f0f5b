#!/bin/sh
# Installs Debian packages and lets none of their services start: sh apt_install.sh ROOT PACKAGE...   (as root)
# ROOT is "" but in tests. Whatever is changed for the time of the installation is put back, also after a Ctrl-C; what
# a kill -9 leaves behind carries the mark, and the next installation takes it away.
set -eu
root=$1
shift
mark="# Written by entra-sms-sync for the time of one installation; it may be deleted."
policy=$root/usr/sbin/policy-rc.d
clusters=$root/etc/postgresql-common/createcluster.d/entra-sms-sync.conf

# One installation at a time, or the first one would take the policy away under the second one.
exec 9<"$0"
flock 9

ours() {
    [ ! -e "$1" ] || grep -qF "$mark" "$1"
}
if ours "$policy"; then
    drop_policy=yes
    printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
    chmod 755 "$policy"
fi
# Debian's PostgreSQL would create a cluster of its own, to be started at the next boot.
mkdir -p "${clusters%/*}"
printf '%s\ncreate_main_cluster = false\n' "$mark" >"$clusters"

put_back() {
    rm -f "$clusters"
    rmdir --ignore-fail-on-non-empty "${clusters%/*}" "$root/etc/postgresql-common" 2>/dev/null || true
    [ -z "${drop_policy-}" ] || rm -f "$policy"
}
trap put_back EXIT
trap 'exit 130' HUP INT TERM

export DEBIAN_FRONTEND=noninteractive
install() {
    apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
}
update() {
    apt-get update -o DPkg::Lock::Timeout=300
}

set -- "$@" </dev/null
if ! ls "$root"/var/lib/apt/lists/*_Packages* >/dev/null 2>&1; then
    update
    install "$@"
else
    # Lists that are too old show by an installation that fails.
    install "$@" || { update && install "$@"; }
fi
