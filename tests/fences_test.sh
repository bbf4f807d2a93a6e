#!/bin/bash
# fences_test.sh [--self-test] ROOT: checks which folder includes which, which file includes which
# library, file lengths, and words that do not belong in a source. Prints each breach as file:line.
set -euo pipefail
# forbid counts at the end of a pipeline: it must run in this shell.
shopt -s lastpipe
export LC_ALL=C

breaches=0
breach() {
  printf '%s\n' "$1" >&2
  ((breaches += 1))
}

# Greps for PATTERN in the files on stdin and reports each hit as a breach with MESSAGE.
forbid() {
  local pattern=$1 message=$2 hit
  while IFS= read -r hit; do breach "$hit  <- $message"; done < <(xargs -r grep -HnE "$pattern" || true)
}

sources() { find "$@" -type f \( -name '*.hpp' -o -name '*.cpp' \) 2>/dev/null | sort; }
except() { grep -vE "$1" || true; }

check_folders() {
  sources config | forbid '^#include "(sandbox|executor|daemon|tests)/' 'config includes nothing of ours but config'
  sources sandbox | forbid '^#include "(executor|daemon|tests)/' 'sandbox may include config only'
  sources executor | forbid '^#include "(daemon|tests)/' 'executor may include config and sandbox only'
  sources daemon | forbid '^#include "tests/' 'the product never includes tests'
  sources config sandbox executor daemon tests |
    forbid '^#include "(\.\.?/|[^/"]*")' 'include from the root: "folder/file.hpp"'
}

check_libraries() {
  sources config sandbox executor daemon tests | except '^config/(.*_file|yaml_.*)\.cpp$' |
    forbid '^#include [<"]yaml-cpp/' 'yaml-cpp belongs in config/*_file.cpp and config/yaml_*.cpp'
  sources config sandbox executor daemon tests | except '^(tests/)?executor/git_[^/]*$' |
    forbid '^#include [<"]git2' 'libgit2 belongs in executor/git_*'
  sources config sandbox executor daemon tests | except '^(daemon/cli|tests/daemon)/' |
    forbid '^#include [<"]CLI/' 'CLI11 belongs in daemon/cli'
  sources config sandbox executor daemon tests | except '^(executor|daemon)/.*\.cpp$' |
    forbid '^#include [<"]spdlog/' 'spdlog belongs in .cpp files of executor and daemon'
  sources config sandbox executor daemon tests | except '\.cpp$' |
    forbid '^#include [<"]boost/beast' 'Beast belongs in .cpp files'
  local beast
  beast=$(sources config sandbox executor daemon tests | xargs -r grep -lE '^#include [<"]boost/beast' || true)
  if (($(grep -c . <<<"$beast") > 3)); then
    breach "Beast takes 13 s a file and is in more than three:"$'\n'"$beast"
  fi
  sources config sandbox executor daemon | except '^(executor/git_command|sandbox/host_check)\.cpp$' |  # the latter looks where it is
   
    forbid '[{(,] *"(/usr/bin/)?git"( *[,}]|$)' 'the git program is started in executor/git_command.cpp only'
}

check_style() {
  # The words are split so that this file does not hold them.
  { sources config sandbox executor daemon tests
    find dev .ci CMakeLists.txt systemd -type f 2>/dev/null || true
    find config sandbox executor daemon tests -type f \( -name CMakeLists.txt -o -name '*.sh' \) 2>/dev/null || true
  } | forbid "\\b(TO""DO|FIX""ME)\\b" 'finish it or write it into an issue'
  local file lines
  while IFS= read -r file; do
    lines=$(wc -l <"$file")
    if ((lines > 600)); then breach "$file: $lines lines, 600 is the limit: split it"; fi
  done < <(sources config sandbox executor daemon tests; find dev tests -type f \( -name '*.sh' -o -name dev \) 2>/dev/null || true)
  while IFS= read -r file; do
    if ! grep -q '^#pragma once$' "$file"; then breach "$file: no #pragma once"; fi
    if ! head -n 1 "$file" | grep -q '^// '; then
      breach "$file:1: the first line of a header says in one sentence what it is"
    fi
  done < <(sources config sandbox executor daemon tests | grep '\.hpp$' || true)
}

check() {
  cd "$1"
  check_folders
  check_libraries
  check_style
  if ((breaches)); then
    echo "$breaches breaches" >&2
    return 1
  fi
}

# Breaks every fence once in a folder of its own, and wants each breach named.
self_test() {
  local work output lost=0
  work=$(mktemp -d)
  # shellcheck disable=SC2064 # the folder of now
  trap "rm -rf '$work'" EXIT
  mkdir -p "$work"/{config,sandbox,executor,daemon/cli,tests}
  cd "$work"
  local header=$'// A header.\n#pragma once\n'
  if ! (check "$work") 2>/dev/null; then
    echo "an empty tree must pass" >&2
    return 1
  fi
  echo '#include "executor/a.hpp"' >config/up.cpp
  echo '#include "daemon/a.hpp"' >executor/up.cpp
  echo '#include "near.hpp"' >sandbox/near.cpp
  echo '#include <yaml-cpp/yaml.h>' >daemon/yaml.cpp
  echo '#include <git2.h>' >executor/mirror.cpp
  echo '#include <CLI/CLI.hpp>' >daemon/options.cpp
  printf '%s#include <spdlog/spdlog.h>\n' "$header" >executor/log.hpp
  for name in a b c d; do echo '#include <boost/beast/http.hpp>' >"daemon/beast_$name.cpp"; done
  echo 'run({"git", "push"});' >daemon/push.cpp
  echo "// TO""DO later" >sandbox/later.cpp
  printf '// line%.0s\n' {1..601} >sandbox/long.cpp
  echo '#pragma once' >sandbox/silent.hpp
  echo '// A header.' >sandbox/twice.hpp
  echo '#include <git2.h>' >executor/git_fine.cpp
  echo '#include <yaml-cpp/yaml.h>' >config/flow_file.cpp
  output=$( (check "$work") 2>&1 || true)
  local wanted
  for wanted in config/up.cpp:1 executor/up.cpp:1 sandbox/near.cpp:1 daemon/yaml.cpp:1 \
    executor/mirror.cpp:1 daemon/options.cpp:1 executor/log.hpp:3 'more than three' \
    daemon/push.cpp:1 sandbox/later.cpp:1 'sandbox/long.cpp: 601' sandbox/silent.hpp:1 \
    'sandbox/twice.hpp: no' '13 breaches'; do
    if [[ $output != *"$wanted"* ]]; then
      echo "not found: $wanted" >&2
      lost=1
    fi
  done
  if [[ $output == *git_fine* || $output == *flow_file* ]]; then lost=1; fi
  if ((lost)); then printf '%s\n' "$output" >&2; fi
  return "$lost"
}

if [[ ${1:-} == --self-test ]]; then self_test; else check "${1:?usage: fences_test.sh [--self-test] ROOT}"; fi
