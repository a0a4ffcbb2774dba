#!/usr/bin/env bash
# Brings a redis-server for tests and benchmarks into .cache/redis, from Debian's or Ubuntu's packages; needs no root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -e .cache/redis/usr/bin/redis-server ] && exit 0
if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
  echo 'no apt-get here: install redis-server or valkey-server by hand' >&2
  exit 1
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/smlt-redis.XXXXXX")
trap 'rm -rf "$work"' EXIT
download() { (cd "$work" && apt-get download -q redis-server redis-tools libjemalloc2 liblzf1 libatomic1) 2>&1; }
download || { apt-get update -q && download; }
for package in "$work"/*.deb; do dpkg -x "$package" "$work/root"; done
mkdir -p .cache/redis
rm -rf .cache/redis/usr
mkdir "$work/root/usr.kept"
mv "$work/root/usr/bin" "$work/root/usr/lib" "$work/root/usr.kept"
mv "$work/root/usr.kept" .cache/redis/usr
.cache/redis/usr/bin/redis-server --version 2>/dev/null || LD_LIBRARY_PATH=$(echo "$PWD"/.cache/redis/usr/lib/*-linux-gnu) .cache/redis/usr/bin/redis-server --version
