#!/bin/bash
# demo.sh BUILD-FOLDER: one whole job on this machine, with a scripted agent instead of a model. An image
# is made from Debian packages, a repository and its origin in a temporary folder; no server, no
# registry. Everything but the cached image is gone afterwards.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
flow_runner=$(cd "$1" && pwd)/flow-runner
# Whoever runs the demo has settings of their own: signing, hooks, templates, another default branch.
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null
export GIT_AUTHOR_NAME='A Developer' GIT_AUTHOR_EMAIL=developer@example.com
export GIT_COMMITTER_NAME=$GIT_AUTHOR_NAME GIT_COMMITTER_EMAIL=$GIT_AUTHOR_EMAIL

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || {
    echo "demo: flow-runner needs root for its containers, and there is no sudo" >&2
    exit 1
  }
  as_root=(sudo)
fi

# show COMMAND…: prints it as a person would type it, then runs it.
show() {
  local word line=
  for word in "$@"; do
    if [[ $word == "$flow_runner" ]]; then word=flow-runner; fi
    if [[ $word == *' '* ]]; then word="'$word'"; fi
    line+=" $word"
  done
  printf '\n$%s\n' "$line" >&2
  "$@"
}

folder=$(mktemp -d "${TMPDIR:-/tmp}/flow-runner-demo-XXXXXX")
trap '"${as_root[@]}" rm -rf "$folder"' EXIT
state=$folder/state
project=$folder/project

echo "==> making the image (Debian with git; about 20 s the first time)" >&2
"$root/tests/fixtures/make_image.sh" debian-git "$folder/image.tar"

echo "==> making a project and its origin" >&2
mkdir -p "$project/src" "$project/.gitlab/duo/flows"
echo 'Hello, world' >"$project/src/greeting.txt"
cat >"$project/.gitlab/duo/flows/demo.yaml" <<'FLOW'
image: localhost/debian-git
commands:
  - echo "The task - $AI_FLOW_INPUT"
  # What an agent commits itself is published as it is.
  - git config user.name "Scripted Agent"
  - git config user.email agent@example.com
  - printf '#!/bin/sh\ncat "$(dirname "$0")/greeting.txt"\n' > src/greet.sh
  - chmod +x src/greet.sh
  - git add src/greet.sh
  - git commit --quiet --message "Add a program that greets"
  # What it only leaves in the work tree becomes one more commit.
  - sed -i 's/Hello/Good morning/' src/greeting.txt
  - echo 'Run src/greet.sh.' > USAGE.md
FLOW
git init --quiet --initial-branch=main --template= "$project"
git -C "$project" add --all
git -C "$project" commit --quiet --message 'A project with a flow'
git clone --quiet --bare --template= "$project" "$folder/origin.git"
git -C "$project" remote add origin "$folder/origin.git"
# Root runs the job in a repository that may belong to somebody else.
if ((EUID != 0)); then sudo chown -R root:root "$folder"; fi

show "${as_root[@]}" "$flow_runner" image load --state-dir "$state" "$folder/image.tar"
cd "$project"
show cat .gitlab/duo/flows/demo.yaml
show "${as_root[@]}" "$flow_runner" exec --push --state-dir "$state" \
  --workload-ref workloads/demo --input 'Greet more politely, by a program' \
  .gitlab/duo/flows/demo.yaml
show "${as_root[@]}" git -C "$folder/origin.git" log --stat --reverse main..workloads/demo

# The demo is a test as well: it fails when the work did not arrive.
pushed() { "${as_root[@]}" git -C "$folder/origin.git" show "workloads/demo:$1"; }
[[ $(pushed src/greeting.txt) == 'Good morning, world' ]]
[[ $(pushed USAGE.md) == 'Run src/greet.sh.' ]]
[[ $("${as_root[@]}" git -C "$folder/origin.git" ls-tree workloads/demo src/greet.sh) == 100755* ]]
[[ $("${as_root[@]}" git -C "$folder/origin.git" rev-list --count main..workloads/demo) == 2 ]]
echo >&2
echo "==> the demo worked: the agent's commit and one with the rest are on workloads/demo" >&2
