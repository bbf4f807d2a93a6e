// Our own flow files, with the real agents: from the package registry into the container, against a
// stand-in for the model, to the branch that was pushed. Amazon Q is no package of a registry:
// there a stand-in takes the program's place.
//
// FLOW_RUNNER_OFFLINE in the environment: without a registry the tests are skipped instead of
// failed.
#include <algorithm>
#include <doctest/doctest.h>
#include <filesystem>
#include <string>
#include <unistd.h>

#include "tests/e2e/exec_fixture.hpp"
#include "tests/e2e/host_npm.hpp"
#include "tests/e2e/secret_watch.hpp"
#include "tests/fixtures/git_server.hpp"
#include "tests/fixtures/program.hpp"
#include "tests/fixtures/provider.hpp"
#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
using e2e::ExecFixture;
using e2e::ExecRun;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr const char* project = "group/project";
constexpr const char* content = "Hello from the agent,\nit's \"here\"\n";
// A commit of the agent's own, and a file that it leaves uncommitted.
constexpr const char* command =
    "git add greeting.txt && git commit --quiet --message 'Add a greeting' && "
    "echo later > notes.txt";

/// What a person might write, and a shell or an agent's own prompt syntax might mistake.
constexpr const char* task =
    "-rf --help: begins like an option\n"
    "It's \"quoted\", `id`, $(id > /tmp/ran), $HOME, ${PATH}, \\n \\\\ back\\slash, 100% %s\n"
    "@README.md @missing.txt @/etc/hostname @duo-agent user@example.com \\@word\n"
    "\ta tab, trailing spaces   \n"
    "!ls ~ * ? [a-z] {a,b} {{args}} @{README.md} !{id} <tag> & | ; #\n"
    "EOF\n/help\n/flow-task\n\n"
    "\xc3\xa4\xc3\xb6 \xe2\x82\xac \xf0\x9f\x98\x80 end";

/// Larger than one argument or environment variable may be (128 KiB).
std::string oversized_context() {
  return R"({"title":"It's `big` $HOME @README.md","notes":")" + std::string(150'000, 'n') +
         R"(","last":"the end"})";
}

struct Agent {
  const char* flow;
  const char* program;  ///< as a command line's first word ends
  const char* user_agent;
  const char* key_variable;
  const char* key;
  const char* url_variable;
  const char* url_path;  ///< behind the provider's address
  const char* author;
  std::vector<std::string> variables{};
};

const Agent claude{.flow = "claude",
                   .program = "claude",
                   .user_agent = "claude-cli/",
                   .key_variable = "ANTHROPIC_API_KEY",
                   .key = "sk-ant-api03-0fA4kE9kEy7fOr1tHe2tEsT",
                   .url_variable = "ANTHROPIC_BASE_URL",
                   .url_path = "",
                   .author = "Claude Code"};
// Its newest models use another form of tools than the stand-in.
const Agent codex{.flow = "codex",
                  .program = "codex",
                  .user_agent = "codex_exec/",
                  .key_variable = "OPENAI_API_KEY",
                  .key = "sk-proj-0fA4kE9kEy7fOr1tHe2tEsT",
                  .url_variable = "OPENAI_BASE_URL",
                  .url_path = "/v1",
                  .author = "Codex",
                  .variables = {"CODEX_MODEL=gpt-5.1-codex"}};
const Agent opencode{.flow = "opencode",
                     .program = "opencode",
                     .user_agent = "opencode/",
                     .key_variable = "ANTHROPIC_API_KEY",
                     .key = "sk-ant-api03-1fA4kE9kEy7fOr1tHe2tEsT",
                     .url_variable = "ANTHROPIC_BASE_URL",
                     .url_path = "",
                     .author = "opencode"};
const Agent gemini{.flow = "gemini",
                   .program = "node",
                   .user_agent = "GeminiCLI",
                   .key_variable = "GEMINI_API_KEY",
                   .key = "AIzaSyFaKeKeYfOrThEtEsT0123456789abcdef",
                   .url_variable = "GOOGLE_GEMINI_BASE_URL",
                   .url_path = "",
                   .author = "Gemini CLI"};

/// Without a registry: skips aloud where that is allowed, fails elsewhere.
bool skipped() {
  static const std::string objection = e2e::registry_objection();
  if (objection.empty()) return false;
  REQUIRE_MESSAGE(e2e::allowed_offline(),
                  objection << "; set FLOW_RUNNER_OFFLINE to go without this test");
  MESSAGE("SKIPPED, FLOW_RUNNER_OFFLINE is set: " << objection);
  return true;
}

std::string flow_text(const std::string& name) {
  return fixtures::slurp(fixtures::source_root() / "config/flows" / (name + ".yaml"));
}

/// Options that every agent's run has.
std::vector<std::string> task_options(const fs::path& folder) {
  fixtures::write_file(folder / "task.txt", task);
  fixtures::write_file(folder / "context.json", oversized_context());
  return {"--push",
          "--workload-ref",
          "workloads/test",
          "--image",
          "localhost/debian-node",
          "--input-file",
          folder / "task.txt",
          "--context-file",
          folder / "context.json"};
}

