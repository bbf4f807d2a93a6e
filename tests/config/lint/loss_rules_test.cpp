#include <doctest/doctest.h>

#include "tests/config/lint/lint_fixture.hpp"

using namespace flow_runner::lint;

TEST_CASE("lint: an option that git does not have is an error, and the known mistakes are mended") {
  check_rows("unknown-option",
             {
                 {"git checkout --branch work", {"1:14 error"}, "git checkout -b work"},
                 {"true\n  git -C x checkout --branch a b",
                  {"2:21 error"},
                  "true\n  git -C x checkout -b a b"},
                 {"git switch --branch work", {"1:12 error"}, "git switch --create work"},
                 {"git commit --mesage x", {"1:12 error"}},
                 {"if ! git push --sett-upstream; then true; fi", {"1:15 error"}},
                 {"claude --prompt \"do it\"", {"1:8 error"}, "claude --print \"do it\""},
                 {"git checkout -b work"},
                 {"git checkout --track --no-guess x"},
                 {"git commit --mess x --no-verify --allow-empty"},
                 {"git push --force-with-lease=a:b origin HEAD"},
                 {"git checkout -- --branch"},
                 {"echo git checkout --branch"},
                 {"echo 'a; git checkout --branch x'"},
                 {"# git checkout --branch x\ntrue"},
                 {"cat <<'X'\ngit checkout --branch x\nX"},
                 {"git commit --message \"--branch\""},
                 {"git clone --branch main https://host.example/x"},
                 {"git checkout $OPTIONS"},
             },
             {"OPTIONS"});
}

TEST_CASE("lint: an operator that `[` does not have is an error") {
  check_rows("test-operator",
             {
                 {"[ --not --zero \"$A\" ]", {"1:3 error"}, "[ -n \"$A\" ]"},
                 {"test --zero \"$A\"", {"1:6 error"}, "test -z \"$A\""},
                 {"if true || [ --not --file x ]; then true; fi",
                  {"1:14 error"},
                  "if true || [ ! -f x ]; then true; fi"},
                 {"[ --not \"$A\" ]", {"1:3 error"}},
                 {"[ -empty \"$A\" ]", {"1:3 error"}},
                 {"[ \"$A\" -equals 1 ]", {"1:8 error"}},
                 {"[ -n \"$A\" -a --zero \"$A\" ]", {"1:14 error"}, "[ -n \"$A\" -a -z \"$A\" ]"},
                 {"[ -n \"$(git ls-files --others)\" ]"},
                 {"[ \"$A\" = --zero ]"},
                 {"[ --zero = \"$A\" ]"},
                 {"[ \"--zero\" ]"},
                 {"[ ! -e x ] && [ x -nt y ] && test 1 -le 2"},
                 {"[[ -z $A && $A == -* ]]"},
                 {"[[ $A =~ ^--not$ ]]"},
                 {"echo [ --zero x ]"},
                 {"# [ --zero x ]\ntrue"},
                 {"[ $A --zero ]"},
                 {"[ -n ]"},
             },
             {"A"});
}

TEST_CASE("lint: a push to one fixed project is an error, and mended") {
  check_rows("fixed-push-url",
             {
                 {"git push https://$GITLAB_HOST/group/project.git HEAD",
                  {"1:31 error"},
                  "git push https://$GITLAB_HOST/$CI_PROJECT_PATH.git HEAD"},
                 // Somebody's wish, perhaps: told, and left alone.
                 {"git push https://gitlab.example/group/mirror.git HEAD:main", {"1:33 error"}},
                 {"git remote set-url origin \"https://gitlab.example/a/b/c\"",
                  {"1:51 error"},
                  "git remote set-url origin \"https://gitlab.example/$CI_PROJECT_PATH\""},
                 {"git push 'https://gitlab.example/a/b' HEAD", {"1:34 error"}},
                 {"git push https://mirror.example/a/b HEAD", {"1:33 warning"}},
                 {"git push https://$GITLAB_HOST/$CI_PROJECT_PATH.git HEAD"},
                 {"git push https://$GITLAB_HOST/group/$NAME.git HEAD"},
                 {"git push origin HEAD"},
                 {"git remote add upstream https://gitlab.example/a/b"},
                 {"git clone https://gitlab.example/a/b"},
                 {"echo git push https://gitlab.example/a/b"},
             },
             {"GITLAB_HOST", "NAME"});
}

