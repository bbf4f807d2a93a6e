// How fast the masker is: 50 secrets in all forms, ordinary log text, one core.
#include <algorithm>
#include <cstdio>
#include <string>
#include <time.h>
#include <vector>

#include "executor/masker.hpp"
#include "executor/secret_forms.hpp"
#include "tests/executor/masker_reference.hpp"

namespace {

using namespace flow_runner;

constexpr std::size_t text_bytes = 32U << 20;
constexpr std::string_view letters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

// Of this thread's own time: what else the machine does is not the masker's.
double cpu_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// What jobs carry: access tokens, API keys, passwords with punctuation, URLs with a token, two PEM
// keys.
std::vector<MaskedValue> fifty_secrets(test::Random& random) {
  std::vector<MaskedValue> secrets;
  for (int i = 0; i < 20; ++i) secrets.push_back(test::marked("glpat-" + random.text(20, letters)));
  for (int i = 0; i < 14; ++i)
    secrets.push_back(test::derived("sk-ant-api03-" + random.text(80, letters)));
  for (int i = 0; i < 10; ++i)
    secrets.push_back(
        test::marked(random.text(12 + random.below(8), "abcdefgh0123456789!$%&/+=\"")));
  for (int i = 0; i < 4; ++i)
    secrets.push_back(test::derived("https://oauth2:" + random.text(20, letters) +
                                    "@gitlab.example.com/group/project.git"));
  for (int i = 0; i < 2; ++i) {
    std::string key = "-----BEGIN PRIVATE KEY-----\n";
    for (int line = 0; line < 26; ++line) key += random.text(64, letters) + "\n";
    secrets.push_back(test::marked(key + "-----END PRIVATE KEY-----\n"));
  }
  return secrets;
}

std::string words(test::Random& random, std::size_t count) {
  constexpr const char* some[] = {"the",     "agent",   "reads",  "file",   "test",
                                  "error",   "warning", "module", "value",  "result",
                                  "package", "build",   "with",   "update", "return",
                                  "config",  "null",    "server", "token",  "request"};
  std::string out;
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) out.push_back(' ');
    out += some[random.below(std::size(some))];
  }
  return out;
}

std::string number(test::Random& random) { return std::to_string(random.below(100'000)); }

std::string source_code(test::Random& random) {
  switch (random.below(5)) {
    case 0:
      return "  const value_" + number(random) + " = await request(config, { retries: 3 });\n";
    case 1:
      return "    if (result->size() > " + number(random) + ") return std::nullopt;\n";
    case 2:
      return "// " + words(random, 9) + ".\n";
    case 3:
      return "}\n\n";
    default:
      return "def update_" + number(random) + "(self, " + words(random, 1) + "=None):\n";
  }
}

std::string package_lines(test::Random& random) {
  switch (random.below(4)) {
    case 0:
      return "Get:" + number(random) + " http://deb.example.org/debian bookworm/main amd64 lib" +
             words(random, 1) + number(random) + " amd64 1.2." + number(random) + "-1 [12.3 kB]\n";
    case 1:
      return "npm http fetch GET 200 https://registry.example.org/" + words(random, 1) + "-" +
             number(random) + " " + number(random) + "ms (cache miss)\n";
    case 2:
      return "Unpacking " + words(random, 1) + number(random) + " (1.0-" + number(random) +
             ") ...\n";
    default:
      return "npm warn deprecated " + words(random, 1) + "@1.2.3: " + words(random, 7) + "\n";
  }
}

std::string json_events(test::Random& random) {
  return R"({"type":"assistant","message":{"id":"msg_)" + random.text(24, letters) +
         R"(","content":[{"type":"text","text":")" + words(random, 12) + R"(\n\n)" +
         words(random, 15) + R"("}],"usage":{"input_tokens":)" + number(random) +
         R"(,"output_tokens":)" + number(random) + "}}}\n";
}

template <class Line>
std::string text_of(Line line) {
  test::Random random(42);
  std::string text;
  while (text.size() < text_bytes) text += line(random);
  return text;
}

void measure(const char* name, const std::string& text,
             const std::shared_ptr<const MaskerPatterns>& patterns, std::size_t write_bytes) {
  double best = 0;
  std::size_t masked_bytes = 0;
  for (int round = 0; round < 5; ++round) {
    Masker masker(patterns);
    std::string out;
    masked_bytes = 0;
    const double start = cpu_seconds();
    for (std::size_t at = 0; at < text.size(); at += write_bytes) {
      out.clear();
      masker.write(std::string_view(text).substr(at, write_bytes), out);
      masked_bytes += out.size();
    }
    masker.flush(out);
    best = std::max(best, static_cast<double>(text.size()) / 1e6 / (cpu_seconds() - start));
  }
  std::printf("%-26s writes of %6zu bytes: %7.0f MB/s (%zu bytes out)\n", name, write_bytes, best,
              masked_bytes);
}

void measure_compile(const char* name, const std::vector<MaskedValue>& values) {
  std::size_t bytes = 0;
  const auto all = test::all_patterns(values);
  for (const SecretPattern& pattern : all) bytes += pattern.bytes.size();
  const double start = cpu_seconds();
  const auto patterns = MaskerPatterns::compile(values);
  std::printf("%-26s %zu patterns of %zu bytes: %.1f ms\n", name, all.size(), bytes,
              (cpu_seconds() - start) * 1e3);
}

}  // namespace

int main() {
  test::Random random(1);
  const auto secrets = fifty_secrets(random);
  const auto patterns = MaskerPatterns::compile(secrets);
  measure_compile("compile, 50 secrets", secrets);
  measure_compile("compile, 1 MiB of bytes",
                  {test::marked(random.text(1U << 20, std::string(letters) + " \"/+\\\xff"))});

  const std::string code = text_of(source_code);
  const std::string packages = text_of(package_lines);
  const std::string events = text_of(json_events);
  const std::string encoded = text_of([](test::Random& r) { return r.text(76, letters) + "\n"; });
  for (std::size_t write_bytes : {std::size_t{64 * 1024}, std::size_t{4096}, std::size_t{80}}) {
    measure("source code", code, patterns, write_bytes);
    measure("package managers", packages, patterns, write_bytes);
    measure("JSON events", events, patterns, write_bytes);
    measure("base64", encoded, patterns, write_bytes);
  }
  auto with_short = secrets;
  with_short.push_back(test::marked("hunter2"));
  with_short.push_back(test::marked("q7"));
  measure("source code, short secrets", code, MaskerPatterns::compile(with_short), 64 * 1024);
  return 0;
}
