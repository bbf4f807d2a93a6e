#include "executor/git_output.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "config/quoted_path.hpp"
#include "config/text_check.hpp"

namespace flow_runner {
namespace {

constexpr std::size_t max_quoted_bytes = 300;

std::string clean(const Sanitizer& sanitize, std::string_view text) {
  return printable(sanitize ? sanitize(text) : std::string(text));
}

/// The lines in which git or the server says what is wrong, sanitized before anything is cut.
std::string last_words(std::string_view stderr_text, const Sanitizer& sanitize) {
  const std::string text = sanitize ? sanitize(stderr_text) : std::string(stderr_text);
  std::string words;
  std::string_view last;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find_first_of("\r\n", begin), text.size());
    std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    while (!line.empty() && line.back() == ' ') line.remove_suffix(1);
    if (line.empty()) continue;
    last = line;
    const bool telling = line.starts_with("fatal: ") || line.starts_with("error: ") ||
                         line.starts_with("remote: ") || line.find("rejected]") != line.npos;
    // The server's own decoration, and git's guesses after the real reason.
    if (!telling || line.find_first_not_of("= -", 8) == line.npos ||
        line.starts_with("error: failed to push") ||
        line.starts_with("error: unable to read askpass"))
      continue;
    if (!words.empty()) words += "; ";
    words += line;
    if (words.size() > max_quoted_bytes) break;
  }
  return std::string(utf8_prefix(printable(words.empty() ? last : words), max_quoted_bytes));
}

/// What a phrase in git's stderr means. The first that is found decides, so the order matters.
struct Diagnosis {
  std::string_view phrase;
  ErrorCode code;
  std::string_view advice;
};

constexpr std::string_view token_advice =
    "the server does not accept the job's token, or it may not do this: check its scopes "
    "(read_repository, "
    "write_repository), its expiry and the role of its user";
constexpr std::string_view no_token_advice =
    "the server asks for a token: give one with --git-token-from";
constexpr std::string_view tls_advice =
    "the server's certificate is not trusted: name its CA with --ca-file";
constexpr std::string_view network_advice = "the server could not be reached; try again";

constexpr std::array diagnoses = {
    Diagnosis{"No space left on device", ErrorCode::unavailable,
              "the disk is full: free some space"},
    Diagnosis{"Disk quota exceeded", ErrorCode::unavailable, "the disk quota is used up"},
    Diagnosis{"unable to update url base from redirection", ErrorCode::invalid_input,
              "the server redirects elsewhere: use the address that it names"},
    Diagnosis{"certificate", ErrorCode::unavailable, tls_advice},
    Diagnosis{"gnutls_handshake() failed", ErrorCode::unavailable,
              "no TLS connection came about: check the server's TLS settings, or name its CA with "
              "--ca-file"},
    Diagnosis{"SSL_ERROR", ErrorCode::unavailable,
              "no TLS connection came about: check the server's TLS settings, or name its CA with "
              "--ca-file"},
    Diagnosis{"could not read Username", ErrorCode::denied, no_token_advice},
    Diagnosis{"could not read Password", ErrorCode::denied, no_token_advice},
    Diagnosis{"Authentication failed", ErrorCode::denied, token_advice},
    Diagnosis{"returned error: 401", ErrorCode::denied, token_advice},
    Diagnosis{"returned error: 403", ErrorCode::denied, token_advice},
    Diagnosis{"returned error: 407", ErrorCode::denied, "the proxy asks for a password"},
    Diagnosis{"HTTP Basic: Access denied", ErrorCode::denied, token_advice},
    Diagnosis{"dubious ownership", ErrorCode::denied,
              "the repository belongs to another user and could not be marked as safe"},
    Diagnosis{
        "returned error: 404", ErrorCode::not_found,
        "check the address; a private repository also looks like this without a token that may "
        "read it"},
    Diagnosis{
        "not found", ErrorCode::not_found,
        "check the address; a private repository also looks like this without a token that may "
        "read it"},
    Diagnosis{"could not be found or you don't have permission", ErrorCode::not_found,
              "check the address and that the token may read the repository"},
    Diagnosis{"does not appear to be a git repository", ErrorCode::not_found,
              "there is no git repository: check the folder"},
    Diagnosis{"not a git repository", ErrorCode::not_found,
              "there is no git repository: check the folder"},
    Diagnosis{"couldn't find remote ref", ErrorCode::not_found, "the ref is gone from the remote"},
    Diagnosis{"not our ref", ErrorCode::not_found, "the remote does not give that commit"},
    Diagnosis{"unadvertised object", ErrorCode::not_found, "the remote does not give that commit"},
    Diagnosis{"Operation too slow", ErrorCode::timed_out,
              "the server sent nothing for a minute; try again"},
    Diagnosis{"timed out", ErrorCode::timed_out, network_advice},
    Diagnosis{"returned error: 429", ErrorCode::unavailable,
              "the server asks to slow down; try later"},
    Diagnosis{"returned error: 5", ErrorCode::unavailable, "the server has a fault; try again"},
    Diagnosis{"Could not resolve", ErrorCode::unavailable, "check the host's name, and DNS"},
    Diagnosis{"Failed to connect", ErrorCode::unavailable, network_advice},
    Diagnosis{"Couldn't connect", ErrorCode::unavailable, network_advice},
    Diagnosis{"unable to access", ErrorCode::unavailable, network_advice},
    Diagnosis{"RPC failed", ErrorCode::unavailable, network_advice},
    Diagnosis{"early EOF", ErrorCode::unavailable, network_advice},
    Diagnosis{"unexpected disconnect", ErrorCode::unavailable, network_advice},
    Diagnosis{"the remote end hung up", ErrorCode::unavailable, network_advice},
    Diagnosis{"Permission denied", ErrorCode::denied, "this user may not read or write there"},
};

}  // namespace

