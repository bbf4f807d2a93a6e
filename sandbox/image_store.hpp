// ImageStore: the images of this runner, in a store of its own below the state folder.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "config/flow.hpp"
#include "config/result.hpp"
#include "sandbox/cancellation.hpp"
#include "sandbox/image_facts.hpp"
#include "sandbox/image_lease.hpp"
#include "sandbox/image_reference.hpp"
#include "sandbox/podman.hpp"

namespace flow_runner {

struct PullOptions {
  std::filesystem::path auth_file;  ///< empty: podman's usual places
  std::filesystem::path ca_file;    ///< PEM, trusted beside the system's; empty: none
  std::chrono::milliseconds timeout =
      std::chrono::minutes(15);  ///< waiting for another's pull included
  /// A pull that leaves less than this on the disk is stopped: images have no size limit of their
  /// own.
  std::uint64_t free_space_floor = 1ULL << 30;
  std::function<void(std::string_view)> on_progress;  ///< one line, safe to print
};

/// An image that stays as long as the lease is held.
struct LeasedImage {
  ImageFacts facts;
  ImageLease lease;
};

struct ListedImage {
  std::string id;
  std::vector<std::string> names;  ///< none: replaced by a newer image of its name
  std::string digest;
  std::uint64_t size = 0;  ///< bytes, shared layers counted in each
  std::chrono::system_clock::time_point created;
  std::chrono::system_clock::time_point last_used;  ///< by a job; else when it came here
  bool in_use = false;
};

struct PruneReport {
  std::vector<ListedImage> removed;
  std::vector<ListedImage> in_use;  ///< would have gone, but a job has them
};

/// Safe to use from several processes at once. All work is done by podman, except finding an image
/// that is known already: that costs a few system calls and no process.
class ImageStore {
 public:
  /// Makes the folders (0700) below `images`. invalid_input for a path that overlay mounts cannot
  /// take.
  static Result<ImageStore> open(const std::filesystem::path& images);

  /// The image, pulled as `policy` says (see effective_pull_policy), leased to the caller.
  /// * A short name (`demo`) that only this host has, as localhost/demo, is used from here whatever
  /// the
  ///   policy, and never looked for in a public registry. localhost/… is never pulled.
  /// * `always` and the registry does not answer: the error, not the local copy.
  /// * One pull at a time per image and host; who waited finds it done.
  /// Errors: not_found, denied (credentials, certificates), unavailable (registry or network; worth
  /// another try), timed_out, cancelled, invalid_input (an image that cannot be run). Texts carry
  /// the registry's answer and no credentials.
  boost::asio::awaitable<Result<LeasedImage>> ensure(ImageReference reference, PullPolicy policy,
                                                     PullOptions options,
                                                     Cancellation& cancellation) const;

  /// Loads a docker-archive or oci-archive under the names that it carries; with a name, a tar of a
  /// plain root file system under localhost/NAME. Returns the names.
  boost::asio::awaitable<Result<std::vector<std::string>>> load(std::filesystem::path file,
                                                                std::string name,
                                                                Cancellation& cancellation) const;

  boost::asio::awaitable<Result<std::vector<ListedImage>>> list(Cancellation& cancellation) const;

  /// Removes images that were not used for `older_than` (absent: all), and nameless ones, unless a
  /// job has them; and what dead pulls left behind.
  boost::asio::awaitable<Result<PruneReport>> prune(std::optional<std::chrono::seconds> older_than,
                                                    Cancellation& cancellation) const;

  [[nodiscard]] const Podman& podman() const { return podman_; }

 private:
  explicit ImageStore(std::filesystem::path images);

  boost::asio::awaitable<Result<std::optional<ImageFacts>>> find(ImageReference reference,
                                                                 Cancellation& cancellation) const;
  boost::asio::awaitable<Result<std::optional<ImageFacts>>> inspect(
      std::string name, Cancellation& cancellation) const;
  boost::asio::awaitable<Result<std::optional<LeasedImage>>> lease(
      ImageFacts facts, std::chrono::steady_clock::time_point deadline,
      Cancellation& cancellation) const;
  boost::asio::awaitable<Result<void>> pull(ImageReference reference, PullPolicy policy,
                                            PullOptions options,
                                            std::chrono::steady_clock::time_point deadline,
                                            Cancellation& cancellation) const;
  boost::asio::awaitable<Result<void>> run_pull(ImageReference reference, PullOptions options,
                                                std::chrono::steady_clock::time_point deadline,
                                                Cancellation& cancellation) const;
  boost::asio::awaitable<Result<void>> refuse_archive(std::string name,
                                                      Cancellation& cancellation) const;
  [[nodiscard]] std::filesystem::path lock_file(std::string_view id) const;
  void sweep_left_overs(const std::vector<ListedImage>& known) const;

  std::filesystem::path images_;
  Podman podman_;
  FactsCache cache_;
};

}  // namespace flow_runner
