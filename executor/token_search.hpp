// TokenSearch: finds what looks like a credential in a stream, though nobody named it: tokens by
// their prefix, passwords in URLs, private keys.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "executor/token_rules.hpp"

namespace flow_runner {

/// Hears what is to be masked: [begin, end) in the stream, none of them empty. What is told of one
/// credential in pieces adjoins.
class TokenHits {
 public:
  virtual void token(std::uint64_t begin, std::uint64_t end) = 0;

 protected:
  ~TokenHits() = default;
};

/// One credential that has begun: reads byte by byte, and knows what is to be masked of it so far.
class TokenCandidate {
 public:
  /// Where in the stream begins what may be to be masked but is not known to be; `end` if nothing.
  [[nodiscard]] std::uint64_t open_from(std::uint64_t end) const noexcept {
    return open_ ? covered_ : end;
  }
  /// What is to be masked up to here: told once.
  [[nodiscard]] std::uint64_t covered() const noexcept { return covered_; }
  void tell(TokenHits& hits) {
    if (told_ < covered_) hits.token(told_, covered_);
    told_ = covered_;
  }

 protected:
  void begin(std::uint64_t place) { told_ = covered_ = place; }
  void cover(std::uint64_t end) { covered_ = end; }
  bool open_ = false;

 private:
  std::uint64_t told_ = 0;
  std::uint64_t covered_ = 0;
};

/// A token's tail.
class TokenTail : public TokenCandidate {
 public:
  TokenTail(const TokenRule& rule, std::uint64_t place) : rule_(&rule) { begin(place); }
  /// False when it has ended.
  bool read(char c, std::uint64_t place);
  [[nodiscard]] const TokenRule& rule() const noexcept { return *rule_; }
  [[nodiscard]] bool confirmed() const noexcept { return confirmed_; }

 private:
  const TokenRule* rule_;
  std::size_t count_ = 0;  // until it is confirmed
  bool telling_ = false;   // some byte so far is an upper-case letter or a digit
  bool confirmed_ = false;
  bool dot_ = false;  // the last byte: part of the tail only if more follows
};

/// `user:password@` after `://`, or the password after a job's own user. Only the password is
/// masked, and left when it begins with `$` or `*`, which only stand for one.
class UrlPassword : public TokenCandidate {
 public:
  enum class State { user, password, host };
  static constexpr std::size_t max_user_bytes = 128;
  static constexpr std::size_t max_password_bytes = 256;
  static constexpr std::size_t max_login_bytes = 512;  ///< with the host: it may hold a last `@`

  UrlPassword(State state, std::uint64_t place) : state_(state) { start(place); }
  bool read(char c, std::uint64_t place);

 private:
  void start(std::uint64_t place);

  State state_;
  std::size_t count_ = 0;
};

/// The body of a PEM private key, from the first of its base64 lines to the last; its armour is
/// public and stays. Begins after `-----BEGIN `.
class PemBody : public TokenCandidate {
 public:
  static constexpr std::size_t min_line_bytes = 24;
  static constexpr std::size_t max_label_bytes = 48;
  static constexpr std::size_t max_gap_bytes = 512;  ///< headers of an encrypted key included
  static constexpr std::size_t max_break_bytes = 32;

  bool read(char c, std::uint64_t place);

 private:
  enum class State { label, gap, line, header, body };
  bool read_label(char c);
  bool read_gap(char c, std::uint64_t place);
  bool read_line(char c, std::uint64_t place);
  bool read_header(char c);
  bool read_body(char c, std::uint64_t place);
  [[nodiscard]] bool is_break(char c) const noexcept;

  State state_ = State::label;
  std::string label_;
  bool escape_ = false;    // the byte before was a backslash
  bool begins_ = false;    // the byte before was a line break, as it is or escaped
  bool named_ = false;     // the line is a header's name
  std::size_t gap_ = 0;    // bytes between the armour and the first line
  std::size_t count_ = 0;  // of the line; in the body: of a break
};

class TokenSearch {
 public:
  /// Looks at text[fresh, …), the stream's next bytes; what comes before is needed as far back as
  /// look_back_bytes. `base` is the text's place in the stream.
  void read(std::string_view text, std::size_t fresh, std::uint64_t base, TokenHits& hits);
  /// Where in the stream begins what can still become a credential; `end` if nothing can.
  [[nodiscard]] std::uint64_t open_from(std::uint64_t end) const noexcept;

  static constexpr std::size_t look_back_bytes = max_token_prefix_bytes + boundary_bytes;
  static constexpr std::size_t max_open_bytes = UrlPassword::max_login_bytes;

 private:
  struct Reading {
    std::string_view text;
    std::size_t fresh;
    std::uint64_t base;
    TokenHits& hits;
  };
  template <class Candidate>
  static bool run(const Reading& reading, Candidate& candidate, std::size_t at);
  template <class Candidate>
  static void run_all(const Reading& reading, std::vector<Candidate>& candidates);
  void start(const Reading& reading, std::size_t at);
  void start_token(const Reading& reading, std::size_t at);
  std::uint64_t& told_until(const TokenRule& rule);

  std::vector<TokenTail> tails_;
  std::vector<UrlPassword> urls_;
  std::vector<PemBody> keys_;
  /// By alphabet and parts: the end of the last tail. What begins within it is part of it.
  std::array<std::uint64_t, 6> told_until_{};
};

}  // namespace flow_runner
