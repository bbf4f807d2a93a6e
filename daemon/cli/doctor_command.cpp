#include "daemon/cli/doctor_command.hpp"

#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "config/network_presets.hpp"
#include "daemon/cli/console.hpp"
#include "daemon/cli/doctor_view.hpp"
#include "daemon/cli/exec_options.hpp"
#include "daemon/cli/terminal_text.hpp"
#include "executor/git_worker.hpp"

namespace flow_runner::cli {
namespace {

namespace fs = std::filesystem;

/// An empty folder in the state folder, gone with the object.
class ProbeFolder {
 public:
  static Result<ProbeFolder> make(const fs::path& state) {
    std::string name = (state / "probe-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      return errno_error("cannot make a folder in " + state.string());
    return ProbeFolder(name);
  }
  ProbeFolder(ProbeFolder&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  ProbeFolder& operator=(ProbeFolder&&) = delete;
  ~ProbeFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  [[nodiscard]] const fs::path& path() const noexcept { return path_; }

 private:
  explicit ProbeFolder(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

Result<void> try_the_sandbox(const std::vector<std::string>& required, bool self_check,
                             const fs::path& state, DoctorReport& report) {
  FR_TRY(const auto folder, ProbeFolder::make(state));
  IsolationProbeSpec spec;
  spec.network = report.network;
  spec.folder = folder.path();
  spec.programs = git_worker_program().parent_path();
  spec.required_layers = required;
  report.probe = probe_isolation(spec);
  if (self_check && *report.probe) report.self_check = prove_probes(spec);
  return {};
}

}  // namespace

int doctor_command(const DoctorArguments& arguments) {
  const auto network = network_mode_from(arguments.network);
  if (!network || *network == NetworkMode::host)
    return print_error({ErrorCode::invalid_input,
                        "--network takes none or proxy: with the host's own network there is no "
                        "wall to try"});
  const auto required = read_required_layers(arguments.required_layers);
  if (!required) return print_error(required.error());
  const auto state = open_state(arguments.state_dir);
  if (!state) return print_error(state.error());
  DoctorReport report;
  report.network = *network;
  report.host = check_host({state->root, git_worker_program().parent_path(),
                            arguments.no_user_namespace});
  const bool probing = arguments.probe || arguments.self_check;
  if (probing && arguments.no_user_namespace)
    report.probe = Result<IsolationReport>(*arguments.no_user_namespace);
  else if (probing)
    if (const auto tried = try_the_sandbox(*required, arguments.self_check, state->root,
                                              report); !tried)
      return print_error(tried.error());
  if (arguments.json)
    print(STDOUT_FILENO, doctor_json(report).dump(2, ' ', false,
                                                  nlohmann::json::error_handler_t::replace) +
                             "\n");
  else
    print(STDOUT_FILENO, terminal_text(doctor_text(report), TerminalColours::removed));
  return is_healthy(report) ? exit_success : exit_system;
}

}  // namespace flow_runner::cli
