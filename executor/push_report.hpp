// PushReport: what became of one pushed ref, read from git push's output.
#pragma once

#include <string>
#include <string_view>

namespace flow_runner {

enum class PushAnswer {
  accepted,         ///< the ref holds what was pushed
  moved,            ///< somebody else changed the ref since it was listed
  no_push_options,  ///< the server does not know push options; nothing was sent
  refused,          ///< a hook, a protected ref, a hidden ref: trying again does not help
  failed,           ///< no answer about the ref: see git_failure()
};

struct PushReport {
  PushAnswer answer = PushAnswer::failed;
  std::string reason;  ///< git's or the server's word for a refusal; not sanitized
};

/// Reads the output of `git push --porcelain` of the one ref `ref`.
PushReport read_push(std::string_view ref, int exit_code, std::string_view stdout_text,
                     std::string_view stderr_text);

}  // namespace flow_runner