TEST_CASE("lint: a hand-written detect-and-push ending is an error, and removed") {
  const std::string flow = R"yaml(image: node:22-slim  # the image
commands:
  - claude --print "do it"

  # what the agent did
  - git checkout -b $CI_WORKLOAD_REF
  - echo "Looking for changes"   # says so
  - |
    if [ -n "$(git status --porcelain)" ]; then
      git add --all
      git commit -m work
      git push origin HEAD
    fi
# the names
variables: [ANTHROPIC_API_KEY]
)yaml";
  CHECK(places("push-tail", flow) == std::vector<std::string>{"6:12 error"});
  CHECK(fix_flow(flow).bytes == R"yaml(image: node:22-slim  # the image
commands:
  - claude --print "do it"

  # what the agent did
# the names
variables: [ANTHROPIC_API_KEY]
)yaml");
}

TEST_CASE("lint: a push ending with something else in it is left to its owner") {
  check_rows(
      "push-tail",
      {
          {"claude -p x\nif ! git diff --quiet; then git add .; git commit -m x; git push; fi",
           {"2:6 error"}},
          {"git diff --quiet || { git commit -am x; git push; }\nglab mr create", {"1:1 error"}},
          {"git add -A; git commit -m x; git push origin HEAD", {"1:30 warning"}},
          {"git push origin HEAD"},
          {"git diff --quiet || git commit -am x"},
          {"echo 'git status --porcelain; git commit; git push'"},
      });
}

TEST_CASE("lint: the ending of a flow that has nothing but the ending is kept") {
  const std::string flow =
      "image: a:1\ncommands:\n  - git diff --quiet || git commit -am x\n  - git push origin HEAD\n";
  CHECK(fix_flow(flow).bytes == flow);
}

TEST_CASE("lint: what an ending misses is named") {
  const auto message = [](const std::string& script) {
    for (const Finding& finding : lint_flow(flow_of(script)))
      if (finding.rule == "push-tail") return finding.message;
    return std::string();
  };
  CHECK(message("git diff --quiet || { git commit -am x; git push; }").find("new files") !=
        std::string::npos);
  CHECK(message("git status --porcelain && git commit -am x && git push").find("new files") ==
        std::string::npos);
  CHECK(message("git status --porcelain && git commit -am x && git push").find("agent made") !=
        std::string::npos);
}

TEST_CASE("lint: CI_WORKLOAD_REF taken for a branch is a warning") {
  check_rows("workload-ref", {
                                 {"git checkout -b $CI_WORKLOAD_REF", {"1:17 warning"}},
                                 {"git push origin \"${CI_WORKLOAD_REF}\"", {"1:17 warning"}},
                                 {"git push origin HEAD:$CI_WORKLOAD_REF"},
                                 {"echo $CI_WORKLOAD_REF"},
                             });
}

TEST_CASE("lint: an ending that does more than to publish everything is told, and left alone") {
  for (const char* step :
       {"grep -q PASSED test.log", "test -s report.md", "git checkout -- .env", "git add docs/",
        "exit 1", "git commit -m docs docs/", "git push origin HEAD:gh-pages"}) {
    CAPTURE(step);
    const std::string flow = "image: node:22\ncommands:\n  - claude --print hi\n  - " +
                             std::string(step) +
                             "\n  - git diff --quiet || git commit -m work\n"
                             "  - git push origin HEAD\nvariables: []\n";
    const auto findings = lint_flow(flow);
    CHECK(std::any_of(findings.begin(), findings.end(), [](const Finding& finding) {
      return finding.rule == "push-tail" && !finding.fixable;
    }));
    CHECK(fix_flow(flow).bytes == flow);
  }
}

