#!/bin/sh
# Puts the station on a host with systemd, or takes it away again.
#   systemd/install.sh install | rollback | uninstall [--purge]
# Installed again it upgrades: the version before stays for `rollback`. Settings, stream keys and
# state are never overwritten, and only --purge removes them. DESTDIR=/some/folder stages: the same
# files under that folder, and nothing else of the machine is touched. PYTHON names another Python.
set -eu
umask 022

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
dest=${DESTDIR:-}
code=$dest/opt/broadcaster
config=$dest/etc/broadcaster
keys=$config/credentials
state=$dest/var/lib/broadcaster
units=$dest/etc/systemd/system
unit=$units/broadcaster.service
command=$dest/usr/local/bin/broadcaster
account=broadcaster
contents="broadcaster gpu_pool idle_media config requirements systemd \
    README.md LICENSE NOTICE pyproject.toml"

say() { echo "install: $*" >&2; }

give_up() {
    say "$*"
    exit 1
}

case $dest in
'' | /*) ;;
*) give_up "DESTDIR must be an absolute path, not '$dest'" ;;
esac
[ "$dest" != / ] || give_up "leave DESTDIR out to install for real"
[ -n "$dest" ] || [ "$(id -u)" = 0 ] || give_up "run it as root, or stage it: make install DESTDIR=/some/folder"

exec 9<"$0"
flock -n 9 || { say "waiting for another installation from this folder" && flock 9; }

# systemd is there to be told only when it is process 1, and never about what is merely staged.
has_systemd() { [ -z "$dest" ] && [ -d /run/systemd/system ]; }

# --- The new version ---------------------------------------------------------------------------

# Of the service's user, so none under somebody's home: the unit hides homes.
pick_python() {
    for name in ${PYTHON:-/usr/bin/python3 /usr/bin/python3.14 /usr/bin/python3.13 \
        /usr/bin/python3.12 /usr/bin/python3.11 /usr/local/bin/python3}; do
        case $(readlink -f -- "$name" 2>/dev/null) in '' | /root/* | /home/*) continue ;; esac
        if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
            2>/dev/null; then
            echo "$name"
            return 0
        fi
    done
    give_up "Python 3.11 or later with its venv module is needed, outside of /root and /home"
}

files_of() { # every file of a version, without what Python left
    # shellcheck disable=SC2086 # words on purpose
    (cd "$1" && find $contents -type f ! -path '*/__pycache__/*' | LC_ALL=C sort)
}

# Named by what is in it: the same version is never built twice.
name_of() {
    hash=$(files_of "$1" | (cd "$1" && tr '\n' '\0' | xargs -0 sha256sum) | sha256sum | cut -c1-12)
    echo "$(sed -n 's/^__version__ = "\(.*\)"/\1/p' "$1/broadcaster/__init__.py")-$hash"
}

draft=
cleanup() { [ -z "$draft" ] || rm -rf -- "$draft"; }
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

current() { readlink -- "$code/current" 2>/dev/null | sed 's|^releases/||'; }
previous() { readlink -- "$code/previous" 2>/dev/null | sed 's|^releases/||'; }

# Packages that have not changed are copied from the version that runs: no index is asked.
make_venv() {
    running=$code/current
    if cmp -s "$running/requirements/base.txt" "$draft/requirements/base.txt" &&
        [ "$(readlink -f "$running/.venv/bin/python")" = "$(readlink -f "$python")" ]; then
        cp -a "$running/.venv" "$draft/.venv"
        return
    fi
    say "installing Python packages"
    "$python" -m venv "$draft/.venv"
    "$draft/.venv/bin/python" -m pip install -qq --no-input --disable-pip-version-check \
        --only-binary=:all: --requirement "$draft/requirements/base.txt" >&2 ||
        give_up "pip failed; without a package index, set PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels"
    # Their first lines name this draft; the station runs modules, not scripts.
    find "$draft/.venv/bin" -type f -delete
}

# Relative, so that the folder may be renamed, staged and copied.
link_project() {
    site=$(find "$draft/.venv/lib" -type d -name site-packages | head -n 1)
    echo ../../../.. >"$site/broadcaster.pth"
    # shellcheck disable=SC2016 # for the script, not for us
    printf '%s\n' '#!/bin/sh' \
        'exec "$(dirname -- "$(readlink -f -- "$0")")/python" -m broadcaster "$@"' \
        >"$draft/.venv/bin/broadcaster"
    chmod 755 "$draft/.venv/bin/broadcaster"
}

build() { # the version $1
    python=$(pick_python)
    mkdir -p "$code/releases"
    draft=$code/releases/.$1.$$
    mkdir -m 700 "$draft"
    files_of "$root" | tar -C "$root" -cf - -T - | tar -C "$draft" --no-same-owner -xf -
    chmod -R u=rwX,go=rX "$draft"/*
    owned 640 "$draft/config/broadcaster.yaml" # who edited it in the clone may have put keys there
    make_venv
    link_project
    "$draft/.venv/bin/broadcaster" --version >/dev/null || give_up "the new version does not start"
    # The service cannot write here, so it would compile everything anew at every start.
    "$draft/.venv/bin/python" -m compileall -q "$draft/broadcaster" "$draft/gpu_pool" \
        "$draft/idle_media" "$draft/.venv/lib" >/dev/null || true
    chmod 755 "$draft"
    mv -T -- "$draft" "$code/releases/$1"
    draft=
}

point() { # the link $1 at the version $2; there is no moment without it
    ln -sfn "releases/$2" "$code/.$1.$$"
    mv -fT -- "$code/.$1.$$" "$code/$1"
}

forget_others() {
    for release in "$code"/releases/* "$code"/releases/.[!.]*; do
        name=${release##*/}
        [ -e "$release" ] || continue
        [ "$name" = "$(current)" ] || [ "$name" = "$(previous)" ] || rm -rf -- "$release"
    done
}

