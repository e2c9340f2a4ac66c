#!/usr/bin/env bash
# An Arm root for qemu-aarch64 in FOLDER: Python 3.11 from Debian, onnxruntime, numpy and Pillow from PyPI. Nothing is
# installed on this machine but the foreign architecture's package list; needs Debian's `qemu-user` and root for apt.
#
#     bash benchmarks/equal_bits/setup.sh FOLDER
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
mkdir -p "$folder/debs" "$folder/wheels" "$folder/root/proc" "$folder/site"
dpkg --add-architecture arm64
apt-get update -qq
cd "$folder/debs"
apt-get download -qq {python3.11-minimal,libpython3.11-stdlib,libpython3.11-minimal,libc6,libstdc++6,libgcc-s1,zlib1g}:arm64 \
    {libexpat1,libffi8,libbz2-1.0,liblzma5,libssl3,libsqlite3-0,libuuid1}:arm64
for package in *.deb; do dpkg -x "$package" ../root; done
cd "$folder"
python3 -m pip download -q --no-deps --only-binary=:all: --python-version 311 -d wheels \
    --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 "onnxruntime==${ONNXRUNTIME:-1.32.0}" numpy pillow
for wheel in wheels/*.whl; do python3 -m zipfile -e "$wheel" site; done
