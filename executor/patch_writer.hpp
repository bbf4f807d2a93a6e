// PatchWriter: writes a diff that streams in into a file, masked.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "config/result.hpp"
#include "executor/git_content_sink.hpp"
#include "executor/masker.hpp"

namespace flow_runner {

class PatchWriter final : public ContentSink {
 public:
  /// `fd` stays the caller's.
  PatchWriter(int fd, std::shared_ptr<const MaskerPatterns> patterns)
      : fd_(fd), masker_(std::move(patterns)) {}

  void begin(ContentKind, std::string_view, std::string_view, std::uint64_t) override {}
  void bytes(std::string_view bytes) override;
  /// Call once, at the end: writes what was held back, and tells the first error.
  Result<void> finish();

 private:
  void put();

  int fd_;
  Masker masker_;
  std::string masked_;
  std::optional<Error> error_;
};

}  // namespace flow_runner
