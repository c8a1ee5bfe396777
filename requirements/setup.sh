#!/bin/sh
# Sets up what is missing on a Debian machine: programs (apt), then .venv with pinned wheels.
#   requirements/setup.sh [base|gpu|test|torch|programs]    (programs: apt alone)
# base is what a station needs, gpu adds torch to it for the neural engines, test adds what the tests
# need; torch makes a second folder, .venv-torch, in which the tests of the neural engines run.
# Quick when nothing is missing. Two runs at once wait for each other. An nginx or Prometheus that
# was there before is not touched; one that comes with this set-up is left neither enabled nor running.
set -eu

profile=${1:-base}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
venv=$root/.venv
[ "$profile" != torch ] || venv=$root/.venv-torch
PATH=$PATH:/usr/sbin:/sbin

say() { echo "setup: $*" >&2; }

case $profile in
base | gpu | test | torch | programs) ;;
*) say "unknown set of requirements '$profile'" && exit 2 ;;
esac

# --- What is missing? -------------------------------------------------------------------------

has_rtmp_module() {
    for folder in /usr/lib/nginx /usr/lib64/nginx /usr/share/nginx /usr/local/lib/nginx \
        /usr/local/nginx /etc/nginx; do
        [ -e "$folder/modules/ngx_rtmp_module.so" ] && return 0
    done
    grep -qs '/ngx_rtmp_module\.so$' /var/lib/dpkg/info/libnginx-mod-rtmp*.list
}

missing_packages() {
    command -v ffmpeg >/dev/null || printf ' ffmpeg'
    command -v nginx >/dev/null || printf ' nginx'
    has_rtmp_module || printf ' libnginx-mod-rtmp'
    [ "$profile" != test ] || command -v chromium >/dev/null || printf ' chromium'
    [ "$profile" != test ] || { command -v prometheus && command -v promtool; } >/dev/null ||
        printf ' prometheus'
    [ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || printf ' fonts-dejavu-core'
    if ! command -v python3 >/dev/null; then
        printf ' python3 python3-venv'
    elif [ ! -x "$venv/bin/python" ] && ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        printf ' python3-venv'
    fi
}

# What decides the contents of the venv: the lists, this script, and where the folder lies.
stamp_of() {
    files=requirements/base.txt
    case $1 in
    gpu) files="$files requirements/gpu.txt" ;;
    test) files="$files requirements/test.txt requirements/openh264.txt" ;;
    torch) files="$files requirements/test.txt requirements/gpu.txt requirements/torch.txt" ;;
    esac
    # shellcheck disable=SC2086 # words on purpose
    { (cd "$root" && cat $files requirements/setup.sh pyproject.toml) && echo "$root"; } |
        sha256sum | cut -d' ' -f1
}

venv_is_ready() {
    [ -x "$venv/bin/python" ] && [ -x "$venv/bin/broadcaster" ] &&
        [ "$(cat "$venv/.stamp-$profile" 2>/dev/null)" = "$(stamp_of "$profile")" ]
}

# The tests of photo avatars need the networks that find faces; a station does not.
face_models() { [ "$profile" != test ] || "$root/requirements/avatars.sh"; }

python_is_ready() { [ "$profile" = programs ] || venv_is_ready; }

packages=$(missing_packages)
if [ -z "$packages" ] && python_is_ready; then
    face_models
    exit
fi

# --- One at a time; a stop signal ends what is running ------------------------------------------

exec 9<"$0"
flock -n 9 || { say "waiting for another set-up of this folder" && flock 9; }

log=$(mktemp)
child=
cleanup() {
    [ -z "$child" ] || kill "$child" 2>/dev/null || true
    [ -z "$policy_is_ours" ] || restore_policy
    rm -f "$log"
}
policy_is_ours=
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# In the background, so that the shell hears signals while it waits.
stoppable() {
    "$@" </dev/null 9<&- &
    child=$!
    status=0
    wait "$child" || status=$?
    child=
    return "$status"
}

# --- Programs -----------------------------------------------------------------------------------

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n -- "$@"; fi; }

give_up() {
    say "$1"
    say "install by hand, as root: apt-get install --no-install-recommends$packages"
    exit 1
}

policy=/usr/sbin/policy-rc.d
saved=$policy.before-broadcaster

