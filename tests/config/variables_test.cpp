#include "config/variables.hpp"

#include <algorithm>
#include <doctest/doctest.h>
#include <optional>
#include <string>

#include "config/quoted_path.hpp"
#include "config/variable_expansion.hpp"

using namespace flow_runner;
using namespace std::string_literals;

namespace {

Variable variable(std::string name, std::string value) {
  return {.name = std::move(name), .value = Secret(std::move(value)), .origin = "test"};
}

Variable expanded(std::string name, std::string value) {
  Variable v = variable(std::move(name), std::move(value));
  v.raw = false;
  return v;
}

Job job_with(std::vector<std::string> listed, std::vector<Variable> variables) {
  Job job;
  job.source = "exec";
  job.flow.commands = {"true"};
  job.flow.variables = std::move(listed);
  job.variables = std::move(variables);
  return job;
}

std::optional<std::string> value_of(const ResolvedVariables& resolved, std::string_view name) {
  std::optional<std::string> value;
  for (const auto& [key, secret] : environment_in(resolved, "/run/vars")) {
    if (key != name) continue;
    CHECK_MESSAGE(!value, "twice in the environment: ", key);
    value = secret.reveal();
  }
  return value;
}

const MaskedSource* masked(const ResolvedVariables& resolved, std::string_view value) {
  for (const MaskedSource& source : resolved.secrets) {
    if (source.value.reveal() == value) return &source;
  }
  return nullptr;
}

std::string warnings(const ResolvedVariables& resolved) {
  std::string text;
  for (const std::string& warning : resolved.warnings) text += warning + "\n";
  return text;
}

}  // namespace

TEST_CASE("variables: a name's parts decide whether it is a secret's") {
  for (const std::string_view name :
       {"TOKEN", "GITLAB_TOKEN", "GITLAB_TOKEN_CLAUDE", "ANTHROPIC_API_KEY",
        "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "AI_FLOW_AI_GATEWAY_HEADERS", "GOOGLE_CREDENTIALS",
        "AMAZON_Q_SIGV4", "my_token", "KEY_", "_KEY", "SECRET_ID_X"}) {
    CAPTURE(name);
    CHECK(is_secret_name(name));
  }
  for (const std::string_view name :
       {"", "_", "GITLAB_HOST", "AWS_SECRET_NAME", "AWS_ACCESS_KEY_ID", "TOKEN_FILE", "KEY_PATH",
        "TOKEN_URL", "MONKEY", "KEYBOARD", "TOKENS", "MCP_CONFIG", "CI_WORKLOAD_REF",
        "secret_name"}) {
    CAPTURE(name);
    CHECK_FALSE(is_secret_name(name));
  }
}

TEST_CASE(
    "variables: listed names, AI_FLOW_, CI_ and git identities reach the script, others do not") {
  const auto resolved = resolve_variables(
      job_with({"LISTED"}, {variable("LISTED", "1"), variable("OTHER", "2"),
                            variable("AI_FLOW_INPUT", "3"), variable("CI_PROJECT_ID", "4"),
                            variable("GIT_AUTHOR_NAME", "5"), variable("GIT_COMMITTER_EMAIL", "6"),
                            variable("GIT_SSH_COMMAND", "7"), variable("LISTED_NOT", "8")}));
  CHECK(value_of(resolved, "LISTED") == "1");
  CHECK(value_of(resolved, "AI_FLOW_INPUT") == "3");
  CHECK(value_of(resolved, "CI_PROJECT_ID") == "4");
  CHECK(value_of(resolved, "GIT_AUTHOR_NAME") == "5");
  CHECK(value_of(resolved, "GIT_COMMITTER_EMAIL") == "6");
  CHECK_FALSE(value_of(resolved, "OTHER"));
  CHECK_FALSE(value_of(resolved, "GIT_SSH_COMMAND"));
  CHECK(warnings(resolved) ==
        "given, but not in the flow's `variables`, so kept from the script: GIT_SSH_COMMAND, "
        "LISTED_NOT, "
        "OTHER\n");
}

