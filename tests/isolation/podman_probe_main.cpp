// podman_probe PROBER: runs the prober in `podman run` with its defaults, in namespaces with the
// same listeners outside as the product's own probe has, and prints what the prober says. Root runs
// it. What a host needs for podman to work at all is set, and nothing else.
#include <cstdio>
#include <cstdlib>
#include <sched.h>
#include <stdexcept>
#include <string>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "sandbox/mount.hpp"
#include "sandbox/oci_sandbox.hpp"
#include "sandbox/probe/probe_facts.hpp"
#include "sandbox/probe_outside.hpp"
#include "sandbox/scratch.hpp"
#include "tests/fixtures/command.hpp"
#include "tests/fixtures/temporary_directory.hpp"

namespace {

using namespace flow_runner;
using fixtures::run_command;

constexpr std::uint64_t scratch_bytes = 1 << 20;
// Below what any caller may set: podman asks for more than a host without CAP_SYS_RESOURCE gives.
constexpr const char* file_limit = "nofile=1024:1024";
constexpr const char* process_limit = "nproc=4096:4096";

void must(const Result<void>& result) {
  if (!result) throw std::runtime_error(result.error().message);
}

std::vector<std::string> podman(const std::filesystem::path& folder) {
  return {"podman",   "--root",   folder / "storage",         "--runroot",
          folder / "run", "--tmpdir", folder / "tmp", "--storage-driver=overlay",
          "--cgroup-manager=cgroupfs", "--events-backend=none"};
}

fixtures::CommandResult run(std::vector<std::string> command, std::vector<std::string> arguments) {
  command.insert(command.end(), arguments.begin(), arguments.end());
  fixtures::CommandSpec spec;
  spec.argv = std::move(command);
  auto result = run_command(spec);
  if (!result) throw std::runtime_error(result.error().message);
  if (!result->err.empty()) std::fputs(result->err.c_str(), stderr);
  return std::move(*result);
}

int probe(const std::string& prober) {
  must(enter_mount_namespace(ProcMount::fresh));
  hide_hybrid_cgroup_tree();
  const auto scratch = scratch_folder();
  if (!scratch) throw std::runtime_error(scratch.error().message);
  must(mount_tmpfs(*scratch, scratch_bytes, 0711));
  const auto outside_folder = *scratch / "outside";
  if (::mkdir(outside_folder.c_str(), 0755) != 0) throw std::runtime_error("cannot make a folder");
  const auto outside = ProbeOutside::start(outside_folder);
  if (!outside) throw std::runtime_error(outside.error().message);

  const fixtures::TemporaryDirectory folder;
  const auto rootfs = folder / "rootfs";
  for (const char* name : {"tmp", "var/tmp"}) std::filesystem::create_directories(rootfs / name);
  std::filesystem::copy_file(prober, rootfs / "probe");
  run({"tar"}, {"-C", rootfs, "-cf", folder / "image.tar", "."});
  run(podman(folder.path()), {"import", "--quiet", folder / "image.tar", "probe"});
  std::vector<std::string> arguments = {"run",      "--rm",         "--ulimit", file_limit,
                                        "--ulimit", process_limit};
  const auto add = [&](const std::string& variable) {
    arguments.insert(arguments.end(), {"--env", variable});
  };
  for (const auto& fact : outside->facts()) add(fact);
  // The limits that our own probe is run with; podman sets none of them by default.
  add(std::string(probe_facts::secret_name) + "=PROBE_SECRET");
  add(std::string(probe_facts::memory_bytes) + "=201326592");
  add(std::string(probe_facts::tasks) + "=64");
  add(std::string(probe_facts::file_bytes) + "=33554432");
  add(std::string(probe_facts::tmp_bytes) + "=8388608");
  add(std::string(probe_facts::disk_bytes) + "=33554432");
  arguments.insert(arguments.end(), {"localhost/probe", "/probe"});
  const auto tried = run(podman(folder.path()), arguments);
  arguments.emplace_back("disk_limit");
  const auto filled = run(podman(folder.path()), arguments);
  std::fputs((tried.out + filled.out).c_str(), stdout);
  return std::fflush(stdout) == 0 && !tried.out.empty() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || ::geteuid() != 0) {
    std::fprintf(stderr, "usage: podman_probe PROBER, as root\n");
    return 64;
  }
  if (::unshare(CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC) != 0) return 1;
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_NAME, probe_facts::runner_name);
    int code = 1;
    try {
      code = probe(argv[1]);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "podman_probe: %s\n", error.what());
    }
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  // Nothing can be started any more to look for leaks: the PID namespace is gone.
  ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}