bool is_commit_id(std::string_view text) noexcept {
  return text.size() == 40 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::string printable(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const std::string_view symbol = text.substr(0, length);
    const bool white = symbol == "\t" || symbol == "\n" || symbol == "\r";
    if (length == 0 || white || classify_character(symbol) != CharacterClass::ordinary)
      result += '?';
    else
      result += symbol;
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return result;
}

Error git_failure(std::string_view what, int exit_code, std::string_view stderr_text,
                  const Sanitizer& sanitize) {
  const std::string words = last_words(stderr_text, sanitize);
  Error error{ErrorCode::internal, std::string(what) + " failed"};
  if (words.empty()) error.message += " with exit code " + std::to_string(exit_code);
  const auto found =
      std::find_if(diagnoses.begin(), diagnoses.end(), [&](const Diagnosis& diagnosis) {
        return stderr_text.find(diagnosis.phrase) != std::string_view::npos;
      });
  if (found != diagnoses.end()) {
    error.code = found->code;
    error.message += ": ";
    error.message += found->advice;
  }
  if (!words.empty()) error.message += " (git says: " + words + ")";
  return error;
}

void ProgressLines::write(std::string_view text) {
  for (const char c : text) {
    if (c == '\n' || c == '\r') {
      end_line();
    } else if (partial_.size() < max_line) {
      partial_ += c;
    } else {
      too_long_ = true;
    }
  }
}

void ProgressLines::end_line() {
  if (too_long_) {
    line_("(git wrote a line of more than " + std::to_string(max_line) + " bytes, left out)");
  } else if (partial_.find_first_not_of(' ') != std::string::npos) {
    std::string line = clean(sanitize_, partial_);
    line.erase(line.find_last_not_of(' ') + 1);
    if (worth_showing(line)) line_(line);
  }
  partial_.clear();
  too_long_ = false;
}

bool ProgressLines::worth_showing(std::string_view line) {
  const std::size_t percent = line.find('%');
  const std::size_t colon = line.find(": ");
  if (percent == line.npos || colon == line.npos || colon > percent) return true;
  std::string_view digits = line.substr(colon + 2, percent - colon - 2);
  digits.remove_prefix(std::min(digits.find_first_not_of(' '), digits.size()));
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return true;
  const bool same_phase = line.substr(0, colon) == phase_;
  if (same_phase && value < percent_ + 10 && !(value == 100 && percent_ != 100)) return false;
  phase_ = line.substr(0, colon);
  percent_ = value;
  return true;
}

std::optional<std::string> RemoteRefs::find(std::string_view name) const {
  const auto found = commits.find(name);
  if (found == commits.end()) return std::nullopt;
  return found->second;
}

Result<RemoteRefs> parse_remote_refs(std::string_view output) {
  RemoteRefs refs;
  while (!output.empty()) {
    const std::size_t end = std::min(output.find('\n'), output.size());
    const std::string_view line = output.substr(0, end);
    output.remove_prefix(std::min(end + 1, output.size()));
    const std::size_t tab = line.find('\t');
    if (tab == line.npos)
      return Error{ErrorCode::internal, "git ls-remote printed a line without a tab"};
    const std::string_view value = line.substr(0, tab);
    const std::string_view name = line.substr(tab + 1);
    if (value.starts_with("ref: ")) {
      if (name == "HEAD") refs.head_branch = value.substr(5);
    } else if (is_commit_id(value)) {
      refs.commits.insert_or_assign(std::string(name), std::string(value));
    } else {
      return Error{
          ErrorCode::internal,
          "git ls-remote printed something that is no SHA-1 name: repositories with SHA-256 "
          "objects are not supported"};
    }
  }
  return refs;
}

}  // namespace flow_runner
