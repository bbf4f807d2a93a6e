// TransferRepository: a bare repository of ours from which a quarantine's objects are pushed or
// bundled.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "config/result.hpp"

namespace flow_runner {

/// Ref name to commit.
using NamedCommits = std::vector<std::pair<std::string, std::string>>;

/// The quarantine was filled by a process that reads an attacker's bytes, so git never runs with
/// its configuration, hooks or refs. It runs here, with configuration and refs written by us and
/// the quarantine's objects as alternate. The folder lies beside the quarantine and is removed by
/// the destructor.
class TransferRepository {
 public:
  /// denied: check_objects() has found something.
  static Result<TransferRepository> make(const std::filesystem::path& quarantine,
                                         const std::filesystem::path& mirror,
                                         const NamedCommits& refs);
  TransferRepository(TransferRepository&& other) noexcept;
  TransferRepository& operator=(TransferRepository&&) = delete;
  ~TransferRepository();

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Where fetched objects must go so that the git worker sees them too.
  [[nodiscard]] std::filesystem::path object_directory() const { return quarantine_ / "objects"; }

  /// Refuses a quarantine whose object folder is more than packs, loose objects and the one
  /// alternate, the mirror's: a link or a further alternate would publish another repository's
  /// objects.
  [[nodiscard]] Result<void> check_objects() const;

  /// Replaces all refs. invalid_input: a name or commit that is none.
  [[nodiscard]] Result<void> set_refs(const NamedCommits& refs) const;

 private:
  TransferRepository(std::filesystem::path path, std::filesystem::path quarantine,
                     std::filesystem::path mirror);

  std::filesystem::path path_;
  std::filesystem::path quarantine_;
  std::filesystem::path mirror_;
};

}  // namespace flow_runner