TEST_CASE("variables: the last of one name wins, and the earlier secret is masked still") {
  const auto resolved = resolve_variables(job_with(
      {"A_TOKEN"}, {variable("A_TOKEN", "first-value"), variable("A_TOKEN", "second-value")}));
  CHECK(value_of(resolved, "A_TOKEN") == "second-value");
  CHECK(masked(resolved, "first-value") != nullptr);
  CHECK(masked(resolved, "second-value") != nullptr);
}

TEST_CASE("variables: the job's own credentials are withheld until a command names them") {
  const std::vector<Variable> given = {
      variable("CI_JOB_TOKEN", "job-token-value"),
      variable("CI_REPOSITORY_URL",
               "https://gitlab-ci-token:url-token-value@example.invalid/a.git"),
      variable("CI_REGISTRY_PASSWORD", "registry-value"),
      variable("CI_DEPENDENCY_PROXY_PASSWORD", "proxy-value")};
  Job job = job_with({}, given);
  job.flow.commands = {"echo $CI_JOB_TOKENS ${CI_JOB_TOKEN_X} CI_JOB_TOKEN $ {CI_JOB_TOKEN}"};
  const auto withheld = resolve_variables(job);
  CHECK(withheld.environment.empty());
  CHECK(withheld.warnings.empty());
  for (const char* value :
       {"job-token-value", "url-token-value", "registry-value", "proxy-value"}) {
    CAPTURE(value);
    CHECK(masked(withheld, value) != nullptr);
  }

  job.flow.commands = {"a $CI_JOB_TOKEN", "b ${CI_REGISTRY_PASSWORD:-x}"};
  job.flow.extensions.setup = {"git clone \"$CI_REPOSITORY_URL\""};
  const auto named = resolve_variables(job);
  CHECK(value_of(named, "CI_JOB_TOKEN") == "job-token-value");
  CHECK(value_of(named, "CI_REGISTRY_PASSWORD") == "registry-value");
  CHECK(value_of(named, "CI_REPOSITORY_URL").has_value());
  CHECK_FALSE(value_of(named, "CI_DEPENDENCY_PROXY_PASSWORD"));
}

TEST_CASE("variables: a withheld one does not come in through another one's expansion") {
  const auto resolved =
      resolve_variables(job_with({"URL"}, {variable("CI_JOB_TOKEN", "job-token-value"),
                                           expanded("URL", "https://x:$CI_JOB_TOKEN@h")}));
  CHECK(value_of(resolved, "URL") == "https://x:$CI_JOB_TOKEN@h");
}

TEST_CASE("variables: listing a withheld one is not naming it, and says so") {
  const auto resolved =
      resolve_variables(job_with({"CI_JOB_TOKEN"}, {variable("CI_JOB_TOKEN", "job-token-value")}));
  CHECK(resolved.environment.empty());
  CHECK(warnings(resolved).find("CI_JOB_TOKEN is withheld although") == 0);
}

TEST_CASE("variables: secrets are marked, derived from the name, or corrected by the settings") {
  Variable marked = variable("PLAIN", "ab");
  marked.masked = true;
  Job job =
      job_with({"PLAIN"}, {marked, variable("X_KEY", "key-value"),
                           variable("PUBLIC_KEY", "public-value"), variable("EXTRA", "extra-value"),
                           variable("NOTHING", "nothing-value"), variable("EMPTY_TOKEN", " \n")});
  job.masking_never = {"PUBLIC_KEY", "PLAIN"};
  job.masking_also = {"EXTRA"};
  job.repository.token = Secret("repository-token-value");
  const auto resolved = resolve_variables(job);
  REQUIRE(masked(resolved, "ab") != nullptr);
  CHECK(masked(resolved, "ab")->marked);
  REQUIRE(masked(resolved, "key-value") != nullptr);
  CHECK_FALSE(masked(resolved, "key-value")->marked);
  REQUIRE(masked(resolved, "extra-value") != nullptr);
  CHECK(masked(resolved, "extra-value")->marked);
  REQUIRE(masked(resolved, "repository-token-value") != nullptr);
  CHECK(masked(resolved, "repository-token-value")->marked);
  CHECK(resolved.secrets.size() == 4);
}