/// Whether a string of the conversation holds the text, byte for byte.
bool conversation_holds(const json& value, const std::string& text) {
  if (value.is_string()) return value.get_ref<const std::string&>().find(text) != std::string::npos;
  return value.is_structured() && std::any_of(value.begin(), value.end(), [&](const json& member) {
           return conversation_holds(member, text);
         });
}

/// The conversations that the agent sent; also checks that each request had the right key.
std::vector<json> conversations(const fixtures::Provider& provider, const Agent& agent) {
  std::vector<json> found;
  std::string version;
  for (const auto& request : provider.requests()) {
    if (request["method"] != "POST") continue;
    CHECK(request["has_key"] == true);
    CHECK_MESSAGE(request["status"] == 200, request["target"]);
    version = request["user_agent"];
    const auto body = json::parse(request["body"].get<std::string>());
    for (const char* member : {"messages", "input", "contents"})
      if (body.contains(member)) found.push_back(body[member]);
  }
  CHECK_MESSAGE(version.find(agent.user_agent) != std::string::npos, version);
  MESSAGE("the agent: " << version);
  return found;
}

/// A commit of the agent's above the base, and one of ours with what it left.
void check_branch(const fixtures::GitRepository& pushed, const std::string& base,
                  const std::string& author) {
  CHECK(pushed.id("workloads/test~2") == base);
  CHECK(pushed.git({"log", "-1", "--format=%an|%s", "workloads/test~1"}) ==
        author + "|Add a greeting");
  CHECK(pushed.show("workloads/test~1", "greeting.txt") + "\n" == content);
  CHECK(pushed.show("workloads/test", "notes.txt") == "later");
  CHECK(pushed.git({"diff", "--name-only", base, "workloads/test"}) == "greeting.txt\nnotes.txt");
}

/// How `exec` is started for the agent.
struct Start {
  std::vector<std::string> arguments, environment;
};

Start start_of(const Agent& agent, const fs::path& folder, const fixtures::GitServer& server,
               const fixtures::Provider& provider) {
  // Two authorities: the git server's, and those behind the registry as this host sees it.
  std::string authorities = fixtures::slurp(server.ca_file());
  if (const auto bundle = e2e::trusted_bundle(); !bundle.empty())
    authorities += fixtures::slurp(bundle);
  fixtures::write_file(folder / "ca.pem", authorities);

  Start start{.arguments = task_options(folder),
              .environment = {"GITLAB_TOKEN=" + server.push_token(),
                              std::string(agent.key_variable) + "=" + agent.key}};
  const auto add = [&](const char* option, std::string value) {
    start.arguments.emplace_back(option);
    start.arguments.push_back(std::move(value));
  };
  add("--repo", server.url(project));
  add("--network-allow", "registries");
  add("--network-allow", provider.url().substr(std::string("http://").size()));
  add("--ca-file", folder / "ca.pem");
  add("--secret", "GITLAB_TOKEN");
  add("--secret", agent.key_variable);
  add("--var", agent.url_variable + ("=" + provider.url()) + agent.url_path);
  for (const auto& variable : agent.variables) add("--var", variable);
  if (const auto address = e2e::npm_registry(); !address.empty()) {
    add("--var", "NPM_CONFIG_REGISTRY=" + address);
    start.environment.push_back("NPM_CONFIG_REGISTRY=" + address);
  }
  return start;
}

void run_agent(const Agent& agent) {
  if (skipped()) return;
  e2e::shared_state({"debian-node"});
  ExecFixture test;
  fixtures::write_file(
      test.flow_file(),
      flow_text(agent.flow) + "  - git ls-remote https://denied.example.com/x.git || true\n");
  auto server = fixtures::GitServer::start(test.folder() / "server");
  REQUIRE_MESSAGE(server.has_value(), (server ? "" : server.error().message));
  REQUIRE(server->create_repository(project, test.project().path()).has_value());
  const auto provider =
      fixtures::Provider::start({.file = fs::path("/builds") / project / "greeting.txt",
                                 .content = content,
                                 .command = command,
                                 .key = agent.key,
                                 .record = test.folder() / "requests"});
  REQUIRE_MESSAGE(provider.has_value(), (provider ? "" : provider.error().message));

  const auto start = start_of(agent, test.folder(), *server, *provider);
  e2e::SecretWatch watch({agent.key, server->push_token()});
  const auto ran = test.exec(start.arguments, start.environment);
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  watch.check(ran, agent.program);
  MESSAGE(std::string(agent.flow) << ": " << ran.result["timings"].dump());
  // The agent had what it needs, and what it was not given it did not reach.
  CHECK(ran.result["network"] == "proxy");
  CHECK_MESSAGE(ran.log_has("network: denied CONNECT denied.example.com:443"), ran.log);

  check_branch(fixtures::GitRepository::bare_clone(server->repository_path(project),
                                                   test.folder() / "pushed.git"),
               test.project().id("HEAD"), agent.author);
  const auto sent = conversations(*provider, agent);
  REQUIRE_FALSE(sent.empty());
  // All that it says about the task is in the last one, which has the whole conversation.
  CHECK(conversation_holds(sent.back(), task));
  CHECK(conversation_holds(sent.back(), oversized_context()));
}

