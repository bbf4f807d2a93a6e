#include "executor/credential.hpp"

#include <algorithm>

namespace flow_runner {
namespace {

/// git's credential protocol is lines of name=value: a line break would add an attribute.
bool has_control_byte(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

}  // namespace

Result<CredentialDescriptor> CredentialDescriptor::make(const std::string& origin,
                                                        const Credential& credential) {
  if (origin.empty() || credential.token.empty() || credential.username.empty())
    return Error{ErrorCode::invalid_input,
                 "a git credential needs a server, a user name and a token"};
  if (has_control_byte(credential.username) || has_control_byte(credential.token.reveal()))
    return Error{ErrorCode::invalid_input,
                 "the git user name or token holds a line break or another control byte: store the "
                 "token without one"};
  std::string text = "username=" + credential.username + "\npassword=";
  text += credential.token.reveal();
  text += '\n';
  auto memory = memory_file("git-credential", text);
  // The Secret type owns the only lasting copy: it wipes this one as it dies.
  const Secret wipe(std::move(text));
  if (!memory) return memory.error();
  return CredentialDescriptor(std::move(*memory), origin);
}

std::vector<std::string> CredentialDescriptor::git_options() const {
  // By its /dev/fd name each request opens the file anew, from its start.
  return {"-c", "credential." + origin_ + ".helper=!f() { test \"$1\" = get && cat /dev/fd/" +
                    std::to_string(child_fd) + "; }; f"};
}

}  // namespace flow_runner
