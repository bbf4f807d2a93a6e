#!/bin/bash
# table.sh BUILD: tries every way out as root and as an ordinary user, without network and with the
# proxy, and in `podman run` with its defaults; prints one table in Markdown. Root runs it.
set -euo pipefail
build=$(cd "$1" && pwd -P)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# doctor COLUMN STATE [COMMAND…]: `id verdict` of each probe. What is open makes doctor fail.
doctor() {
  local column=$1 state=$2
  shift 2
  "$@" "$build/flow-runner" doctor --probe --state-dir "$state" --network "${column#*-}" |
    awk '$1 ~ /^(closed|open|not_run)$/ { print $2, $1 }' >"$work/$column" || true
}

home=/tmp/flow-runner-test-home
for mode in none proxy; do
  doctor "root-$mode" "$work/state" env
  doctor "user-$mode" "$home/probe-state" "$here/../fixtures/as_ordinary_user.sh" "$home"
done
"$build/podman_probe" "$build/flow-runner-probe" >"$work/podman.json"
sed -n 's/^{"id":"\([a-z_0-9]*\)","outcome":"\([a-z_]*\)".*/\1 \2/p' "$work/podman.json" >"$work/podman"

columns=(root-none root-proxy user-none user-proxy podman)
echo '| way out | root, `none` | root, `proxy` | rootless, `none` | rootless, `proxy` | `podman run` |'
echo '|---|---|---|---|---|---|'
while read -r id _; do
  row="| \`$id\` |"
  for column in "${columns[@]}"; do
    verdict=$(sed -n "s/^$id //p" "$work/$column")
    if [[ $verdict != closed ]]; then verdict="**${verdict:-no answer}**"; fi
    row+=" $verdict |"
  done
  echo "$row"
done <"$work/root-none"