// In the place of the real programs: `aws` knows the secret's keys only by its name, and `q` works
// only with these keys, does the agent's work, and keeps what it was told.
constexpr const char* stand_in_aws = R"(#!/bin/sh
test "$*" = "secretsmanager get-secret-value --secret-id team/q --region eu-central-1 --query SecretString --output text" || exit 9
echo '{"AWS_ACCESS_KEY_ID": "AKIAFROMTHESECRET000", "AWS_SECRET_ACCESS_KEY": "a \"quoted\" $key"}'
)";
constexpr const char* stand_in_q = R"(#!/bin/sh
set -e
test "$AMAZON_Q_SIGV4 $AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY" = '1 AKIAFROMTHESECRET000 a "quoted" $key'
printf '%s\n' "$@" > arguments.txt
cp "$HOME/task.md" prompt.txt
printf 'Hello from the agent,\nit'"'"'s "here"\n' > greeting.txt
git add greeting.txt
git commit --quiet --message 'Add a greeting'
echo later > notes.txt
)";

}  // namespace

TEST_CASE("agents: Claude Code gets the whole task by our flow, and its work is pushed") {
  run_agent(claude);
}

TEST_CASE("agents: Codex gets the whole task by our flow, and its work is pushed") {
  run_agent(codex);
}

TEST_CASE("agents: opencode gets the whole task by our flow, and its work is pushed") {
  run_agent(opencode);
}

TEST_CASE("agents: Gemini CLI gets the whole task by our flow, and its work is pushed") {
  run_agent(gemini);
}

TEST_CASE("agents: Amazon Q gets the whole task by our flow, with keys from a secret store") {
  e2e::shared_state({"debian-node"});
  ExecFixture test;
  // Put where the image's own programs are, before the flow's first command.
  const json setup = {"install -m 755 /dev/stdin /usr/local/bin/aws <<'PROGRAM'\n" +
                          std::string(stand_in_aws) + "PROGRAM",
                      "install -m 755 /dev/stdin /usr/local/bin/q <<'PROGRAM'\n" +
                          std::string(stand_in_q) + "PROGRAM"};
  fixtures::write_file(test.flow_file(), flow_text("amazon-q") + "x-flow-runner: " +
                                             json({{"setup", setup}}).dump() + "\n");
  auto arguments = task_options(test.folder());
  arguments.insert(arguments.end(),
                   {"--repo", test.origin().path(), "--secret", "AWS_ACCESS_KEY_ID", "--secret",
                    "AWS_SECRET_ACCESS_KEY", "--var", "AWS_SECRET_NAME=team/q", "--var",
                    "AWS_REGION=eu-central-1"});
  const std::string key = "wJalrXUtnFAKEkEyFoRtHeTeSt0123456789abcd";
  e2e::SecretWatch watch({key});
  const auto ran = test.exec(std::move(arguments), {"AWS_ACCESS_KEY_ID=AKIAFAKEKEYFORTEST00",
                                                    "AWS_SECRET_ACCESS_KEY=" + key});
  REQUIRE_MESSAGE(ran.exit_code == 0, ran.log);
  watch.check(ran, "sh");
  const auto& origin = test.origin();
  CHECK(origin.git({"log", "-1", "--format=%an|%s", "workloads/test~1"}) ==
        "Amazon Q|Add a greeting");
  CHECK(origin.show("workloads/test", "greeting.txt") + "\n" == content);
  const auto told = origin.show("workloads/test", "arguments.txt");
  CHECK(told.starts_with("chat\n--no-interactive\n--trust-all-tools\n"));
  CHECK(told.find("/task.md") != std::string::npos);
  const auto prompt = origin.show("workloads/test", "prompt.txt");
  CHECK(prompt.find(task) != std::string::npos);
  CHECK(prompt.find(oversized_context()) != std::string::npos);
}

TEST_CASE("init: writes a flow for a user who could not run one") {
  if (::geteuid() != 0) {
    MESSAGE("SKIPPED: only root can become a user without subordinate ids");
    return;
  }
  const fixtures::TemporaryDirectory folder;
  fs::permissions(folder.path(), fs::perms::all);
  const auto program = fixtures::program("flow-runner").string();
  const auto init = [&](const std::string& agent) {
    return fixtures::run_command({.argv = {"setpriv", "--reuid=65534", "--regid=65534",
                                           "--clear-groups", program, "init", agent},
                                  .working_directory = folder.path()});
  };
  const auto ran = init("codex");
  REQUIRE(ran.has_value());
  REQUIRE_MESSAGE(ran->exit_code == 0, ran->err);
  CHECK(fixtures::slurp(folder / ".gitlab/duo/flows/codex.yaml") == flow_text("codex"));
  const auto unknown = init("codexx");
  REQUIRE(unknown.has_value());
  CHECK(unknown->exit_code == 64);
  CHECK(unknown->err.find("did you mean codex?") != std::string::npos);
}
