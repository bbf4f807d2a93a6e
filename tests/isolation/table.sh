#!/bin/bash
# table.sh BUILD: tries every way out as root and as an ordinary user, without network and with the
# proxy, and in `podman run` with its defaults; prints the README's table. Root runs it.
set -euo pipefail
build=$(cd "$1" && pwd -P)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
home=/tmp/flow-runner-test-home
work=$(mktemp -d)
trap 'rm -rf "$work" "$home/probe-state"' EXIT

# doctor COLUMN STATE [COMMAND…]: the verdict and text of each probe. What is open makes doctor fail;
# that nothing was probed shows below.
doctor() {
  local column=$1 state=$2
  shift 2
  "$@" "$build/flow-runner" doctor --probe --state-dir "$state" --network "${column#*-}" \
    >"$work/$column.text" || true
  awk '$1 ~ /^(closed|open|not_run)$/ { print $2, $1 }' "$work/$column.text" >"$work/$column"
}

for mode in none proxy; do
  doctor "root-$mode" "$work/state" env
  doctor "user-$mode" "$home/probe-state" "$here/../fixtures/as_ordinary_user.sh" "$home"
done
"$build/podman_probe" "$build/flow-runner-probe" >"$work/podman.json"
sed -n 's/^{"id":"\([a-z_0-9]*\)","outcome":"\([a-z_]*\)".*/\1 \2/p' "$work/podman.json" >"$work/podman"

ours=(root-none root-proxy user-none user-proxy)
for column in "${ours[@]}" podman; do
  if [[ $(wc -l <"$work/$column") != $(wc -l <"$work/podman") || ! -s $work/$column ]]; then
    cat "$work/$column.text" >&2 || true
    echo "table.sh: $column has not as many probes as podman" >&2
    exit 1
  fi
done

echo "| way out | root and rootless, \`none\` and \`proxy\` | \`podman run\` |"
echo '|---|---|---|'
while read -r id _; do
  tries=$(sed -n "s/^ *[a-z_]* *$id  *\(.*\)/\1/p" "$work/root-none.text")
  verdicts=$(for column in "${ours[@]}"; do sed -n "s/^$id //p" "$work/$column"; done | sort -u)
  echo "| \`$id\`: ${tries%%: *} | ${verdicts//$'\n'/, } | $(sed -n "s/^$id //p" "$work/podman") |"
done <"$work/root-none"
