#include "executor/git_output.hpp"

#include <doctest/doctest.h>
#include <string>
#include <vector>

using namespace flow_runner;

namespace {

Error failure(std::string_view text) {
  return git_failure("git fetch from https://h/p", 128, text, {});
}

std::vector<std::string> progress(const std::vector<std::string>& pieces, Sanitizer sanitize = {}) {
  std::vector<std::string> lines;
  ProgressLines splitter(std::move(sanitize),
                         [&](std::string_view line) { lines.emplace_back(line); });
  for (const auto& piece : pieces) splitter.write(piece);
  return lines;
}

}  // namespace

TEST_CASE("git output: each failure says what the caller can do") {
  struct Row {
    const char* text;
    ErrorCode code;
    const char* advice;
  };
  for (const Row& row : std::vector<Row>{
           {"fatal: could not read Username for 'https://h': terminal prompts disabled",
            ErrorCode::denied, "--git-token-from"},
           {"remote: HTTP Basic: Access denied\nfatal: Authentication failed for 'https://h/p/'",
            ErrorCode::denied, "token"},
           {"fatal: unable to access 'https://h/p/': The requested URL returned error: 403",
            ErrorCode::denied, "token"},
           {"fatal: repository 'https://h/p/' not found", ErrorCode::not_found, "address"},
           {"fatal: unable to access 'https://h/p/': Could not resolve host: h",
            ErrorCode::unavailable, "DNS"},
           {"fatal: unable to access 'https://h/p/': Failed to connect to h port 443 after 0 ms: "
            "Couldn't connect to "
            "server",
            ErrorCode::unavailable, "try again"},
           {"fatal: unable to access 'https://h/p/': server certificate verification failed. "
            "CAfile: none CRLfile: "
            "none",
            ErrorCode::unavailable, "--ca-file"},
           {"fatal: unable to access 'https://h/p/': SSL certificate problem: unable to get local "
            "issuer certificate",
            ErrorCode::unavailable, "--ca-file"},
           {"fatal: unable to access 'https://h/p/': gnutls_handshake() failed: Handshake failed",
            ErrorCode::unavailable, "--ca-file"},
           {"error: RPC failed; curl 28 Operation too slow. Less than 1 bytes/sec transferred the "
            "last 60 seconds",
            ErrorCode::timed_out, "try again"},
           {"error: RPC failed; HTTP 502 curl 22 The requested URL returned error: 502",
            ErrorCode::unavailable, "fault"},
           {"fatal: '/x' does not appear to be a git repository", ErrorCode::not_found, "folder"},
           {"fatal: write error: No space left on device", ErrorCode::unavailable, "disk"},
           {"fatal: unable to update url base from redirection:\n  asked for: a\n   redirect: b",
            ErrorCode::invalid_input, "redirects"},
           {"something new", ErrorCode::internal, "something new"},
           {"", ErrorCode::internal, "exit code 128"}}) {
    CAPTURE(row.text);
    const Error error = failure(row.text);
    CHECK(error.code == row.code);
    CHECK(error.message.find(row.advice) != std::string::npos);
    CHECK(error.message.starts_with("git fetch from https://h/p failed"));
  }
}

TEST_CASE("git output: an error is sanitized before it is cut, printable, and bounded") {
  const Sanitizer masks = [](std::string_view text) {
    std::string result(text);
    for (std::size_t at = 0; (at = result.find("glpat-secret", at)) != std::string::npos;)
      result.replace(at, 12, "[MASKED]");
    return result;
  };
  std::string text;
  for (int i = 0; i < 200; ++i) text += "remote: \x1b[31mglpat-secret\xff \xe2\x80\xae x\n";
  const Error error = git_failure("git push", 1, text, masks);
  CHECK(error.message.find("glpat") == std::string::npos);
  CHECK(error.message.find("[MASKED]") != std::string::npos);
  CHECK(error.message.find('\x1b') == std::string::npos);
  CHECK(error.message.find('\xff') == std::string::npos);
  CHECK(error.message.find("\xe2\x80\xae") == std::string::npos);
  CHECK(error.message.size() < 500);
}

TEST_CASE("git output: progress comes as lines, however it was split, with few percentages") {
  CHECK(progress({"remote: Enumer", "ating objects: 5, done.\n",
                  "Receiving objects:   1% (1/100)\rReceiving objects",
                  ":   2% (2/100)\rReceiving objects:  50% (50/100)\rReceiving objects: 100% "
                  "(100/100), done.\n"}) ==
        std::vector<std::string>{
            "remote: Enumerating objects: 5, done.", "Receiving objects:   1% (1/100)",
            "Receiving objects:  50% (50/100)", "Receiving objects: 100% (100/100), done."});
}

TEST_CASE(
    "git output: a line that is too long is left out whole, so that no half of a secret shows") {
  const auto lines = progress({std::string(9000, 'x') + "secret\nnext\n"});
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].find("xx") == std::string::npos);
  CHECK(lines[1] == "next");
}

TEST_CASE("git output: refs are read with the branch that HEAD names") {
  const std::string one(40, '1');
  const std::string two(40, '2');
  const auto refs = parse_remote_refs("ref: refs/heads/main\tHEAD\n" + one + "\tHEAD\n" + two +
                                      "\trefs/tags/v1\n" + one + "\trefs/tags/v1^{}\n");
  REQUIRE(refs.has_value());
  CHECK(refs->head_branch == "refs/heads/main");
  CHECK(refs->find("HEAD") == one);
  CHECK(refs->find("refs/tags/v1^{}") == one);
  CHECK_FALSE(refs->find("refs/heads/x"));
  CHECK(parse_remote_refs("")->commits.empty());
  CHECK(parse_remote_refs("no tab\n").has_error());
  CHECK(parse_remote_refs(std::string(64, 'a') + "\tHEAD\n").error().message.find("SHA-256") !=
        std::string::npos);
}
