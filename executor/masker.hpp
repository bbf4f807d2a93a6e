// Masker: replaces secrets, in every covered form, in a stream of bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/secret.hpp"

namespace flow_runner {

/// One secret to look for.
struct MaskedValue {
  std::string name;  ///< variable's name, for reports; never replaced into the output
  Secret value;
  bool marked =
      false;  ///< marked masked by its owner: masked at any length (see min_derived_bytes)
};

/// The compiled, immutable set of all patterns: shared by any number of Maskers and scans, on any
/// thread. Forms: the raw value, each of its lines (of 8 bytes and more, 4 for a marked value),
/// base64 standard and URL-safe in all three alignments and in lines of any width,
/// percent-encoding, JSON, shell and C quoting; see secret_forms.hpp; bytes as hexadecimal, octal
/// or decimal numbers, whatever separates them; see MaskFold. Besides, what nobody named: tokens,
/// passwords in URLs, private keys; see TokenSearch. Time and memory are linear in the bytes of all
/// patterns: some 25 times a value of letters and digits, up to 120 times one that every encoder
/// spells in its own way. Throws std::length_error at 4 GiB of patterns.
class MaskerPatterns {
 public:
  /// A value that is not marked and shorter is not masked: it would tear ordinary text.
  static constexpr std::size_t min_derived_bytes = 8;

  static std::shared_ptr<const MaskerPatterns> compile(const std::vector<MaskedValue>& values);

  /// A secret found: [begin, end) in the scanned text.
  struct Hit {
    std::size_t begin = 0;
    std::size_t end = 0;
    std::string_view name;  ///< lives as long as the patterns
  };
  /// All secrets whose raw value (for a single line: the line) has at least min_bytes, in any form,
  /// in `text`, by place: the publication scan. Overlapping hits of one secret are one. The armour
  /// lines of a PEM key alone are no secret, and what only looks like a token is not one of them.
  [[nodiscard]] std::vector<Hit> find(std::string_view text, std::size_t min_bytes) const;

  /// The largest number of bytes that a Masker can hold back.
  [[nodiscard]] std::size_t max_held_bytes() const noexcept;

  struct Automaton;
  explicit MaskerPatterns(std::unique_ptr<const Automaton> automaton);
  ~MaskerPatterns();
  [[nodiscard]] const Automaton& automaton() const noexcept { return *automaton_; }

 private:
  std::unique_ptr<const Automaton> automaton_;
};

/// Masks one stream. The output is a function of the concatenated input only, however it was split,
/// and equals mask_text() of the whole. Bytes that can still become part of a secret are held back
/// until more input or flush(). Overlapping and adjacent hits become one "[MASKED]" each maximal
/// covered run.
class Masker {
 public:
  explicit Masker(std::shared_ptr<const MaskerPatterns> patterns);
  Masker(Masker&&) noexcept;
  Masker& operator=(Masker&&) noexcept;
  ~Masker();

  /// Appends what can be said by now to `out`.
  void write(std::string_view input, std::string& out);
  /// End of the stream: appends what was held back (it is no secret) and starts afresh.
  void flush(std::string& out);

 private:
  struct Stream;
  friend std::string mask_text(const MaskerPatterns& patterns, std::string_view text);
  std::shared_ptr<const MaskerPatterns> patterns_;
  std::unique_ptr<Stream> stream_;
};

/// Masks a whole text.
std::string mask_text(const MaskerPatterns& patterns, std::string_view text);

/// MaskerPatterns::find() for a text that comes in pieces, however split: holds a few bytes only.
class SecretScanner {
 public:
  /// Beyond so many the rest of the text is not looked at; which ones are kept then is not defined.
  static constexpr std::size_t max_findings = 20;

  struct Finding {
    std::string name;        ///< of the variable, never its value
    std::uint64_t line = 0;  ///< where the secret begins; the first line is 1
    bool operator==(const Finding&) const = default;
  };

  SecretScanner(std::shared_ptr<const MaskerPatterns> patterns, std::size_t min_bytes);
  SecretScanner(SecretScanner&&) noexcept;
  SecretScanner& operator=(SecretScanner&&) noexcept;
  ~SecretScanner();

  void write(std::string_view text);
  /// Where begins what looks like a credential though nobody named it, since the last finish(): to
  /// be asked before it. Ascending lines, each once, at most max_findings.
  [[nodiscard]] std::vector<std::uint64_t> suspect_lines() const;
  /// What was found since the last finish(), each name and line once, by line and name; starts
  /// afresh.
  std::vector<Finding> finish();

 private:
  struct Stream;
  std::shared_ptr<const MaskerPatterns> patterns_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace flow_runner
