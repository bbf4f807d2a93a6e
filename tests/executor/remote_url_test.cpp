#include "executor/remote_url.hpp"

#include <doctest/doctest.h>
#include <string>
#include <vector>

using namespace flow_runner;

namespace {

std::string normal(std::string_view text, TokenGiven token = TokenGiven::no) {
  const auto url = parse_remote_url(text, token);
  return url ? url->text() : "error: " + url.error().message;
}

}  // namespace

TEST_CASE("remote url: one repository has one normal form") {
  CHECK(normal("https://host/group/project.git") == "https://host/group/project.git");
  CHECK(normal("HTTPS://Host.Example:443//group/project/") == "https://host.example/group/project");
  CHECK(normal("http://host:80/p") == "http://host/p");
  CHECK(normal("http://127.0.0.1:8080/a/b") == "http://127.0.0.1:8080/a/b");
  CHECK(normal("https://[::1]:8443/a") == "https://[::1]:8443/a");
  CHECK(normal("/srv/git//x/../project.git/") == "/srv/git/project.git");
  CHECK(normal("file:///srv/git/project") == "/srv/git/project");
  CHECK(normal("/") == "/");
}

TEST_CASE(
    "remote url: the origin, which a credential is scoped to, has a port only when it is not the "
    "scheme's") {
  CHECK(parse_remote_url("https://host:443/a")->origin() == "https://host");
  CHECK(parse_remote_url("https://host:8443/a")->origin() == "https://host:8443");
  CHECK(parse_remote_url("http://host:443/a")->origin() == "http://host:443");
  CHECK(parse_remote_url("/a")->origin().empty());
}

TEST_CASE("remote url: the project's path is what follows the host, without .git") {
  CHECK(parse_remote_url("https://host/group/sub/project.git")->project_path() ==
        "group/sub/project");
  CHECK(parse_remote_url("https://host/.git")->project_path() == ".git");
  CHECK(parse_remote_url("/home/me/my project")->project_path() == "local/my-project");
  CHECK(parse_remote_url("/home/me/.dotfiles")->project_path() == "local/dotfiles");
  CHECK(parse_remote_url("/")->project_path() == "local/repository");
}

TEST_CASE("remote url: a user name or password is refused and not repeated") {
  for (const char* text : {"https://user@host/p", "https://user:s3cret-token@host/p",
                           "https://s3cret-token@host:443/p", "http://a:s3cret-token@host",
                           "https:/oauth2:s3cret-token@host/p", "https:oauth2:s3cret-token@host/p",
                           "git:s3cret-token@host:group/p", "ssh://git:s3cret-token@host/p",
                           "oauth2:s3cret-token@host/p"}) {
    CAPTURE(text);
    for (const auto token : {TokenGiven::no, TokenGiven::yes}) {
      const auto url = parse_remote_url(text, token);
      REQUIRE(url.has_error());
      CHECK(url.error().code == ErrorCode::invalid_input);
      CHECK(url.error().message.find("s3cret") == std::string::npos);
    }
  }
  CHECK(normal("https://user:x@host/p").find("--git-token-from") != std::string::npos);
}

TEST_CASE(
    "remote url: an ssh address becomes https when there is a token, else the cure is named") {
  for (const char* text :
       {"git@host.example:group/project.git", "ssh://git@host.example/group/project.git",
        "ssh://git@host.example:2222/group/project.git", "host.example:group/project.git"}) {
    CAPTURE(text);
    CHECK(normal(text, TokenGiven::yes) == "https://host.example/group/project.git");
    const auto refused = parse_remote_url(text);
    REQUIRE(refused.has_error());
    CHECK(refused.error().message.find("https://host.example/group/project.git") !=
          std::string::npos);
  }
}

TEST_CASE("remote url: what git or a server could take for something else is refused") {
  for (const std::string& text :
       std::vector<std::string>{"",
                                "project",
                                "./project",
                                "ext::sh -c id",
                                "git://host/p",
                                "ftp://host/p",
                                "https://",
                                "https://host",
                                "https://host/",
                                "https://-oProxyCommand=x/p",
                                "https://host:0/p",
                                "https://host:65536/p",
                                "https://host:8a/p",
                                "https://host/a/../b",
                                "https://host/a/%2e%2e/b",
                                "https://host/a%2fb",
                                "https://host/a%0ab",
                                "https://host/a%",
                                "https://host/a?x=1",
                                "https://host/a#x",
                                "https://host/a b",
                                "https://ho st/a",
                                "https://host/a\nb",
                                std::string("https://host/a\0b", 16),
                                "file://host/p",
                                "https://host/" + std::string(3000, 'a')}) {
    CAPTURE(text);
    const auto url = parse_remote_url(text, TokenGiven::yes);
    REQUIRE(url.has_error());
    CHECK(url.error().code == ErrorCode::invalid_input);
  }
}
