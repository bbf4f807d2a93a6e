// ExecFixture: `flow-runner exec` on a real repository with a real image, as an end-to-end test
// runs it.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/fixtures/command.hpp"
#include "tests/fixtures/git_repository.hpp"
#include "tests/fixtures/state_folder.hpp"
#include "tests/fixtures/temporary_directory.hpp"

namespace flow_runner::e2e {

/// One run of `exec --json`.
struct ExecRun {
  int exit_code = 0;
  std::string log;        ///< stderr
  nlohmann::json result;  ///< null when stdout was no JSON object

  [[nodiscard]] std::string cause() const { return result.value("cause", ""); }
  [[nodiscard]] bool log_has(std::string_view text) const {
    return log.find(text) != std::string::npos;
  }
  /// The statuses and paths of changes[], as "A path".
  [[nodiscard]] std::vector<std::string> changes() const;
};

/// The state folder that all tests of one program share: loading an image takes seconds. The first
/// call says which images it has: debian-git (bash, perl, git, root) and busybox, unless a program
/// needs others.
const fixtures::StateFolder& shared_state(const std::vector<const char*>& images = {"debian-git",
                                                                                    "busybox"});

/// A project with a bare origin. Files: README.md, src/main.c, src/tool.sh (executable).
class ExecFixture {
 public:
  ExecFixture();

  /// Writes the flow with these commands, commits nothing of it (it lies outside the project).
  void flow(const std::vector<std::string>& commands,
            const std::vector<std::string>& variables = {},
            const std::string& image = "localhost/debian-git");
  /// `exec --json --repo <origin> --push --workload-ref workloads/test` and more arguments.
  ExecRun push(std::vector<std::string> arguments = {}, std::vector<std::string> environment = {});
  /// `exec --json --repo …` as given.
  ExecRun exec(std::vector<std::string> arguments, std::vector<std::string> environment = {});
  /// The arguments and environment of push(), for a test that starts the program itself.
  [[nodiscard]] fixtures::ChildSpec push_spec() const;
  /// Any other command with the shared state folder.
  [[nodiscard]] fixtures::CommandResult run(std::vector<std::string> arguments) const;

  [[nodiscard]] const fixtures::GitRepository& project() const { return project_; }
  [[nodiscard]] const fixtures::GitRepository& origin() const { return origin_; }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_.path(); }
  [[nodiscard]] std::filesystem::path flow_file() const { return folder_ / "flow.yaml"; }
  /// Whether the origin has the branch.
  [[nodiscard]] bool pushed(const std::string& branch = "workloads/test") const;
  /// A job with an ordinary change succeeds: what came before did no lasting harm.
  void next_job_works();

 private:
  fixtures::TemporaryDirectory folder_;
  fixtures::GitRepository project_;
  fixtures::GitRepository origin_;
  int count_ = 0;
};

}  // namespace flow_runner::e2e