TEST_CASE("variables: what is secret inside a value is masked alone too") {
  const auto resolved = resolve_variables(job_with(
      {}, {variable("REMOTE", "https://user:url-password@example.invalid/x"),
           variable("AI_FLOW_INPUT", "https://user:written-by-a-commenter@example.invalid/x"),
           variable(
               "AI_FLOW_AI_GATEWAY_HEADERS",
               "Authorization: Bearer bearer-value\nX-Host: example.invalid\nX-Api-Key: key-value"),
           variable("FILE_TOKEN", "token-with-newline\n")}));
  CHECK(masked(resolved, "url-password") != nullptr);
  CHECK(masked(resolved, "written-by-a-commenter") == nullptr);
  CHECK(masked(resolved, "bearer-value") != nullptr);
  CHECK(masked(resolved, "key-value") != nullptr);
  CHECK(masked(resolved, "example.invalid") == nullptr);
  CHECK(masked(resolved, "token-with-newline") != nullptr);
}

TEST_CASE("variables: raw values stay, others are expanded once") {
  Variable file = variable("CONFIG", "content");
  file.file = true;
  const auto resolved = resolve_variables(
      job_with({"A", "B", "C", "D", "RAW", "CONFIG", "X_TOKEN"},
               {expanded("A", "$B-${B}x $$B $C $UNKNOWN ${UNKNOWN} $ ${ $1 ${B:-x} $CONFIG"),
                expanded("B", "b$RAW"), variable("RAW", "$B"), expanded("C", "$D"),
                expanded("D", "$C"), file, variable("X_TOKEN", "token-value")}));
  CHECK(value_of(resolved, "RAW") == "$B");
  CHECK(value_of(resolved, "B") == "b$B");
  // A depends on the cycle of C and D, and is left as it was written.
  CHECK(value_of(resolved, "A") == "$B-${B}x $$B $C $UNKNOWN ${UNKNOWN} $ ${ $1 ${B:-x} $CONFIG");
  CHECK(value_of(resolved, "C") == "$D");
  CHECK(warnings(resolved) ==
        "not expanded, since they refer to themselves or to one that does: A, C, D\n");

  const auto plain = resolve_variables(
      job_with({"A", "B", "S", "X_TOKEN", "CONFIG"},
               {expanded("A", "$B-${B}x $$B $UNKNOWN ${UNKNOWN} $ ${ $1 ${B:-x} $CONFIG %B%"),
                expanded("B", "b"), expanded("S", "Bearer $X_TOKEN"),
                variable("X_TOKEN", "token-value"), file}));
  CHECK(value_of(plain, "A") == "b-bx $B $UNKNOWN ${UNKNOWN} $ ${ $1 ${B:-x} $CONFIG %B%");
  CHECK(value_of(plain, "S") == "Bearer token-value");
  CHECK(plain.environment[0].secret == false);
  CHECK(plain.environment[2].secret == true);
}

TEST_CASE("variables: an expanded secret is masked as the script sees it") {
  const auto resolved = resolve_variables(job_with(
      {"A_TOKEN", "PART"}, {expanded("A_TOKEN", "pre-$PART-post"), variable("PART", "middle")}));
  CHECK(masked(resolved, "pre-middle-post") != nullptr);
}

