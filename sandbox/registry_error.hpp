// Registry errors: what podman printed about a failed pull, as an Error that may be shown to
// anybody.
#pragma once

#include <string>
#include <string_view>

#include "config/result.hpp"
#include "sandbox/image_reference.hpp"

namespace flow_runner {

/// One line of a tool's or registry's output made safe: printable ASCII only, user names, passwords
/// and queries cut out of URLs (a query may be a signature), bearer tokens too; at most 1000 bytes.
std::string safe_output_line(std::string_view line);

/// podman's last error in `output`, as one safe line: without its warnings about retries.
std::string last_error_line(std::string_view output);

/// Whether podman says that its store has no such image.
bool is_unknown_image(std::string_view output);

/// The code says what to do: not_found, denied, unavailable (worth another try), invalid_input (the
/// registry speaks no TLS, or the disk is full). The message is the registry's own answer, with a
/// hint where there is one. `output` is podman's standard error; the image's name in it does not
/// sway the code.
Error registry_error(const ImageReference& reference, std::string_view output);

}  // namespace flow_runner