TEST_CASE("lint: a value written without quotes is an error, and quoted") {
  check_rows("unquoted-write",
             {
                 {"echo $MCP > f.json", {"1:6 error"}, "printf '%s\\n' \"$MCP\" > f.json"},
                 {"cd x && echo ${MCP} >> \"$HOME/f\"",
                  {"1:14 error"},
                  "cd x && printf '%s\\n' \"${MCP}\" >> \"$HOME/f\""},
                 {"echo key=$MCP other > f", {"1:10 error"}, "echo \"key=$MCP\" other > f"},
                 {"n=3; echo $n > f", {"1:11 warning"}},
                 {"ls | xargs echo $MCP > f", {"1:17 error"}},
                 {"echo a\"b\"$MCP > f", {"1:10 error"}},
                 {"x=$(echo $MCP > f)", {"1:10 error"}},
                 {"echo \"$MCP\" > f"},
                 {"echo $MCP"},
                 {"echo $MCP >&2"},
                 {"echo $MCP > /dev/null"},
                 {"echo $MCP 2> f"},
                 {"echo '$MCP' > f"},
                 {"echo $MCP | tee f"},
                 {"# echo $MCP > f\ntrue"},
             },
             {"MCP"});
}

TEST_CASE("lint: a variable that is often a file, written as content, is a warning") {
  check_rows("file-variable",
             {
                 {"printf '%s' \"$GOOGLE_CREDENTIALS\" > f", {"1:14 warning"}},
                 {"echo \"${KUBECONFIG}\" > f", {"1:7 warning"}},
                 {"cp \"$GOOGLE_CREDENTIALS\" f"},
                 {"printf '%s' \"$NAME\" > f"},
                 {"echo \"see $KUBECONFIG\" > f"},
             },
             {"GOOGLE_CREDENTIALS", "KUBECONFIG", "NAME"});
}

TEST_CASE("lint: what the shell would run within a prompt is an error, and escaped") {
  check_rows("prompt-substitution",
             {
                 {"claude -p \"run `glab mr create` when you are done\"",
                  {"1:16 error"},
                  "claude -p \"run \\`glab mr create\\` when you are done\""},
                 {"gemini --prompt \"do not use $() or it fails here\"",
                  {"1:29 error"},
                  "gemini --prompt \"do not use \\$() or it fails here\""},
                 {"claude -p \"run `glab x`\nthen `git push` and be done\"",
                  {"1:16 error", "2:6 error"},
                  "claude -p \"run \\`glab x\\`\nthen \\`git push\\` and be done\""},
                 {"claude -p \"you use $(rm -rf x) with care now\"", {"1:20 warning"}},
                 {"claude -p \"the notes `cat notes` are here now\"", {"1:22 warning"}},
                 {"claude -p <<X\nyou may run `glab x` as often\nX",
                  {"2:13 error"},
                  "claude -p <<X\nyou may run \\`glab x\\` as often\nX"},
                 {"PROMPT=\"you may run `glab x` as often\"",
                  {"1:21 error"},
                  "PROMPT=\"you may run \\`glab x\\` as often\""},
                 {"claude -p \"the task: $(cat task.md) is all you do\""},
                 {"claude -p \"$(cat task.md)\""},
                 {"claude -p 'run `glab mr create` when you are done'"},
                 {"claude -p \"run \\`glab mr create\\` when you are done\""},
                 {"claude -p <<'X'\nyou may run `glab x` as often\nX"},
                 {"echo \"it is `date` and all is well\""},
                 {"# claude -p \"run `glab mr create` when you are done\"\ntrue"},
             });
}
