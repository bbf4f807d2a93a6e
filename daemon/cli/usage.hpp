// Usage: what is said about a command line that cannot be understood.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace flow_runner::cli {

/// The one of `known` that was probably meant; empty: none is near enough.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

/// The sentence for words that no command or option takes. A word that is no option is not
/// repeated, nor is what follows `=`: either may be a secret.
std::string unexpected_words(const std::vector<std::string>& words,
                             const std::vector<std::string>& known_options);

}  // namespace flow_runner::cli
