// OciSandbox: a Sandbox made of an own bundle, an OCI runtime, an overlay and an own cgroup.
#pragma once

#include <memory>
#include <optional>

#include "sandbox/job_namespaces.hpp"
#include "sandbox/oci_runtime.hpp"
#include "sandbox/sandbox.hpp"

namespace flow_runner {

/// Needs a private mount namespace (enter_mount_namespace) and, for now, root. Each run is a
/// container of its own over the same root overlay and mounts, so nothing survives a run but files.
class OciSandbox : public Sandbox {
 public:
  /// `runtime_cache`: file that remembers which runtime works here.
  explicit OciSandbox(std::filesystem::path runtime_cache);
  ~OciSandbox() override;

  asio::awaitable<Result<void>> prepare(SandboxSpec spec, Cancellation& cancellation) override;
  asio::awaitable<Result<SandboxExit>> run(SandboxCommand command,
                                           Cancellation& cancellation) override;
  asio::awaitable<Result<void>> destroy() override;
  [[nodiscard]] std::vector<std::string> layers() const override;
  [[nodiscard]] std::vector<std::string> missing_layers() const override { return missing_; }

  /// The socket in the job's network from which its proxy accepts; -1 unless the network is
  /// `proxy`.
  [[nodiscard]] int proxy_listener() const noexcept { return namespaces_.listener.get(); }

 private:
  Result<void> make_cgroup();
  /// Refuses a runtime that would undo what make_cgroup has done.
  [[nodiscard]] Result<void> check_runtime() const;
  Result<void> make_namespaces();
  void signal(int number, int except) const;
  Result<void> kill(std::chrono::milliseconds deadline);
  Result<void> mount_root();
  Result<void> write_network_files();
  [[nodiscard]] BundleSpec bundle_for(const SandboxCommand& command) const;

  std::filesystem::path runtime_cache_;
  SandboxSpec spec_;
  JobNamespaces namespaces_;
  std::optional<OciRuntime> runtime_;
  std::optional<Cgroup> cgroup_;
  std::filesystem::path init_;
  std::vector<std::string> missing_;
  int runs_ = 0;
  bool mounted_ = false;
  bool cgroup_at_top_ = false;
};

/// Hides a hybrid host's cgroup v2 tree from this mount namespace: crun 1.8 refuses to work beside
/// one. Descriptors into it stay valid. No effect on pure v1 or v2 hosts.
void hide_hybrid_cgroup_tree() noexcept;

}  // namespace flow_runner
