// Credential: the user name and token for one remote, and the only way by which git gets them.
#pragma once

#include <string>
#include <vector>

#include "config/result.hpp"
#include "config/secret.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {

/// What is shown to one server. An empty token means anonymous.
struct Credential {
  std::string username;
  Secret token;
};

/// A Credential made ready for a git child: the bytes are in a sealed memory file that the child
/// inherits, and git is told, for this one origin only, to read them from that descriptor. Nothing
/// of it is in an argument, an environment variable, an address, a configuration file or on disk. A
/// redirect or a submodule that leads to another host finds no helper and gets nothing.
class CredentialDescriptor {
 public:
  /// The descriptor's number in the child.
  static constexpr int child_fd = 9;

  /// `origin` as RemoteUrl::origin(). A user name or token with a control byte, and an empty token,
  /// are invalid_input.
  static Result<CredentialDescriptor> make(const std::string& origin, const Credential& credential);

  /// To be passed as {fd(), child_fd}; may be read any number of times.
  [[nodiscard]] int fd() const noexcept { return memory_.get(); }
  /// `-c key=value` pairs for git. They hold no secret.
  [[nodiscard]] std::vector<std::string> git_options() const;

 private:
  CredentialDescriptor(Descriptor memory, std::string origin)
      : memory_(std::move(memory)), origin_(std::move(origin)) {}

  Descriptor memory_;
  std::string origin_;
};

}  // namespace flow_runner
