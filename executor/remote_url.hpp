// RemoteUrl: the address of a repository, checked and in one normal form.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/result.hpp"

namespace flow_runner {

/// Where a repository is, as git is told. Never holds a user name or password.
struct RemoteUrl {
  enum class Kind { https, http, local };

  Kind kind = Kind::local;
  std::string host;        ///< lower case, `[…]` for IPv6; empty when local
  std::uint16_t port = 0;  ///< 0: the scheme's own
  std::string path;        ///< `/group/project.git`; the absolute folder when local

  [[nodiscard]] bool local() const noexcept { return kind == Kind::local; }
  /// `https://host[:port]`: what a credential is scoped to. Empty when local.
  [[nodiscard]] std::string origin() const;
  /// The whole address; for a local folder its path.
  [[nodiscard]] std::string text() const;
  /// `group/project`; `local/<folder>` when local.
  [[nodiscard]] std::string project_path() const;

  bool operator==(const RemoteUrl&) const = default;
};

/// Whether the job has a token for this remote: an ssh address can then be reached over https.
enum class TokenGiven { no, yes };

/// Reads `https://…`, `http://…`, `file:///…`, an absolute folder, and, when a token is given,
/// `ssh://[git@]host/…` and `git@host:group/project.git`, which become https. Normal form: scheme
/// and host in lower case, the scheme's own port left out, no double or final slashes. Refused,
/// with the cure: a user name or password in the address, other schemes, query or fragment, `..`,
/// control bytes. The error never repeats what stands before an `@`.
Result<RemoteUrl> parse_remote_url(std::string_view text, TokenGiven token = TokenGiven::no);

}  // namespace flow_runner
