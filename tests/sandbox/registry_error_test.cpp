#include "sandbox/registry_error.hpp"

#include <doctest/doctest.h>
#include <string>

using namespace flow_runner;

namespace {

Error error_for(std::string_view image, const std::string& output) {
  return registry_error(ImageReference::parse(image).value(), output);
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

TEST_CASE("registry error: the code follows what podman 4.3 prints for each kind of failure") {
  const std::string begin =
      "Trying to pull r.example.com/team/x:1...\nError: initializing source "
      "docker://r.example.com/team/x:1: ";
  const auto code = [&](const std::string& end) {
    return error_for("r.example.com/team/x:1", begin + end).code;
  };
  CHECK(code("reading manifest 1 in r.example.com/team/x: manifest unknown") ==
        ErrorCode::not_found);
  CHECK(code("reading manifest 1 in r.example.com/team/x: name unknown") == ErrorCode::not_found);
  CHECK(code("reading manifest 1 in r.example.com/team/x: StatusCode: 404, nothing") ==
        ErrorCode::not_found);
  CHECK(code("choosing an image from manifest list docker://x: no image found in manifest list for "
             "architecture amd64") == ErrorCode::not_found);
  CHECK(code("reading manifest 1 in r.example.com/team/x: unauthorized") == ErrorCode::denied);
  CHECK(code("reading manifest 1 in r.example.com/team/x: denied") == ErrorCode::denied);
  CHECK(code("reading manifest 1 in docker.io/a/b: errors:\ndenied: requested access to the "
             "resource is "
             "denied\nunauthorized: authentication required") == ErrorCode::denied);
  CHECK(code("pinging container registry r.example.com: Get \"https://r.example.com/v2/\": x509: "
             "certificate "
             "signed by unknown authority") == ErrorCode::denied);
  CHECK(
      code("pinging container registry r.example.com: Get \"https://r.example.com/v2/\": dial tcp "
           "127.0.0.1:1: connect: connection refused") == ErrorCode::unavailable);
  CHECK(code("dial tcp: lookup r.example.com on 10.0.0.1:53: no such host") ==
        ErrorCode::unavailable);
  CHECK(code("received unexpected HTTP status: 503 Service Unavailable") == ErrorCode::unavailable);
  CHECK(code("toomanyrequests: pull rate limit, unauthorized users wait") ==
        ErrorCode::unavailable);
  CHECK(code("tls: first record does not look like a TLS handshake") == ErrorCode::invalid_input);
  CHECK(code("writing blob: write /var/x: no space left on device") == ErrorCode::invalid_input);
  CHECK(code("something nobody has seen") == ErrorCode::unavailable);
  CHECK(error_for("x", "").code == ErrorCode::unavailable);
}

TEST_CASE("registry error: an image's name does not choose the code") {
  const Error error =
      error_for("r.example.com/denied/unauthorized:1",
                "Error: initializing source docker://r.example.com/denied/unauthorized:1: reading "
                "manifest 1 in r.example.com/denied/unauthorized: received unexpected HTTP "
                "status: 503 Service Unavailable");
  CHECK(error.code == ErrorCode::unavailable);
  CHECK(
      contains(error.message, "cannot pull r.example.com/denied/unauthorized:1: reading manifest"));
}

TEST_CASE("registry error: the last error counts, not the warnings about retries") {
  const Error error = error_for("r.example.com/x:1",
                                "time=\"now\" level=warning msg=\"Failed, retrying in 1s ... "
                                "(1/3). Error: connection refused\"\n"
                                "Error: initializing source docker://r.example.com/x:1: reading "
                                "manifest: manifest unknown\n");
  CHECK(error.code == ErrorCode::not_found);
  CHECK_FALSE(contains(error.message, "retrying"));
}

TEST_CASE("registry error: no credential and no control character comes through") {
  const Error error = error_for(
      "r.example.com/x:1",
      "Error: Get \"https://robot:hunter2@r.example.com/v2/?sig=hunter3&x=y\": redirected to "
      "https://a@b:hunter4@cdn.example.com/blob#hunter5 with Authorization: Bearer hunter6hunter6 "
      "and "
      "Basic hunter7hunter7hunter7==, \x1b[31mred\x07\xff");
  CHECK_FALSE(contains(error.message, "hunter"));
  CHECK(contains(error.message, "https://r.example.com/v2/?..."));
  CHECK(contains(error.message, "cdn.example.com/blob?..."));
  for (const char c : error.message) CHECK((c >= ' ' && c <= '~'));
}

TEST_CASE("registry error: an endless answer is cut") {
  CHECK(safe_output_line(std::string(1'000'000, 'x')).size() <= 1003);
  CHECK(safe_output_line("https://" + std::string(900, 'u') + ":hunter2" + std::string(200, 'p') +
                         "@host/") == "https://host/");
  CHECK_FALSE(contains(safe_output_line("https://" + std::string(20000, 'u') + "@host/"), "@"));
  CHECK(safe_output_line(" \t\n").empty());
}