# --- Everything around it ----------------------------------------------------------------------

install_config() { # shipped with the version before: $1, may be empty
    mkdir -p "$config"
    shipped=$code/current/config/broadcaster.yaml
    if [ ! -e "$config/broadcaster.yaml" ]; then
        cp "$shipped" "$config/broadcaster.yaml"
        owned 640 "$config/broadcaster.yaml"
    elif [ -n "$1" ] && cmp -s "$shipped" "$1"; then
        : # nothing new in it
    elif ! cmp -s "$shipped" "$config/broadcaster.yaml"; then
        cp "$shipped" "$config/broadcaster.yaml.new"
        owned 640 "$config/broadcaster.yaml.new"
        say "the settings have changed: compare $config/broadcaster.yaml with broadcaster.yaml.new"
    fi
    if [ ! -d "$keys" ]; then
        mkdir "$keys"
        chmod 700 "$keys"
    fi
}

owned() { # mode $1 of $2, readable by the service
    [ -n "$dest" ] || chown "root:$account" "$2"
    chmod "$1" "$2"
}

install_account() {
    [ -z "$dest" ] || return 0
    getent passwd "$account" >/dev/null || useradd --system --user-group --no-create-home \
        --home-dir /var/lib/broadcaster --shell /usr/sbin/nologin "$account"
}

install_unit() {
    mkdir -p "$units/broadcaster.service.d" "${command%/*}"
    cp "$code/current/systemd/broadcaster.service" "$unit.new"
    mv -f "$unit.new" "$unit"
    [ -e "$units/broadcaster.service.d/keys.conf" ] ||
        cp "$code/current/systemd/keys.conf" "$units/broadcaster.service.d/keys.conf"
    [ -L "$command" ] || [ ! -e "$command" ] || give_up "$command is not ours; it is left alone"
    ln -sfn /opt/broadcaster/current/.venv/bin/broadcaster "$command"
    if [ -z "$dest" ] && command -v systemd-analyze >/dev/null; then
        complaint=$(systemd-analyze verify "$unit" 2>&1) && [ -z "$complaint" ] ||
            say "systemd has something to say about the unit: $complaint"
    fi
}

start_service() { # upgraded: yes or empty
    if ! has_systemd; then
        [ -n "$dest" ] ||
            say "systemd does not run this machine: the service is neither enabled nor started"
        return 0
    fi
    systemctl daemon-reload
    systemctl -q enable broadcaster.service
    if [ -n "$1" ]; then
        systemctl try-restart broadcaster.service
    else
        systemctl start broadcaster.service
    fi
    say "the service is $(systemctl is-active broadcaster.service || true)"
}

# --- Verbs -------------------------------------------------------------------------------------

install() {
    [ -n "$dest" ] || "$root/requirements/setup.sh" programs
    version=$(name_of "$root")
    before=$(current)
    install_account
    [ -d "$code/releases/$version" ] || build "$version"
    if [ "$before" != "$version" ]; then
        [ -z "$before" ] || point previous "$before"
        point current "$version"
    fi
    forget_others
    install_config "${before:+$code/releases/$before/config/broadcaster.yaml}"
    install_unit
    start_service "$before"
    if [ "$before" = "$version" ]; then
        say "$version was installed already"
    else
        say "$version is installed${before:+; make rollback brings back $before}"
    fi
}

rollback() {
    now=$(current) older=$(previous)
    [ -n "$older" ] && [ -d "$code/releases/$older" ] || give_up "there is no version to go back to"
    point current "$older"
    point previous "$now"
    install_unit
    start_service yes
    say "$older is installed again; make rollback brings back $now"
}

uninstall() { # $1: --purge or empty
    if has_systemd && [ -e "$unit" ]; then
        systemctl -q disable --now broadcaster.service
    fi
    [ ! -L "$command" ] || rm -f -- "$command"
    rm -f -- "$unit"
    rm -rf -- "$code"
    if [ "$1" = --purge ]; then
        rm -rf -- "$config" "$state" "$units/broadcaster.service.d"
        if [ -z "$dest" ] && getent passwd "$account" >/dev/null; then
            userdel "$account" || say "the user $account could not be removed"
        fi
    elif [ -e "$config" ] || [ -e "$state" ]; then
        say "kept: settings and stream keys ($config), state ($state), the user $account"
        say "make uninstall PURGE=1 removes them as well"
    fi
    ! has_systemd || systemctl daemon-reload
    say "the station is removed"
}

case ${1:-} in
install) install ;;
rollback) rollback ;;
uninstall)
    case ${2:-} in
    '' | --purge) uninstall "${2:-}" ;;
    *) give_up "uninstall takes --purge or nothing, not '$2'" ;;
    esac
    ;;
*) give_up "install, rollback or uninstall [--purge]?" ;;
esac
