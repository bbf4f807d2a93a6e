#include "tests/e2e/exec_fixture.hpp"

#include <doctest/doctest.h>

#include "tests/fixtures/program.hpp"

namespace flow_runner::e2e {
namespace {

fixtures::GitRepository make_project(const std::filesystem::path& folder) {
  fixtures::GitRepository project(folder);
  project.write("README.md", "A project\n")
      .write("src/main.c", "int main(void) { return 0; }\n")
      .write("src/tool.sh", "#!/bin/sh\necho tool\n", 0755);
  project.commit("A project");
  return project;
}

}  // namespace

std::vector<std::string> ExecRun::changes() const {
  std::vector<std::string> lines;
  if (!result.contains("changes")) return lines;
  for (const auto& change : result["changes"])
    lines.push_back(change["status"].get<std::string>() + " " + change["path"].get<std::string>());
  return lines;
}

const fixtures::StateFolder& shared_state(const std::vector<const char*>& images) {
  static const fixtures::StateFolder state;
  static const bool loaded = [&] {
    for (const char* image : images) {
      const auto done = state.load_image(image);
      REQUIRE_MESSAGE(done.has_value(), (done ? "" : done.error().message));
    }
    return true;
  }();
  REQUIRE(loaded);
  return state;
}

ExecFixture::ExecFixture()
    : project_(make_project(folder_ / "project")),
      origin_(fixtures::GitRepository::bare_clone(project_.path(), folder_ / "origin.git")) {
  // `exec --push` on a folder publishes to the folder's origin: this one is the origin itself.
  origin_.git({"remote", "remove", "origin"});
  shared_state();
}

void ExecFixture::flow(const std::vector<std::string>& commands,
                       const std::vector<std::string>& variables, const std::string& image) {
  // JSON is YAML: no quoting rules of our own.
  const nlohmann::json flow = {{"image", image}, {"commands", commands}, {"variables", variables}};
  fixtures::write_file(flow_file(), flow.dump(2));
}

fixtures::ChildSpec ExecFixture::push_spec() const {
  fixtures::ChildSpec spec;
  spec.argv = {fixtures::program("flow-runner"),
               "exec",
               "--json",
               "--repo",
               origin_.path(),
               "--push",
               "--workload-ref",
               "workloads/test",
               "--state-dir",
               shared_state().path(),
               flow_file()};
  return spec;
}

ExecRun ExecFixture::exec(std::vector<std::string> arguments,
                          std::vector<std::string> environment) {
  fixtures::CommandSpec spec;
  spec.argv = {"exec", "--json"};
  spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
  spec.argv.push_back(flow_file());
  spec.environment.insert(spec.environment.end(), environment.begin(), environment.end());
  spec.working_directory = folder_.path();
  spec.deadline = std::chrono::minutes(3);
  spec.max_output = 512U << 20;
  auto ran = shared_state().flow_runner(std::move(spec));
  REQUIRE_MESSAGE(ran.has_value(), (ran ? "" : ran.error().message));
  auto result = nlohmann::json::parse(ran->out, nullptr, false);
  if (result.is_discarded()) result = nullptr;
  return {ran->exit_code, std::move(ran->err), std::move(result)};
}

ExecRun ExecFixture::push(std::vector<std::string> arguments,
                          std::vector<std::string> environment) {
  std::vector<std::string> all = {"--repo", origin_.path(), "--push"};
  bool has_ref = false;
  for (const auto& argument : arguments) has_ref = has_ref || argument == "--workload-ref";
  if (!has_ref) {
    all.emplace_back("--workload-ref");
    all.emplace_back("workloads/test");
  }
  all.insert(all.end(), arguments.begin(), arguments.end());
  return exec(std::move(all), std::move(environment));
}

fixtures::CommandResult ExecFixture::run(std::vector<std::string> arguments) const {
  fixtures::CommandSpec spec;
  spec.argv = std::move(arguments);
  spec.working_directory = folder_.path();
  auto ran = shared_state().flow_runner(std::move(spec));
  REQUIRE_MESSAGE(ran.has_value(), (ran ? "" : ran.error().message));
  return std::move(*ran);
}

bool ExecFixture::pushed(const std::string& branch) const {
  return !origin_.git({"for-each-ref", "refs/heads/" + branch}).empty();
}

void ExecFixture::next_job_works() {
  const std::string branch = "workloads/next-" + std::to_string(++count_);
  flow({"echo next > next.txt"});
  const auto ran = push({"--workload-ref", branch});
  CHECK_MESSAGE(ran.exit_code == 0, ran.log);
  CHECK(pushed(branch));
}

}  // namespace flow_runner::e2e
