// ContentScan: looks for the job's secrets in everything that would be published.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "executor/git_content_sink.hpp"
#include "executor/masker.hpp"

namespace flow_runner {

/// A secret where it must not be: named by variable, commit, path and line, never by value.
struct LeakedSecret {
  std::string variable;  ///< empty: nobody's known secret, but it looks like a credential
  ContentKind kind = ContentKind::blob;
  std::string commit;
  std::string path;        ///< masked, otherwise raw bytes; empty for a message
  std::uint64_t line = 0;  ///< 1-based
};

/// Receives new content from the git worker as it comes; holds at most one scanner's state. Also
/// collects the paths that any commit touches, for the check of protected paths.
class ContentScan final : public ContentSink {
 public:
  /// Secrets of fewer bytes would be found in innocent text.
  static constexpr std::size_t min_secret_bytes = 12;
  static constexpr std::size_t max_findings = 20;
  static constexpr std::size_t max_paths = 1'000'000;

  explicit ContentScan(std::shared_ptr<const MaskerPatterns> patterns);

  void begin(ContentKind kind, std::string_view commit, std::string_view path,
             std::uint64_t size) override;
  void bytes(std::string_view bytes) override;
  /// Ends the last piece. Call once, before the results are asked for.
  void finish();

  [[nodiscard]] const std::vector<LeakedSecret>& leaks() const noexcept { return leaks_; }
  /// What looks like a credential, by its form alone.
  [[nodiscard]] const std::vector<LeakedSecret>& suspects() const noexcept { return suspects_; }
  [[nodiscard]] const std::vector<std::string>& paths() const noexcept { return paths_; }
  /// More paths than could be kept: the protected-path check is not complete.
  [[nodiscard]] bool overflowed() const noexcept { return overflowed_; }

 private:
  [[nodiscard]] LeakedSecret place_at(std::uint64_t line) const;
  void end_piece();

  std::shared_ptr<const MaskerPatterns> patterns_;
  std::optional<SecretScanner> scanner_;
  LeakedSecret place_;
  std::vector<LeakedSecret> leaks_;
  std::vector<LeakedSecret> suspects_;
  std::vector<std::string> paths_;
  bool overflowed_ = false;
};

/// The sentence that names what was found and how to mend it; empty for none.
std::string describe(const std::vector<LeakedSecret>& leaks);
/// The warning that names what looks like a credential; empty for none.
std::string describe_suspects(const std::vector<LeakedSecret>& suspects);

}  // namespace flow_runner
