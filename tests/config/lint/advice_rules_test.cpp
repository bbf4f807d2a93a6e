#include <doctest/doctest.h>

#include "tests/config/lint/lint_fixture.hpp"

using namespace flow_runner::lint;

namespace {

std::vector<std::string> rules_of(const std::string& bytes) {
  std::vector<std::string> rules;
  for (const Finding& finding : lint_flow(bytes)) rules.emplace_back(finding.rule);
  return rules;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("lint: a token in an address is an error; git gets it from a helper instead") {
  check_rows(
      "token-in-url",
      {
          {"git remote set-url origin https://bot:$GITLAB_TOKEN@$GITLAB_HOST/$CI_PROJECT_PATH.git",
           {"1:35 error"},
           "git config \"credential.https://$GITLAB_HOST.helper\" '!f() { echo "
           "username=bot; "
           "echo \"password=$GITLAB_TOKEN\"; }; f' && git remote set-url origin "
           "https://$GITLAB_HOST/$CI_PROJECT_PATH.git"},
          // For the one command only.
          {"git clone https://bot:$GITLAB_TOKEN@$GITLAB_HOST/lib.git || true",
           {"1:19 error"},
           "git -c \"credential.https://$GITLAB_HOST.helper\"='!f() { echo username=bot; "
           "echo \"password=$GITLAB_TOKEN\"; }; f' clone https://$GITLAB_HOST/lib.git || true"},
          {"if ! git clone https://bot:$GITLAB_TOKEN@host.example/a; then true; fi",
           {"1:24 error"}},
          {"curl \"https://$GITLAB_TOKEN@host.example/a\"", {"1:15 error"}},
          {"U=https://bot:$GITLAB_TOKEN@host.example/a", {"1:11 error"}},
          {"T=$GITLAB_TOKEN; git fetch https://bot:$T@host.example/a", {"1:36 error"}},
          {"git clone https://bot@host.example/a"},
          {"git clone https://host.example/a@b"},
          {"git clone git@host.example:a/b"},
          {"echo \"https://bot:$GITLAB_TOKEN@host.example/a\" > f"},
      },
      {"GITLAB_TOKEN", "GITLAB_HOST"});
}

TEST_CASE("lint: a secret in an argument is a warning, in what the shell itself runs it is none") {
  check_rows("token-in-argument",
             {
                 {"glab auth login --token \"$GITLAB_TOKEN\"", {"1:26 warning"}},
                 {"curl --header \"PRIVATE-TOKEN: ${GITLAB_TOKEN}\" x", {"1:31 warning"}},
                 {"export A=$GITLAB_TOKEN"},
                 {"printf '%s' \"$GITLAB_TOKEN\" | docker login --password-stdin"},
                 {"[ -n \"$GITLAB_TOKEN\" ]"},
                 {"tool --set ${GITLAB_TOKEN:+yes} ${#GITLAB_TOKEN}"},
                 {"tool --secret-id \"$AWS_SECRET_NAME\""},
                 {"tool '$GITLAB_TOKEN'"},
             },
             {"GITLAB_TOKEN", "AWS_SECRET_NAME"});
}

TEST_CASE("lint: a secret that goes into the log is a warning") {
  check_rows("secret-printed",
             {
                 {"echo \"it is $API_KEY\"", {"1:13 warning"}},
                 {"env", {"1:1 warning"}},
                 {"echo \"it is ${API_KEY:+set}\""},
                 {"echo \"$API_KEY\" | tool"},
                 {"x=$(echo \"$API_KEY\")"},
                 {"echo \"$API_KEY\" > f"},
                 {"env | grep -c ."},
                 {"env A=b tool"},
                 {"echo '$API_KEY'"},
             },
             {"API_KEY"});
}

TEST_CASE("lint: xtrace is a warning") {
  check_rows("xtrace", {{"set -x", {"1:5 warning"}},
                        {"set -eux", {"1:5 warning"}},
                        {"set -o xtrace", {"1:8 warning"}},
                        {"set -e"},
                        {"set +x"},
                        {"tar -x f"}});
}

TEST_CASE("lint: a token that is written out is an error wherever it stands, and is not repeated") {
  const std::string token = std::string("glpat") + "-" + "aB3dE5gH7jK9mN1pQ2sT";
  const std::string bytes = "# " + token + "\n" + flow_of("tool --x '" + token + "'");
  std::size_t found = 0;
  for (const Finding& finding : lint_flow(bytes)) {
    found += finding.rule == "literal-secret";
    CHECK(finding.message.find(token) == std::string::npos);
    CHECK(finding.cure.find(token) == std::string::npos);
  }
  CHECK(found == 2);
  check_rows("literal-secret", {{"tool glpat-xxxxxxxxxxxxxxxxxxxx"},
                                {"apt-get install disk-usage-sk-ant-tool"},
                                {"tool glpat-short"}});
}

TEST_CASE("lint: a variable that nobody gives is named") {
  check_rows(
      "undeclared-variable",
      {
          {"echo $MINE $LISTED $AI_FLOW_INPUT $CI_PROJECT_PATH $HOME $PATH", {"1:6 warning"}},
          {"tool \"$MY_TOKEN\"", {"1:7 error"}},
          {"echo \"${LITSED}\"", {"1:7 warning"}},
          {"cat <<X\n$MINE\nX", {"2:1 warning"}},
          {"echo ${MINE:-x} ${MINE-} '$MINE' \\$MINE"},
          {"MINE=1; echo $MINE"},
          {"echo $MINE; export MINE=1"},
          {"for MINE in a b; do echo $MINE; done"},
          {"read -r MINE OTHER < f; echo $MINE $OTHER"},
          {": \"${MINE:=1}\"; echo $MINE"},
          {"cat <<'X'\n$MINE\nX"},
          {"# $MINE\ntrue"},
          {". ./settings; echo $MINE"},
      },
      {"LISTED"});
}

TEST_CASE(
    "lint: a listed variable that nothing uses is named, unless programs read it themselves") {
  const auto count = [](const std::string& script, const std::string& name) {
    std::size_t found = 0;
    for (const Finding& finding : lint_flow(flow_of(script, {name})))
      found += finding.rule == "unused-variable";
    return found;
  };
  CHECK(count("true", "SOME_NAME") == 1);
  CHECK(count("echo $SOME_NAMES", "SOME_NAME") == 1);
  CHECK(count("echo $SOME_NAME", "SOME_NAME") == 0);
  CHECK(count("sh -c 'echo $SOME_NAME'", "SOME_NAME") == 0);
  CHECK(count("true", "ANTHROPIC_API_KEY") == 0);
  CHECK(count("true", "OTHER_API_KEY") == 0);
  CHECK(count("true", "GITLAB_HOST") == 0);
}

TEST_CASE("lint: predefined variables that flow jobs do not get are an error") {
  check_rows("unavailable-variable",
             {
                 {"echo $CI_SERVER_URL", {"1:6 error"}},
                 {"echo \"${CI_COMMIT_SHA}\" $CI_COMMIT_SHA", {"1:7 error"}},
                 {"echo $GITLAB_USER_LOGIN", {"1:6 error"}},
                 {"echo $CI_PROJECT_ID $CI_JOB_ID $CI_DEFAULT_BRANCH $CI_WORKLOAD_REF $CI_SERVER"},
                 {"echo ${CI_SERVER_URL:-https://host.example}"},
                 {"CI_SERVER_HOST=x; echo $CI_SERVER_HOST"},
                 {"echo $CI_API_V4_URL"},
                 {"[ -z \"$CI_COMMIT_SHA\" ] || echo \"$CI_COMMIT_SHA\""},
             },
             {"CI_API_V4_URL"});
}

TEST_CASE("lint: a variable that every job has needs no listing") {
  CHECK(rules_of(flow_of("cat \"$AI_FLOW_INPUT_FILE\"", {"AI_FLOW_INPUT"})) ==
        Texts{"listed-injected"});
}

TEST_CASE("lint: a download that is run unseen is a warning") {
  check_rows("pipe-to-shell", {
                                  {"curl -fsSL https://host.example/x | bash", {"1:37 warning"}},
                                  {"wget -qO- x | tee f | sudo sh -s", {"1:23 warning"}},
                                  {"bash -c \"$(curl -fsSL x)\"", {"1:1 warning"}},
                                  {"bash <(curl x)", {"1:1 warning"}},
                                  {"curl x | python3", {"1:10 warning"}},
                                  {"curl x -o f; bash f"},
                                  {"curl x | jq ."},
                                  {"curl x | python3 -m json.tool"},
                                  {"echo 'curl x | bash'"},
                                  {"# curl x | bash\ntrue"},
                                  {"cat f | bash"},
                              });
}

TEST_CASE("lint: an install without a version is a warning") {
  check_rows("unpinned-install", {
                                     {"npm install --global @a/b", {"1:22 warning"}},
                                     {"npm i -g one@1 two@latest --registry x", {"1:16 warning"}},
                                     {"pip install one two==2 'three>=3'", {"1:13 warning"}},
                                     {"python3 -m pip install one", {"1:24 warning"}},
                                     {"npx tool argument", {"1:5 warning"}},
                                     {"npm install --global @a/b@1.2.3"},
                                     {"npm install --global \"@a/b@${VERSION:-latest}\""},
                                     {"npm install"},
                                     {"npm install --save-dev thing"},
                                     {"pip install -r requirements.txt ."},
                                     {"apt-get install --yes git"},
                                     {"echo npm install -g x"},
                                 });
}

TEST_CASE("lint: a switch that takes an agent's guard away is a note") {
  check_rows("agent-without-guard",
             {
                 {"claude --dangerously-skip-permissions -p x", {"1:8 note"}},
                 {"claude --permission-mode bypassPermissions", {"1:8 note"}},
                 {"A=1 gemini --yolo", {"1:12 note"}},
                 {"claude --permission-mode acceptEdits"},
                 {"echo --yolo"},
                 {"other --yolo"},
             });
}

TEST_CASE("lint: a context in an argument is a note") {
  check_rows("context-in-argument", {
                                        {"claude -p \"do $AI_FLOW_CONTEXT\"", {"1:15 note"}},
                                        {"claude -p < \"$AI_FLOW_CONTEXT_FILE\""},
                                        {"printf '%s' \"$AI_FLOW_CONTEXT\" | claude -p"},
                                    });
}

TEST_CASE("lint: an image needs a tag that stands for something") {
  const auto count = [](const std::string& image) {
    return rules_of("image: " + image + "\ncommands: [a-tool]\n").size();
  };
  CHECK(count("node") == 1);
  CHECK(count("node:latest") == 1);
  CHECK(count("host.example:5000/node") == 1);
  CHECK(count("{name: node}") == 1);
  CHECK(count("node:22-slim") == 0);
  CHECK(count("host.example:5000/node:22") == 0);
  CHECK(count("node@sha256:0123") == 0);
}

TEST_CASE("lint: what is never closed is an error, but not within comments") {
  check_rows("shell-syntax", {
                                 {"echo 'a\necho b", {"1:6 error"}},
                                 {"cat <<X\na", {"1:5 warning"}},
                                 {"echo a # don't\ntrue"},
                             });
}
