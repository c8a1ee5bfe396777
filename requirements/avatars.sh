#!/bin/sh
# Fetches the two networks that find faces and landmarks for photo avatars: optional.
#   requirements/avatars.sh
# They lie in the wheel of mediapipe 0.10.21 (Apache-2.0); nothing of it is installed or run. Any
# Python's wheel has the same two files, so one for Linux on x86-64 is taken, whatever runs here.
# Quick when they are there.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
folder=$root/models/face
python=$root/.venv/bin/python

say() { echo "avatars: $*" >&2; }

sums() {
    cat <<'END'
bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8  face_detection_short_range.tflite
1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814  face_landmark.tflite
8707eef0533987efc5b155d64761eeb6e20793f50b9bd1a68dad1cf4719d0ed8  LICENSE
END
}

complete() { [ -d "$1" ] && sums | (cd "$1" && sha256sum --check --status 2>/dev/null); }

complete "$folder" && exit 0
[ -x "$python" ] || { say "there is no .venv; run make setup first" && exit 1; }

work=$(mktemp -d)
child=
cleanup() {
    [ -z "$child" ] || kill "$child" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# In the background, so that the shell hears signals while it waits.
wheel_of() {
    "$python" -m pip download -qq --no-input --disable-pip-version-check --no-deps \
        --only-binary=:all: --implementation cp --python-version "$1" --abi "cp$1" \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 \
        --dest "$work" mediapipe==0.10.21 >"$work/log" 2>&1 </dev/null &
    child=$!
    status=0
    wait "$child" || status=$?
    child=
    return "$status"
}

say "fetching the face models (a wheel of 36 MB, of which 1.5 MB are kept)"
for tag in 311 312 310 39; do
    wheel_of "$tag" && break
done
wheel=$(ls "$work"/mediapipe-0.10.21-*.whl 2>/dev/null | head -n 1)
[ -n "$wheel" ] || {
    tail -n 3 "$work/log" >&2
    say "the wheel of mediapipe 0.10.21 cannot be had: there is no package index, or it has none"
    say "photo avatars work without: faces are found by a cascade, and their handles are dragged"
    exit 1
}

mkdir "$work/face"
"$python" - "$wheel" "$work/face" <<'END'
import pathlib
import sys
import zipfile

wheel, folder = zipfile.ZipFile(sys.argv[1]), pathlib.Path(sys.argv[2])
for member in (
    "mediapipe/modules/face_detection/face_detection_short_range.tflite",
    "mediapipe/modules/face_landmark/face_landmark.tflite",
    "mediapipe-0.10.21.dist-info/LICENSE",
):
    (folder / member.rsplit("/", 1)[1]).write_bytes(wheel.read(member))
END
complete "$work/face" || { say "the wheel's files are not those that are meant" && exit 1; }
mkdir -p "$folder"
for file in "$work"/face/*; do
    cp "$file" "$folder/.new" && mv -f "$folder/.new" "$folder/${file##*/}"
done
say "done: $folder"
