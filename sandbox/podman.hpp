// Podman: the podman program, told to keep to an image store of ours.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "config/result.hpp"
#include "sandbox/cancellation.hpp"
#include "sandbox/process.hpp"

namespace flow_runner {

/// Runs podman on `<images>/storage`, never on the user's or the host's own store, and without
/// systemd, events and cgroups. Credentials, mirrors and certificates come from podman's usual
/// places (REGISTRY_AUTH_FILE, containers/auth.json, ~/.docker/config.json, registries.conf,
/// certs.d) of whoever runs us.
class Podman {
 public:
  /// `images` is absolute and exists.
  explicit Podman(std::filesystem::path images);

  struct Options {
    RunLimits limits;
    std::filesystem::path ca_file;  ///< PEM; trusted beside what is trusted anyway
    OutputCallback on_stderr;
  };

  /// `podman <our options> <arguments…>`. Its temporary files (whole blobs during a pull) lie in
  /// `<images>/tmp` and are removed when it has ended, however it ended. A podman that is missing
  /// or cannot be started is `unavailable`, so that not_found always speaks of an image.
  boost::asio::awaitable<Result<RunOutput>> run(std::vector<std::string> arguments, Options options,
                                                Cancellation& cancellation) const;

  [[nodiscard]] std::filesystem::path storage() const { return images_ / "storage"; }
  /// Of podman's own state that must not outlive a boot: below /run for root, below /run/user/UID
  /// or else /tmp for others. One per store.
  [[nodiscard]] std::filesystem::path run_folder() const;

 private:
  [[nodiscard]] Result<void> prepare_run_folder() const;
  [[nodiscard]] Result<std::filesystem::path> trust_bundle(
      const std::filesystem::path& ca_file) const;

  std::filesystem::path images_;
};

}  // namespace flow_runner
