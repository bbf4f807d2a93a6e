// ContentSink: who is told of new content (blobs, messages, paths) that would leave the sandbox.
#pragma once

#include <cstdint>
#include <string_view>

namespace flow_runner {

/// `patch` is the text of a diff, in pieces to be joined; take-over never sends it.
enum class ContentKind { blob, message, path, patch };

/// "blob", "message", "path" or "patch", as in the worker's answer.
constexpr std::string_view to_string(ContentKind kind) noexcept {
  switch (kind) {
    case ContentKind::blob:
      return "blob";
    case ContentKind::message:
      return "message";
    case ContentKind::path:
      return "path";
    case ContentKind::patch:
      return "patch";
  }
  return "blob";
}

/// Receives each piece of new content once: one begin(), then bytes() whose lengths add up to
/// `size` (no call when `size` is 0). The next begin() ends the piece before. Calls come from one
/// thread. Neither may throw; a receiver that fails keeps its error for its owner to ask about.
class ContentSink {
 public:
  virtual ~ContentSink() = default;

  /// `commit` is hex and may be empty (not known, or not committed yet); `path` is raw bytes and
  /// may be empty (a message). Both are only valid during the call.
  virtual void begin(ContentKind kind, std::string_view commit, std::string_view path,
                     std::uint64_t size) = 0;
  virtual void bytes(std::string_view bytes) = 0;

 protected:
  ContentSink() = default;
  ContentSink(const ContentSink&) = default;
  ContentSink& operator=(const ContentSink&) = default;
};

/// Drops everything.
class NullContentSink final : public ContentSink {
 public:
  void begin(ContentKind, std::string_view, std::string_view, std::uint64_t) override {}
  void bytes(std::string_view) override {}
};

}  // namespace flow_runner