TEST_CASE("variables: expansion cannot blow up") {
  std::vector<Variable> variables = {variable("V0", std::string(1'000, 'x'))};
  std::vector<std::string> listed = {"V0"};
  for (int i = 1; i < 60; ++i) {
    const std::string before = "$V" + std::to_string(i - 1);
    variables.push_back(expanded("V" + std::to_string(i), before + before));
    listed.push_back("V" + std::to_string(i));
  }
  const auto resolved = resolve_variables(job_with(listed, std::move(variables)));
  std::size_t total = 0;
  for (const auto& v : resolved.environment) total += v.value.size();
  CHECK(total < max_expanded_total_bytes);
  CHECK(warnings(resolved).find("would grow over 1 MiB") != std::string::npos);
}

TEST_CASE("variables: a long chain of references needs no stack") {
  std::vector<ExpansionEntry> entries;
  for (int i = 0; i < 50'000; ++i) {
    entries.push_back({.name = "V" + std::to_string(i),
                       .value = Secret("$V" + std::to_string(i + 1)),
                       .raw = false});
  }
  entries.push_back({.name = "V50000", .value = Secret("end")});
  CHECK(expand_variables(entries).cyclic.empty());
  CHECK(entries.front().value.reveal() == "end");
}

TEST_CASE("variables: file variables become paths, and their content is masked when secret") {
  Variable file = variable("GOOGLE_CREDENTIALS", "{\"private\": \"content\"}\n");
  file.file = true;
  Variable binary = variable("BINARY", "a\0b"s);
  binary.file = true;
  const auto resolved =
      resolve_variables(job_with({"GOOGLE_CREDENTIALS", "BINARY"}, {file, binary}));
  CHECK(value_of(resolved, "GOOGLE_CREDENTIALS") == "/run/vars/GOOGLE_CREDENTIALS");
  CHECK(value_of(resolved, "BINARY") == "/run/vars/BINARY");
  REQUIRE(resolved.files.size() == 2);
  CHECK(resolved.files[0].content.reveal() == "{\"private\": \"content\"}\n");
  CHECK(resolved.files[1].content.reveal() == "a\0b"s);
  CHECK(masked(resolved, "{\"private\": \"content\"}") != nullptr);
}

TEST_CASE("variables: every AI_FLOW value is a file too") {
  const auto resolved = resolve_variables(job_with({}, {variable("AI_FLOW_INPUT", "do it")}));
  CHECK(value_of(resolved, "AI_FLOW_INPUT") == "do it");
  CHECK(value_of(resolved, "AI_FLOW_INPUT_FILE") == "/run/vars/AI_FLOW_INPUT");
  REQUIRE(resolved.files.size() == 1);
  CHECK(resolved.files[0].env_name == "AI_FLOW_INPUT_FILE");
  CHECK(resolved.files[0].content.reveal() == "do it");
}

TEST_CASE("variables: the file of an AI_FLOW value wins over a variable of that name") {
  Variable other = variable("AI_FLOW_INPUT_FILE", "/etc/passwd");
  for (const bool as_file : {false, true}) {
    other.file = as_file;
    const auto resolved =
        resolve_variables(job_with({}, {other, variable("AI_FLOW_INPUT", "do it")}));
    CHECK(value_of(resolved, "AI_FLOW_INPUT_FILE") == "/run/vars/AI_FLOW_INPUT");
    CHECK(resolved.files.size() == 1);
    CHECK(warnings(resolved).find("own AI_FLOW_INPUT_FILE is replaced") != std::string::npos);
  }
}

TEST_CASE("variables: a large value is cut on a UTF-8 boundary and is whole in its file") {
  const std::string long_value =
      std::string(max_environment_value_bytes - 1, 'x') + "\xC3\xA9 and more";
  const auto resolved = resolve_variables(job_with(
      {"BIG_TOKEN"}, {variable("AI_FLOW_CONTEXT", long_value), variable("BIG_TOKEN", long_value)}));
  for (const std::string name : {"AI_FLOW_CONTEXT", "BIG_TOKEN"}) {
    const auto value = value_of(resolved, name);
    REQUIRE(value.has_value());
    CHECK(value->size() == max_environment_value_bytes - 1);
    CHECK(is_utf8(*value));
    CHECK(value_of(resolved, name + "_FILE") == "/run/vars/" + name);
    CHECK(warnings(resolved).find("the file $" + name + "_FILE all of them") != std::string::npos);
  }
  CHECK(resolved.files[0].content.reveal() == long_value);
  CHECK(masked(resolved, std::string(max_environment_value_bytes - 1, 'x')) != nullptr);
  const auto exact = resolve_variables(
      job_with({"X"}, {variable("X", std::string(max_environment_value_bytes, 'x'))}));
  CHECK(exact.warnings.empty());
  CHECK(exact.files.empty());
}

TEST_CASE("variables: no environment string reaches the kernel's limit") {
  const std::string name(max_variable_name_bytes, 'N');
  const auto resolved =
      resolve_variables(job_with({name}, {variable(name, std::string(500'000, 'x'))}));
  for (const auto& [key, value] : environment_in(resolved, "/run/vars")) {
    CHECK(key.size() + 1 + value.size() < 131'072);
  }
}

TEST_CASE("variables: many large values are a warning about their sum") {
  std::vector<Variable> variables;
  for (int i = 0; i < 20; ++i)
    variables.push_back(variable("CI_V" + std::to_string(i), std::string(90'000, 'x')));
  CHECK(warnings(resolve_variables(job_with({}, std::move(variables))))
            .find("argument list too long") != std::string::npos);
}

TEST_CASE("variables: a NUL byte and a bad name keep a variable out, a secret one masked") {
  const auto resolved = resolve_variables(
      job_with({"A_TOKEN"}, {variable("A_TOKEN", "value\0rest"s), variable("B\nAD=x", "y"),
                             variable("", "z"), variable("CI_\x1B[31m", "z")}));
  CHECK(resolved.environment.empty());
  CHECK(masked(resolved, "value\0rest"s) != nullptr);
  CHECK(resolved.warnings.size() == 4);
  CHECK(warnings(resolved).find('\x1B') == std::string::npos);
  CHECK(warnings(resolved).find("B\\x0AAD=x") != std::string::npos);
}

TEST_CASE("variables: a listed one that nobody gave is a warning with the likely reason") {
  Job job = job_with({"X_TOKEN", "HOST"}, {});
  CHECK(warnings(resolve_variables(job)) ==
        "the flow lists X_TOKEN, but nobody gave it: give it with --secret X_TOKEN\n"
        "the flow lists HOST, but nobody gave it: give it with --var HOST=…, or with --secret "
        "HOST\n");
  job.source = "gitlab.example.invalid";
  CHECK(warnings(resolve_variables(job)).find("it is protected (workload refs are not)") !=
        std::string::npos);
}

TEST_CASE("variables: one for which the script has a default is not missed") {
  Job job = job_with({"A", "B", "C", "D", "AA", "E"}, {});
  job.flow.commands = {"echo ${A:-1} ${B-2}", "run ${C:+--c \"$C\"} ${D+x} $AA ${E} ${E:?} ${E"};
  const auto told = warnings(resolve_variables(job));
  for (const char* name : {"A", "B", "C", "D"})
    CHECK(told.find("lists " + std::string(name) + ",") == std::string::npos);
  for (const char* name : {"AA", "E"})
    CHECK(told.find("lists " + std::string(name) + ",") != std::string::npos);
}

TEST_CASE("variables: warnings are bounded and never hold a value") {
  std::vector<std::string> listed;
  for (int i = 0; i < 5'000; ++i) listed.push_back("V" + std::to_string(i));
  CHECK(resolve_variables(job_with(std::move(listed), {})).warnings.size() <= 101);
  const auto resolved = resolve_variables(
      job_with({"A", "BIG"}, {variable("OTHER", "needle"), variable("A", "needle\0"s),
                              variable("BIG", "needle" + std::string(200'000, 'x'))}));
  CHECK(warnings(resolved).find("needle") == std::string::npos);
}
