#include "sandbox/oci_runtime.hpp"

#include <array>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "sandbox/descriptor.hpp"
#include "sandbox/oci_bundle.hpp"
#include "sandbox/process.hpp"
#include "sandbox/rootless.hpp"

namespace flow_runner {
namespace {

constexpr std::array folders = {"/usr/local/bin",
                                "/usr/bin",
                                "/bin",
                                "/usr/local/sbin",
                                "/usr/sbin",
                                "/sbin",
                                "/usr/libexec/catatonit",
                                "/usr/libexec/podman",
                                "/usr/lib/podman"};

/// Changes when the kernel or a program does; then the probe is made again.
std::string identity(const std::vector<std::filesystem::path>& programs) {
  utsname system{};
  ::uname(&system);
  std::string text = std::string(system.release) + " " + system.version;
  for (const auto& program : programs) {
    struct stat info {};
    ::stat(program.c_str(), &info);
    text += " " + program.string() + ":" + std::to_string(info.st_size) + ":" +
            std::to_string(info.st_mtim.tv_sec);
  }
  return text;
}

OciRuntime describe(std::filesystem::path program) {
  OciRuntime runtime{std::move(program)};
  runtime.wants_cgroup_path = runtime.is_runc();
  return runtime;
}

/// Runs `catatonit -V` in a container whose root holds nothing else.
asio::awaitable<Result<void>> probe(const OciRuntime& runtime, const std::filesystem::path& init,
                                    const std::filesystem::path& scratch,
                                    Cancellation& cancellation) {
  const auto bundle = scratch / ("probe-" + runtime.program.filename().string());
  const std::uint32_t owner =
      is_rootless() ? IdRange::of_user_namespace().base() : IdRange::default_first - IdRange::size;
  std::error_code error;
  std::filesystem::create_directories(bundle / "rootfs", error);
  std::filesystem::copy_file(init, bundle / "rootfs/init", error);
  // The runtime makes mount points as the container's root.
  if (!error && ::chown((bundle / "rootfs").c_str(), owner, owner) != 0)
    co_return errno_error("cannot prepare a probe container");
  if (error)
    co_return Error{ErrorCode::internal, "cannot prepare a probe container: " + error.message()};
  BundleSpec spec;
  spec.rootfs = bundle / "rootfs";
  spec.argv = {"/init", "-V"};
  spec.ids = {0, owner, IdRange::size};
  if (runtime.wants_cgroup_path) spec.cgroup_path = "/flow-runner-probe";
  std::filesystem::permissions(bundle, std::filesystem::perms(0755), error);
  FR_CO_CHECK(replace_file(bundle / "config.json", oci_config(spec).dump(), 0600));
  const std::string id = "flow-runner-probe-" + std::to_string(::getpid());
  ProcessSpec process;
  process.argv = runtime.run_command(bundle / "root", bundle, bundle / "log", id);
  process.environment = tool_environment();
  FR_CO_TRY(const RunOutput output,
            co_await run_process(process, {.deadline = std::chrono::seconds(20)}, cancellation));
  const auto log = read_file(bundle / "log", 1 << 16);
  std::filesystem::remove_all(bundle, error);
  if (output.status.success()) co_return Result<void>();
  co_return Error{ErrorCode::unavailable, runtime.program.string() + " does not work here: " +
                                              (log ? *log : output.stderr_text)};
}

}  // namespace

std::vector<std::string> OciRuntime::run_command(const std::filesystem::path& root,
                                                 const std::filesystem::path& bundle,
                                                 const std::filesystem::path& log,
                                                 const std::string& id) const {
  std::vector<std::string> command = {program, "--root", root, "--log", log};
  if (!wants_cgroup_path) command.emplace_back("--cgroup-manager=disabled");
  for (const auto& word : {std::string("run"), std::string("--bundle"), bundle.string(), id})
    command.push_back(word);
  return command;
}

std::filesystem::path find_host_program(const char* name) {
  for (const char* folder : folders) {
    auto candidate = std::filesystem::path(folder) / name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return {};
}

Result<std::filesystem::path> find_init() {
  auto program = find_host_program("catatonit");
  if (!program.empty()) return program;
  return Error{ErrorCode::not_found,
               "catatonit is not installed; jobs need it as their init (package catatonit)"};
}

asio::awaitable<Result<OciRuntime>> find_oci_runtime(const std::filesystem::path& cache,
                                                     const std::filesystem::path& scratch,
                                                     Cancellation& cancellation) {
  FR_CO_TRY(const auto init, find_init());
  std::vector<std::filesystem::path> programs;
  for (const char* name : {"crun", "runc"})
    if (auto program = find_host_program(name); !program.empty())
      programs.push_back(std::move(program));
  if (programs.empty())
    co_return Error{ErrorCode::not_found, "neither crun nor runc is installed; install crun"};
  const std::string host = identity(programs);
  if (const auto text = read_file(cache, 1 << 16)) {
    const auto known = nlohmann::json::parse(*text, nullptr, false);
    if (known.is_object() && known.value("identity", "") == host)
      co_return describe(known.value("program", ""));
  }
  std::string reasons;
  for (const auto& program : programs) {
    const OciRuntime runtime = describe(program);
    const auto works = co_await probe(runtime, init, scratch, cancellation);
    if (works) {
      (void)replace_file(cache, nlohmann::json{{"identity", host}, {"program", program}}.dump(),
                         0600);
      co_return runtime;
    }
    reasons += (reasons.empty() ? "" : "; ") + works.error().message;
  }
  co_return Error{ErrorCode::unavailable, "no OCI runtime works on this host: " + reasons};
}

}  // namespace flow_runner
