#include "executor/token_search.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "executor/mask_bytes.hpp"

namespace flow_runner {
namespace {

constexpr std::string_view job_user = "gitlab-ci-token:";
constexpr std::string_view scheme_end = "://";
constexpr std::string_view pem_begin = "-----BEGIN ";
constexpr std::string_view github_long = "github_pat_";

// What ends a URL's user, password and host.
constexpr std::array<bool, 256> url_ends = [] {
  std::array<bool, 256> ends{};
  for (std::size_t c = 0; c <= ' '; ++c) ends[c] = true;
  for (const char c : std::string_view("/?#\"'<>`\\[]{}|\x7F"))
    ends[static_cast<unsigned char>(c)] = true;
  return ends;
}();

bool is_base64(char c) {
  return is_in(TokenAlphabet::letters_and_digits, c) || c == '+' || c == '/' || c == '=';
}

// Each byte 0xFF with which, and the next three, one of the prefixes may begin, or of a longer one
// a piece that is rare in text.
MaskBytes triggers(const char* text) {
  const MaskBytes a = load_mask_bytes(text);
  const MaskBytes b = load_mask_bytes(text + 1);
  const MaskBytes c = load_mask_bytes(text + 2);
  const MaskBytes d = load_mask_bytes(text + 3);
  MaskBytes found = bytes_equal(a, 'g') & bytes_equal(b, 'l') & ~bytes_equal(c, 'e');
  found |= bytes_equal(a, 's') & bytes_equal(b, 'k') & bytes_equal(c, '-');
  found |=
      bytes_equal(a, 'A') & ((bytes_equal(c, 'I') & (bytes_equal(b, 'K') | bytes_equal(b, 'S'))) |
                             (bytes_equal(b, 'I') & bytes_equal(c, 'z')));
  found |= bytes_equal(a, 'G') & bytes_equal(b, 'R') & bytes_equal(c, '1');
  found |= bytes_equal(d, '_') & ((bytes_equal(a, 'g') & bytes_equal(b, 'h')) |
                                  (bytes_equal(a, 'n') & bytes_equal(b, 'p')));
  found |= bytes_equal(a, 'b') & bytes_equal(b, '_') & bytes_equal(c, 'p');
  found |= bytes_equal(a, '-') & bytes_equal(b, 'B') & bytes_equal(c, 'E');
  found |= bytes_equal(a, ':') & bytes_equal(b, '/') & bytes_equal(c, '/');
  found |= bytes_equal(a, 'n') & bytes_equal(b, ':');
  return found;
}

// Calls use(at) for each place from `at` on that is a trigger.
template <class Use>
void for_each_trigger(std::string_view text, std::size_t at, Use use) {
  constexpr std::size_t window = sizeof(MaskBytes) + 3;
  const auto use_word = [&use](std::uint64_t word, std::size_t first) {
    for (word &= 0x0101010101010101ULL; word != 0; word &= word - 1)
      use(first + static_cast<std::size_t>(std::countr_zero(word)) / 8);
  };
  const auto use_flags = [&](MaskBytes flags) {
    const auto [low, high] = halves(flags);
    use_word(low, at);
    use_word(high, at + 8);
  };
  for (; at + window <= text.size(); at += sizeof(MaskBytes)) {
    const MaskBytes flags = triggers(text.data() + at);
    if (any_of(flags)) use_flags(flags);
  }
  for (; at < text.size(); at += sizeof(MaskBytes)) {
    char rest[window] = {};
    std::memcpy(rest, text.data() + at, std::min(window, text.size() - at));
    use_flags(triggers(rest));
  }
}

}  // namespace

bool TokenTail::read(char c, std::uint64_t place) {
  if (c == '.' && rule_->parts == TokenRule::Parts::dotted && !dot_ && count_ > 0) {
    dot_ = open_ = true;
    return true;
  }
  if (!is_in(rule_->alphabet, c)) return open_ = false;
  dot_ = false;
  if (!confirmed_) {
    ++count_;
    telling_ = telling_ || is_in(TokenAlphabet::upper_and_digits, c);
    open_ = true;
    if (count_ < rule_->min_bytes) return true;
    if (!telling_) return open_ = false;
    confirmed_ = true;
  }
  open_ = false;
  cover(place + 1);
  return true;
}

void UrlPassword::start(std::uint64_t place) {
  begin(place);
  count_ = 0;
  open_ = false;
}

bool UrlPassword::read(char c, std::uint64_t place) {
  if (url_ends[static_cast<unsigned char>(c)]) return open_ = false;
  ++count_;
  if (state_ == State::user) {
    if (c == '@' || count_ > max_user_bytes) return false;
    if (c != ':') return true;
    state_ = State::password;
    start(place + 1);
    return true;
  }
  if (count_ > (state_ == State::host ? max_login_bytes : max_password_bytes)) return open_ = false;
  if (state_ == State::password && count_ == 1 && (c == '$' || c == '*' || c == '@')) return false;
  open_ = true;
  if (c == '@') {
    // The last one ends the password: there may be more.
    state_ = State::host;
    cover(place);
  }
  return true;
}

bool PemBody::read(char c, std::uint64_t place) {
  const bool goes_on = [&] {
    switch (state_) {
      case State::label:
        return read_label(c);
      case State::gap:
        return read_gap(c, place);
      case State::line:
        return read_line(c, place);
      case State::header:
        return read_header(c);
      case State::body:
        return read_body(c, place);
    }
    return false;
  }();
  begins_ = c == '\n' || (escape_ && c == 'n');
  escape_ = c == '\\';
  if (!goes_on) open_ = false;
  return goes_on;
}

// "RSA PRIVATE KEY-----", "PGP PRIVATE KEY BLOCK-----".
bool PemBody::read_label(char c) {
  label_.push_back(c);
  const std::string_view label = label_;
  if (label.ends_with("PRIVATE KEY-----") || label.ends_with("PRIVATE KEY BLOCK-----")) {
    state_ = State::gap;
    return true;
  }
  return label_.size() < max_label_bytes &&
         (c == ' ' || c == '-' || is_in(TokenAlphabet::upper_and_digits, c));
}

// White space, or its escape within a string; the margin of a diff or a quoted mail.
bool PemBody::is_break(char c) const noexcept {
  if (begins_ && (c == '+' || c == '-' || c == '>')) return true;
  return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\\' ||
         (escape_ && (c == 'n' || c == 'r' || c == 't'));
}

bool PemBody::read_gap(char c, std::uint64_t place) {
  if (++gap_ > max_gap_bytes) return false;
  if (is_break(c)) return true;
  if (!is_in(TokenAlphabet::letters_and_digits, c)) return false;
  state_ = State::line;
  begin(place);
  count_ = 1;
  named_ = false;
  open_ = true;
  return true;
}

bool PemBody::read_line(char c, std::uint64_t place) {
  ++count_;
  if (++gap_ > max_gap_bytes) return false;
  if (c == ':') {
    state_ = State::header;
    open_ = false;
    return true;
  }
  if (c == '-') {
    named_ = true;
    open_ = false;
    return true;
  }
  if (!is_base64(c)) return false;
  if (named_ || count_ < min_line_bytes) return true;
  state_ = State::body;
  open_ = false;
  count_ = 0;
  cover(place + 1);
  return true;
}

bool PemBody::read_header(char c) {
  if (++gap_ > max_gap_bytes) return false;
  if (c == '\n' || (escape_ && c == 'n')) state_ = State::gap;
  return true;
}

bool PemBody::read_body(char c, std::uint64_t place) {
  if (is_break(c)) {
    open_ = true;
    return ++count_ <= max_break_bytes;
  }
  if (!is_base64(c)) return false;
  open_ = false;
  count_ = 0;
  cover(place + 1);
  return true;
}

template <class Candidate>
bool TokenSearch::run(const Reading& reading, Candidate& candidate, std::size_t at) {
  bool alive = true;
  for (; alive && at < reading.text.size(); ++at)
    alive = candidate.read(reading.text[at], reading.base + at);
  candidate.tell(reading.hits);
  return alive;
}

template <class Candidate>
void TokenSearch::run_all(const Reading& reading, std::vector<Candidate>& candidates) {
  std::erase_if(candidates,
                [&](Candidate& candidate) { return !run(reading, candidate, reading.fresh); });
}

void TokenSearch::read(std::string_view text, std::size_t fresh, std::uint64_t base,
                       TokenHits& hits) {
  const Reading reading{.text = text, .fresh = fresh, .base = base, .hits = hits};
  run_all(reading, tails_);
  for (const TokenTail& tail : tails_)
    if (tail.confirmed()) told_until(tail.rule()) = base + text.size();
  run_all(reading, urls_);
  run_all(reading, keys_);
  for_each_trigger(text, fresh - std::min(fresh, max_token_prefix_bytes),
                   [&](std::size_t at) { start(reading, at); });
}

void TokenSearch::start(const Reading& reading, std::size_t at) {
  const std::string_view text = reading.text;
  // Only prefixes that end in new bytes: of the others the candidates are known.
  const auto starts = [&](std::string_view prefix, std::size_t offset) {
    return at >= offset && text.substr(at - offset).starts_with(prefix) &&
           at - offset + prefix.size() > reading.fresh;
  };
  const auto try_start = [&](auto candidate, auto& candidates, std::size_t begin) {
    if (run(reading, candidate, begin)) candidates.push_back(std::move(candidate));
  };
  switch (text[at]) {
    case ':':
      if (starts(scheme_end, 0))
        try_start(UrlPassword(UrlPassword::State::user, reading.base + at + scheme_end.size()),
                  urls_, at + scheme_end.size());
      return;
    case '-':
      if (starts(pem_begin, 4)) try_start(PemBody(), keys_, at - 4 + pem_begin.size());
      return;
    case 'b':
      if (starts(github_long, 5)) start_token(reading, at - 5);
      return;
    case 'n':
      if (starts(job_user, job_user.size() - 2))
        try_start(UrlPassword(UrlPassword::State::password, reading.base + at + 2), urls_, at + 2);
      break;
    default:
      break;
  }
  start_token(reading, at);
}

std::uint64_t& TokenSearch::told_until(const TokenRule& rule) {
  return told_until_[static_cast<std::size_t>(rule.alphabet) * 2 +
                     static_cast<std::size_t>(rule.parts)];
}

void TokenSearch::start_token(const Reading& reading, std::size_t at) {
  if (!is_left_boundary(reading.text, at)) return;
  const std::string_view text = reading.text.substr(at);
  for (const TokenRule& rule : token_rules()) {
    if (!text.starts_with(rule.prefix)) continue;
    const std::size_t begin = at + rule.prefix.size();
    // What begins within a tail of the same kind is part of it; so no byte is read again and again.
    if (begin <= reading.fresh || reading.base + begin < told_until(rule)) continue;
    TokenTail tail(rule, reading.base + begin);
    const bool alive = run(reading, tail, begin);
    if (tail.confirmed()) told_until(rule) = tail.covered();
    if (alive) tails_.push_back(tail);
  }
}

std::uint64_t TokenSearch::open_from(std::uint64_t end) const noexcept {
  std::uint64_t open = end;
  const auto add = [&](const auto& candidates) {
    for (const auto& candidate : candidates) open = std::min(open, candidate.open_from(end));
  };
  add(tails_);
  add(urls_);
  add(keys_);
  return open;
}

}  // namespace flow_runner
