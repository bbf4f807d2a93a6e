// Result and Error: how every fallible function here reports what went wrong.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <boost/system/result.hpp>

namespace flow_runner {

/// What the caller can do next; not where the error came from.
enum class ErrorCode {
  invalid_input,  ///< the user's to mend: a file, an option, a name
  not_found,      ///< what was named is not there
  denied,         ///< a right or credential is missing, or a policy forbids it
  unavailable,    ///< may work when tried again later
  timed_out,      ///< a deadline passed
  cancelled,      ///< somebody asked us to stop
  internal,       ///< a defect here or in a library
};

std::string_view to_string(ErrorCode code) noexcept;

/// A failure. The message is lower case, names the thing and the limit, never carries a secret, and
/// says what to do when there is something to do.
struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;

  bool operator==(const Error&) const = default;
};

/// A value or an Error. `*r` and `r->` need `r.has_value()`; `r.value()` throws otherwise.
template <class T>
using Result = boost::system::result<T, Error>;

/// Lets Result::value() throw a std::runtime_error that carries the message.
[[noreturn]] void throw_exception_from_error(const Error& error,
                                             const boost::source_location& where);

/// Makes an Error from `errno` (or the given one): "what: strerror". EACCES and EPERM become
/// denied, ENOENT not_found, the rest internal.
Error errno_error(std::string_view what, int code);
Error errno_error(std::string_view what);

}  // namespace flow_runner

#define FR_CONCAT_INNER(a, b) a##b
#define FR_CONCAT(a, b) FR_CONCAT_INNER(a, b)

/// `FR_TRY(auto x, f());` declares x from f()'s value, or returns f()'s Error.
#define FR_TRY(declaration, expression) \
  FR_TRY_WITH(return, FR_CONCAT(fr_result_, __LINE__), declaration, expression)
/// FR_TRY inside a coroutine.
#define FR_CO_TRY(declaration, expression) \
  FR_TRY_WITH(co_return, FR_CONCAT(fr_result_, __LINE__), declaration, expression)
#define FR_TRY_WITH(return_, name, declaration, expression) \
  auto name = (expression);                                 \
  if (!name) return_ std::move(name).error();               \
  declaration = std::move(*name)

/// `FR_CHECK(f());` returns f()'s Error, if any.
#define FR_CHECK(expression)                               \
  do {                                                     \
    auto fr_checked = (expression);                        \
    if (!fr_checked) return std::move(fr_checked).error(); \
  } while (false)
/// FR_CHECK inside a coroutine.
#define FR_CO_CHECK(expression)                               \
  do {                                                        \
    auto fr_checked = (expression);                           \
    if (!fr_checked) co_return std::move(fr_checked).error(); \
  } while (false)
