#include "config/result.hpp"

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace flow_runner {

std::string_view to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_input:
      return "invalid input";
    case ErrorCode::not_found:
      return "not found";
    case ErrorCode::denied:
      return "denied";
    case ErrorCode::unavailable:
      return "unavailable";
    case ErrorCode::timed_out:
      return "timed out";
    case ErrorCode::cancelled:
      return "cancelled";
    case ErrorCode::internal:
      return "internal error";
  }
  return "internal error";
}

void throw_exception_from_error(const Error& error, const boost::source_location&) {
  throw std::runtime_error(error.message);
}

Error errno_error(std::string_view what, int code) {
  ErrorCode kind = ErrorCode::internal;
  if (code == EACCES || code == EPERM) kind = ErrorCode::denied;
  if (code == ENOENT) kind = ErrorCode::not_found;
  return {kind, std::string(what) + ": " + std::strerror(code)};
}

Error errno_error(std::string_view what) { return errno_error(what, errno); }

}  // namespace flow_runner
