#include "daemon/cli/earlier_job.hpp"

#include <algorithm>
#include <doctest/doctest.h>
#include <filesystem>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "config/job_json.hpp"
#include "daemon/cli/exec_job.hpp"
#include "executor/job_result.hpp"
#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
using namespace flow_runner::cli;
using fixtures::TemporaryDirectory;
using fixtures::write_file;

namespace {

const std::string base_commit(40, 'b');

bool has(const std::vector<std::string>& lines, std::string_view part) {
  return std::any_of(lines.begin(), lines.end(),
                     [&](const std::string& line) { return line.find(part) != std::string::npos; });
}

Variable variable(const char* name, const char* value, const char* origin) {
  return {.name = name, .value = Secret(value), .origin = origin};
}

Job earlier_job() {
  Job job;
  job.id = "20261122-143012-3f9a01";
  job.flow.image.name = "debian:12";
  job.repository.url = "/home/me/project";
  job.repository.token_name = "GITLAB_TOKEN";
  job.variables = {variable("AI_FLOW_INPUT", "mend it", "--input"),
                   variable("AI_FLOW_CONTEXT", "{}", "--context"),
                   variable("AI_FLOW_EVENT", "assign", "--event"),
                   variable("CI_JOB_ID", "1", "predefined"),
                   variable("PLAIN", "value", "--var"),
                   variable("MY_KEY", "hunter2hunter2", "--secret")};
  job.limits.memory_bytes = 1ULL << 30;
  job.limits.timeout = std::chrono::minutes(7);
  job.network = NetworkMode::proxy;
  job.network_policy.allow = {{.host = "a.example.com",
                               .prefix_bits = {},
                               .port = 443,
                               .any_address = true,
                               .origin = "preset gitlab"}};
  return job;
}

EarlierJob earlier(JobOrigin origin, const Job& job = earlier_job()) {
  EarlierJob made{.name = "x",
                  .origin = origin,
                  .job = job,
                  .omitted = {"MY_KEY"},
                  .base = base_commit,
                  .image = "docker.io/library/debian:12"};
  // As it comes back from disk.
  std::erase_if(made.job.variables, [](const Variable& v) { return v.name == "MY_KEY"; });
  return made;
}

void write_job(const TemporaryDirectory& folder, const Job& job) {
  write_file(folder / "job.json", to_json(job, Secrets::omit).dump());
}

}  // namespace

TEST_CASE("from job: what the options leave open is filled in") {
  ExecOptions options;
  const Adoption adoption = adopt(earlier(JobOrigin::own_state), options);
  CHECK(options.input.text == "mend it");
  CHECK(options.context.text == "{}");
  CHECK(options.event == "assign");
  CHECK(options.image == "docker.io/library/debian:12");
  CHECK(options.ref == base_commit);
  CHECK(options.repo == "/home/me/project");
  CHECK(options.limits.memory_bytes == 1ULL << 30);
  CHECK(options.timeout == std::chrono::minutes(7));
  CHECK(options.network == NetworkMode::proxy);
  REQUIRE(options.earlier_allow.size() == 1);
  CHECK(options.earlier_allow[0].any_address);
  REQUIRE(options.earlier_variables.size() == 1);
  CHECK(options.earlier_variables[0].name == "PLAIN");
  CHECK(has(adoption.warnings, "without: --secret GITLAB_TOKEN --secret MY_KEY"));
}

TEST_CASE("from job: an option wins, and a secret that is named again is not missed") {
  ExecOptions options;
  options.input.text = "other";
  options.context.file = "context.json";
  options.event = "mention";
  options.event_given = true;
  options.image = "alpine:3";
  options.ref = "v1";
  options.repo = "/elsewhere";
  options.limits.memory_bytes = 2ULL << 30;
  options.network = NetworkMode::none;
  options.network_given = true;
  options.secrets = {{"MY_KEY", {}}, {"GITLAB_TOKEN", {}}};
  const Adoption adoption = adopt(earlier(JobOrigin::own_state), options);
  CHECK(options.input.text == "other");
  CHECK_FALSE(options.context.text.has_value());
  CHECK(options.event == "mention");
  CHECK(options.image == "alpine:3");
  CHECK(options.ref == "v1");
  CHECK(options.repo == "/elsewhere");
  CHECK(options.limits.memory_bytes == 2ULL << 30);
  CHECK(options.network == NetworkMode::none);
  CHECK(options.earlier_allow.empty());
  CHECK(adoption.warnings.empty());
}