# No package may start a service meanwhile; an administrator's own policy comes back afterwards.
forbid_starts() {
    restore_policy # left over from a set-up that was killed
    policy_is_ours=yes
    [ ! -e "$policy" ] || as_root mv "$policy" "$saved"
    printf '#!/bin/sh\n# broadcaster set-up: start nothing\nexit 101\n' |
        as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
}

restore_policy() {
    if grep -qs '^# broadcaster set-up' "$policy"; then as_root rm -f "$policy"; fi
    if [ -e "$saved" ]; then as_root mv -f "$saved" "$policy"; fi
    policy_is_ours=
}

# Under systemd and without it (a container, an image being built).
disable_service() {
    now=$([ ! -d /run/systemd/system ] || echo --now)
    # shellcheck disable=SC2086 # nothing or one word
    as_root systemctl disable $now "$1.service" >/dev/null 2>&1 || true
    as_root update-rc.d "$1" disable >/dev/null 2>&1 || true
    as_root rm -f "/etc/systemd/system/multi-user.target.wants/$1.service"
}

# Not stoppable: a package manager killed half-way leaves a broken machine.
apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" \
        </dev/null >>"$log" 2>&1 9<&-
}

install_packages() {
    command -v apt-get >/dev/null || give_up "no apt-get here; only Debian is set up by itself"
    [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null ||
        give_up "programs are missing, and neither root nor 'sudo -n' is available"
    exec 8</run/lock # one set-up per machine, whatever its folder
    flock 8
    packages=$(missing_packages)
    [ -n "$packages" ] || return 0
    had_nginx=$(command -v nginx || true)
    had_prometheus=$(command -v prometheus || true)
    loads_module=/etc/nginx/modules-enabled/50-mod-rtmp.conf
    had_module=$([ -e "$loads_module" ] && echo yes || true)
    say "installing$packages"
    forbid_starts
    apt update || say "apt-get update failed; trying with the lists that are there"
    # shellcheck disable=SC2086 # words on purpose
    apt install --no-install-recommends $packages || {
        tail -n 20 "$log" >&2
        give_up "apt-get failed"
    }
    if [ -z "$had_nginx" ]; then
        disable_service nginx
    elif [ -z "$had_module" ]; then
        as_root rm -f "$loads_module" # that nginx is somebody's; it shall not load our module
    fi
    if [ -z "$had_prometheus" ] && command -v prometheus >/dev/null; then
        disable_service prometheus
    fi
    restore_policy
    exec 8<&-
}

[ -z "$packages" ] || install_packages

# --- Python -------------------------------------------------------------------------------------

pick_python() {
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
            2>/dev/null; then
            echo "$name"
            return 0
        fi
    done
    say "Python 3.11 or later with its venv module is needed"
    return 1
}

# `pip install -e .` would run a build; a path file and a short script give the same.
link_project() {
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    echo "$root" >"$site/broadcaster.pth"
    printf '#!/bin/sh\nexec "%s/bin/python" -m broadcaster "$@"\n' "$venv" >"$venv/broadcaster.new"
    chmod 755 "$venv/broadcaster.new"
    mv -f "$venv/broadcaster.new" "$venv/bin/broadcaster"
}

install_second_decoder() {
    rm -rf "$venv/openh264"
    stoppable "$venv/bin/python" -m pip install -qq --no-input --disable-pip-version-check \
        --only-binary=:all: --no-deps --target "$venv/openh264" \
        --requirement "$root/requirements/openh264.txt" >&2 || {
        say "pip failed; without a package index, install requirements/openh264.txt by hand"
        exit 1
    }
}

install_wheels() {
    say "installing Python packages ($profile) into $venv"
    "$venv/bin/python" -c '' 2>/dev/null || {
        python=$(pick_python) && rm -rf "$venv" && stoppable "$python" -m venv "$venv"
    }
    stoppable "$venv/bin/python" -m pip install -qq --no-input --disable-pip-version-check \
        --only-binary=:all: --requirement "$root/requirements/$profile.txt" >&2 || {
        say "pip failed; without a package index, install requirements/$profile.txt into $venv"
        exit 1
    }
    [ "$profile" != test ] || install_second_decoder
    link_project
    stamp_of base >"$venv/.stamp-base"
    stamp_of "$profile" >"$venv/.stamp-$profile"
}

python_is_ready || install_wheels
[ "$profile" != test ] || stoppable "$root/requirements/avatars.sh"
