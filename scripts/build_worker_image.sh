#!/bin/sh
# Build the worker image: scripts/build_worker_image.sh NAME[:TAG]
#
#   BASE      base image, best by digest (default: what the Dockerfile says)
#   MIRROR    a Debian mirror: make the base here by debootstrap instead of pulling one (needs root)
#   CERTIFICATES  with MIRROR: a file of certificates to trust, for an organisation's own proxy
#   PLATFORM  linux/amd64 or linux/arm64 (default: this machine's; another one needs buildx)
#   LOCK      lock file with hashes (default: requirements.lock); requirements-fix.lock has the extra
#             `fix` too, for engines that ask models
#   BUILD_ARGS  further arguments of `docker build`, such as --network host
#
# DOCKER_HOST and the like are docker's own.
set -eu
cd "$(dirname "$0")/.."
name=${1:?usage: scripts/build_worker_image.sh NAME[:TAG]}
base=${BASE:-}

say() { printf '%s\n' "build_worker_image: $*" >&2; }

# A minimal Debian, imported as an image: for machines that cannot pull.
make_base() {
    command -v debootstrap >/dev/null || { say "install debootstrap, or set BASE"; exit 1; }
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    say "making a base from $1"
    debootstrap --variant=minbase --include=ca-certificates bookworm "$folder/root" "$1" >&2
    if [ -n "${CERTIFICATES:-}" ]; then
        cp "$CERTIFICATES" "$folder/root/usr/local/share/ca-certificates/extra.crt"
        chroot "$folder/root" update-ca-certificates >/dev/null 2>&1
    fi
    rm -rf "$folder/root/var/cache/apt/archives"/*.deb "$folder/root/var/lib/apt/lists"/*
    tar -C "$folder/root" -c . | docker import - mca-base:bookworm >/dev/null
    rm -rf "$folder"
    trap - EXIT
    base=mca-base:bookworm
}

if [ -n "${MIRROR:-}" ]; then make_base "$MIRROR"; fi

set -- --tag "$name" --build-arg "LOCK=${LOCK:-requirements.lock}"
if [ -n "$base" ]; then set -- "$@" --build-arg "BASE=$base"; fi
if [ -n "${PLATFORM:-}" ]; then set -- "$@" --platform "$PLATFORM"; fi
# Word splitting is wanted: they are several.
# shellcheck disable=SC2086
docker build "$@" ${BUILD_ARGS:-} .
docker image inspect --format '{{.Id}} {{.Size}} bytes {{.Architecture}}' "$name"
