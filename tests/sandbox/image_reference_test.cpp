#include "sandbox/image_reference.hpp"

#include <doctest/doctest.h>
#include <string>
#include <vector>

using namespace flow_runner;

namespace {

const std::string digest = "sha256:" + std::string(64, 'a');

std::string normalized(std::string_view text) {
  const auto reference = ImageReference::parse(text);
  return reference ? reference->normalized() : "error: " + reference.error().message;
}

std::string why(std::string_view text) {
  const auto reference = ImageReference::parse(text);
  if (reference) return "accepted as " + reference->normalized();
  CHECK(reference.error().code == ErrorCode::invalid_input);
  return reference.error().message;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

ImageReference parsed(std::string_view text) { return ImageReference::parse(text).value(); }

}  // namespace

TEST_CASE("image reference: names are completed as Docker completes them") {
  CHECK(normalized("node:22") == "docker.io/library/node:22");
  CHECK(normalized("gradle:8") == "docker.io/library/gradle:8");
  CHECK(normalized("node") == "docker.io/library/node:latest");
  CHECK(normalized("team/tool:1") == "docker.io/team/tool:1");
  CHECK(normalized("docker.io/node") == "docker.io/library/node:latest");
  CHECK(normalized("index.docker.io/node:22") == "docker.io/library/node:22");
  CHECK(normalized("localhost/x") == "localhost/x:latest");
  CHECK(normalized("localhost:5000/x") == "localhost:5000/x:latest");
  CHECK(normalized("registry:5000/a/b@" + digest) == "registry:5000/a/b@" + digest);
  CHECK(normalized("registry.example.com/a/b/c:v1.2-x_y") == "registry.example.com/a/b/c:v1.2-x_y");
  CHECK(normalized("node:22@" + digest) == "docker.io/library/node:22@" + digest);
  CHECK(normalized("[2001:db8::1]:5000/x:1") == "[2001:db8::1]:5000/x:1");
  CHECK(normalized("a__b/c.d/e---f") == "docker.io/a__b/c.d/e---f:latest");
  CHECK(normalized("localhost:1") == "docker.io/library/localhost:1");
}

TEST_CASE("image reference: podman gets the digest instead of the tag") {
  CHECK(parsed("node:22@" + digest).pull_name() == "docker.io/library/node@" + digest);
  CHECK(parsed("node:22").pull_name() == "docker.io/library/node:22");
}

TEST_CASE("image reference: a wrong name is refused with the reason") {
  CHECK(contains(why(""), "empty"));
  CHECK(contains(why("Node:22"), "lower case"));
  CHECK(contains(why("node:"), "nothing follows"));
  CHECK(contains(why("node:-x"), "must begin with"));
  CHECK(contains(why("node:a b"), "may hold"));
  CHECK(contains(why("node:" + std::string(129, 'a')), "128"));
  CHECK(contains(why("--help"), "not valid in a name"));
  CHECK(contains(why("a//b"), "empty part"));
  CHECK(contains(why("/a"), "empty part"));
  CHECK(contains(why("a/"), "empty part"));
  CHECK(contains(why("a___b"), "not valid"));
  CHECK(contains(why("a..b"), "not valid"));
  CHECK(contains(why("a/../b"), "not valid"));
  CHECK(contains(why("registry:99999/x"), "port"));
  CHECK(contains(why("registry:0/x"), "port"));
  CHECK(contains(why("registry:/x"), "port"));
  CHECK(contains(why("-evil.com/x"), "host name"));
  CHECK(contains(why("a..com/x"), "host name"));
  CHECK(contains(why("user:pw@host/x"), "sha256"));
  CHECK(contains(why("node@sha256:abc"), "64 lower-case hex"));
  CHECK(contains(why("node@sha256:" + std::string(64, 'A')), "64 lower-case hex"));
  CHECK(contains(why("node@md5:" + std::string(32, 'a')), "sha256"));
  CHECK(contains(why(std::string(64, 'a')), "image id"));
  CHECK(contains(why("docker://node"), "port"));
  CHECK(contains(why("node\n22"), "image 'node?22'"));
  CHECK(contains(why(std::string("node\0x", 6)), "not valid"));
  CHECK(contains(why(std::string(600, 'a')), "512"));
  CHECK(contains(why(std::string(200, 'a') + "/" + std::string(100, 'b')), "255"));
}

TEST_CASE("image reference: images.allow covers what it names and no more") {
  const auto check = [](std::string pattern, std::string_view image) {
    return allowed({std::move(pattern)}, parsed(image));
  };
  CHECK(check("*", "registry.example.com/a/b:1"));
  CHECK(check("node", "node:22"));
  CHECK(check("node:*", "node:22"));
  CHECK(check("node:22*", "docker.io/library/node:22-slim"));
  CHECK(check("docker.io/**", "node:22"));
  CHECK(check("registry.example.com/**", "registry.example.com/a/b@" + digest));
  CHECK(check("registry.example.com/*", "registry.example.com/a:1"));
  CHECK(check("*.example.com/**", "r.example.com/a/b"));
  CHECK(check("registry:5000/a/*:v?", "registry:5000/a/b:v1"));
  CHECK(check("node@" + digest, "node:22@" + digest));
  CHECK(check("**/node:22", "registry.example.com/a/node:22"));

  CHECK_FALSE(allowed({}, parsed("node")));
  CHECK_FALSE(check("node", "nodeevil:22"));
  CHECK_FALSE(check("node:22", "node:23"));
  CHECK_FALSE(check("node:22", "node@" + digest));
  CHECK_FALSE(check("node@" + digest, "node:22"));
  CHECK_FALSE(check("node*", "docker.io/nodeevil/x"));
  CHECK_FALSE(check("registry.example.com/*", "registry.example.com/a/b:1"));
  CHECK_FALSE(check("*.example.com/x", "evil.com/a.example.com/x"));
  CHECK_FALSE(check("registry.example.com/**", "registry.example.com.evil.org/a"));
  CHECK_FALSE(check("team/**", "registry.example.com/team/x"));
}

TEST_CASE("image reference: many wildcards are matched in bounded time") {
  std::string pattern = "registry.example.com/";
  for (int i = 0; i < 60; ++i) pattern += "*a";
  CHECK_FALSE(allowed({pattern + "b"}, parsed("registry.example.com/" + std::string(200, 'a'))));
}

TEST_CASE("image reference: latest is pulled each time unless somebody said otherwise") {
  using enum PullPolicy;
  CHECK(effective_pull_policy({}, parsed("node")) == always);
  CHECK(effective_pull_policy({}, parsed("node:latest")) == always);
  CHECK(effective_pull_policy({}, parsed("node:22")) == if_not_present);
  CHECK(effective_pull_policy({}, parsed("node@" + digest)) == if_not_present);
  CHECK(effective_pull_policy({}, parsed("node:latest@" + digest)) == if_not_present);
  CHECK(effective_pull_policy({}, parsed("node:22"), always) == always);
  CHECK(effective_pull_policy({}, parsed("node"), never) == never);
  CHECK(effective_pull_policy(if_not_present, parsed("node")) == if_not_present);
  CHECK(effective_pull_policy(always, parsed("node:22")) == always);
  CHECK(effective_pull_policy(always, parsed("localhost/x")) == never);
  CHECK(effective_pull_policy(always, parsed("localhost:5000/x:1")) == always);
}