TEST_CASE(
    "from job: a copied job gives no repository, no inner address and not the host's network") {
  Job job = earlier_job();
  job.network = NetworkMode::host;
  job.limits.memory_bytes = 0;
  job.variables[2] = variable("AI_FLOW_EVENT", "no\nname", "--event");
  ExecOptions options;
  const Adoption adoption = adopt(earlier(JobOrigin::copied, job), options);
  CHECK(options.repo.empty());
  CHECK(options.network == NetworkMode::proxy);
  CHECK(has(adoption.warnings, "--network host"));
  REQUIRE(options.earlier_allow.size() == 1);
  CHECK_FALSE(options.earlier_allow[0].any_address);
  CHECK_FALSE(options.limits.memory_bytes.has_value());
  CHECK(options.event == "mention");
}

TEST_CASE("from job: a start from uncommitted files is taken for a dry run here, and only there") {
  Job job = earlier_job();
  job.repository.include_work_tree = true;
  ExecOptions dry;
  CHECK_FALSE(has(adopt(earlier(JobOrigin::own_state, job), dry).warnings, "uncommitted"));
  CHECK(dry.ref == base_commit);
  CHECK(dry.captured_start);
  ExecOptions push;
  push.publish = PublishMode::remote;
  CHECK(has(adopt(earlier(JobOrigin::own_state, job), push).warnings, "uncommitted"));
  CHECK(push.ref.empty());
  ExecOptions elsewhere;
  CHECK(has(adopt(earlier(JobOrigin::copied, job), elsewhere).warnings, "not here"));
  CHECK(elsewhere.ref.empty());
}

TEST_CASE("from job: an input that held a secret was not kept, and is asked for") {
  Job job = earlier_job();
  job.variables.erase(job.variables.begin());
  EarlierJob without = earlier(JobOrigin::own_state, job);
  without.omitted.emplace_back("AI_FLOW_INPUT");
  ExecOptions options;
  const Adoption adoption = adopt(without, options);
  CHECK(has(adoption.warnings, "--input-file"));
  CHECK_FALSE(has(adoption.warnings, "--secret AI_FLOW_INPUT"));
}

TEST_CASE("from job: the new job's own variables come later than the earlier one's") {
  ExecOptions options;
  adopt(earlier(JobOrigin::copied), options);
  options.variables = {{"PLAIN", "new"}};
  ExecInputs inputs;
  inputs.flow.variables = {"PLAIN"};
  LocalRepository local;
  local.folder = "/home/me/project";
  inputs.local = local;
  const auto made = make_exec_job(options, inputs);
  REQUIRE(made.has_value());
  std::string last;
  for (const Variable& given : made->job.variables)
    if (given.name == "PLAIN") last = given.value.reveal();
  CHECK(last == "new");
  CHECK(made->job.repository.ref == base_commit);
  CHECK(made->job.network_policy.allow.size() == 1);
}

TEST_CASE("from job: a folder is read, with the result's commit and digest") {
  const TemporaryDirectory folder;
  write_job(folder, earlier_job());
  auto read = read_earlier_job(folder.path().string(), "");
  REQUIRE(read.has_value());
  CHECK(read->origin == JobOrigin::copied);
  CHECK(read->base.empty());
  CHECK(read->omitted == std::vector<std::string>{"MY_KEY"});
  JobResult result;
  result.id = earlier_job().id;
  result.base = base_commit;
  result.image_name = "docker.io/library/debian:12";
  result.image_digest = "sha256:" + std::string(64, 'a');
  write_file(folder / "result.json", to_json(result).dump());
  read = read_earlier_job(folder.path().string(), "");
  REQUIRE(read.has_value());
  CHECK(read->base == base_commit);
  CHECK(read->image == result.image_name + "@" + result.image_digest);
}

TEST_CASE("from job: links, pipes, and what is no job are refused with the file's name") {
  const auto refused = [](const TemporaryDirectory& folder) {
    const auto read = read_earlier_job(folder.path().string(), "");
    REQUIRE_FALSE(read.has_value());
    CHECK(read.error().message.find("job.json") != std::string::npos);
  };
  const TemporaryDirectory real, link, fifo, garbled, wrong;
  refused(real);
  write_job(real, earlier_job());
  std::filesystem::create_symlink(real / "job.json", link / "job.json");
  refused(link);
  REQUIRE(::mkfifo((fifo / "job.json").c_str(), 0600) == 0);
  refused(fifo);
  write_file(garbled / "job.json", "[1");
  refused(garbled);
  write_file(wrong / "job.json", R"({"version":1,"id":"../../etc"})");
  refused(wrong);
}

TEST_CASE("from job: an image's name that is none is refused") {
  const TemporaryDirectory folder;
  Job job = earlier_job();
  job.flow.image.name = "--privileged";
  write_job(folder, job);
  CHECK_FALSE(read_earlier_job(folder.path().string(), "").has_value());
}
