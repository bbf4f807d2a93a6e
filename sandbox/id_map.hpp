// Id maps: which host ids a job's users have, and the user namespaces that translate them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "config/result.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {

/// `count` ids from `inside` on are the host's ids from `outside` on (user_namespaces(7), uid_map).
struct IdMapping {
  std::uint32_t inside = 0;
  std::uint32_t outside = 0;
  std::uint32_t count = 0;
};

/// A block of host ids that belongs to one running job, so that two jobs never share a user.
/// Held by an flock on `<folder>/<slot>`; released with the object or the process.
class IdRange {
 public:
  static constexpr std::uint32_t size = 65536;
  /// Above what systemd gives to containers (524288…1879048191) and below its foreign range
  /// (systemd's UIDS-GIDS document): used when /etc/subuid has nothing for us.
  static constexpr std::uint32_t default_first = 1879048192;
  static constexpr std::uint32_t slots = 4000;

  /// The only range that a rootless process has: the ids 1…65536 of its namespace, which all jobs
  /// of one user share, for the files of an image can be owned in one way only.
  static IdRange of_user_namespace() noexcept;

  /// Takes the first free slot; every slot taken is unavailable.
  static Result<IdRange> acquire(const std::filesystem::path& folder,
                                 std::uint32_t first = default_first);

  [[nodiscard]] std::uint32_t base() const noexcept { return base_; }
  /// The whole range for the job's user namespace: 0…65535.
  [[nodiscard]] IdMapping whole() const noexcept { return {0, base_, size}; }

 private:
  Descriptor lock_;
  std::uint32_t base_ = 0;
};

/// Where the slots' locks are: one folder for the host, whatever state folders its jobs have, and
/// outside of what an executor's own mounts hide.
std::filesystem::path id_range_folder();

/// Writes uid_map and gid_map of the user namespace that process `pid` has just made. Needs
/// CAP_SETUID and CAP_SETGID over `outside`.
using IdMap = std::vector<IdMapping>;
Result<void> write_id_maps(int pid, const IdMap& uids, const IdMap& gids);

/// A user namespace with these maps, as a descriptor for mount_setattr(2): `inside` is the id on
/// disk, `outside` the one that the mount shows. Needs CAP_SETUID and CAP_SETGID over `outside`
/// (root); used only to translate ids of a mount, nothing runs in it.
Result<Descriptor> make_id_map(const IdMap& uids, const IdMap& gids);

}  // namespace flow_runner
