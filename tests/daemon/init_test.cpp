#include <doctest/doctest.h>

#include "config/reference_flows.hpp"
#include "daemon/cli/init_command.hpp"
#include "tests/fixtures/program.hpp"
#include "tests/fixtures/temporary_directory.hpp"

using namespace flow_runner;
using namespace flow_runner::cli;
using fixtures::slurp;
using fixtures::TemporaryDirectory;

namespace {

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

/// What makes a folder a repository to find_repository.
void make_repository(const std::filesystem::path& folder) {
  fixtures::write_file(folder / ".git/HEAD", "ref: refs/heads/main\n");
  fixtures::write_file(folder / ".git/config", "[core]\n\tbare = false\n");
}

}  // namespace

TEST_CASE("init: writes the file of config/flows, byte for byte, and says what it needs") {
  for (const auto& flow : reference_flows()) {
    CAPTURE(flow.agent);
    const TemporaryDirectory folder;
    const auto told = init_flow({.agent = flow.agent}, folder.path());
    REQUIRE_MESSAGE(told.has_value(), (told ? "" : told.error().message));
    const auto file = ".gitlab/duo/flows/" + flow.agent + ".yaml";
    CHECK(slurp(folder / file) ==
          slurp(fixtures::source_root() / "config/flows" / (flow.agent + ".yaml")));
    CHECK(has(*told, "flow-runner lint " + file + "\n"));
    CHECK(has(*told, "flow-runner exec " + file + " "));
    for (const auto& name : flow_notes(flow.text).required) {
      CHECK(has(*told, "\n  " + name + " "));
      CHECK(has(*told, " --secret " + name + " "));
    }
    for (const auto& entry : flow_notes(flow.text).network)
      CHECK(has(*told, " --network-allow " + entry));
    CHECK(has(*told, "masked, not protected"));
    CHECK(has(*told, "write_repository"));
  }
}

TEST_CASE("init: from a folder of a repository, the file is put at the repository's top") {
  const TemporaryDirectory folder;
  make_repository(folder.path());
  std::filesystem::create_directories(folder / "src/deep");
  const auto told = init_flow({.agent = "claude"}, folder / "src/deep");
  REQUIRE_MESSAGE(told.has_value(), (told ? "" : told.error().message));
  const auto file = folder / ".gitlab/duo/flows/claude.yaml";
  CHECK(std::filesystem::exists(file));
  // Not below the current folder: only the whole path can be typed there.
  CHECK(has(*told, "flow-runner lint " + file.string() + "\n"));
}

TEST_CASE("init: a broken repository is said, and nothing is written") {
  const TemporaryDirectory folder;
  fixtures::write_file(folder / ".git/description", "no HEAD\n");
  const auto refused = init_flow({.agent = "claude"}, folder.path());
  REQUIRE_FALSE(refused.has_value());
  CHECK(has(refused.error().message, "HEAD"));
  CHECK_FALSE(std::filesystem::exists(folder / ".gitlab"));
}

TEST_CASE("init: a file with other content is left alone, unless forced") {
  const TemporaryDirectory folder;
  const auto file = folder / ".gitlab/duo/flows/codex.yaml";
  fixtures::write_file(file, "mine: true\n");
  const auto refused = init_flow({.agent = "codex"}, folder.path());
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == ErrorCode::invalid_input);
  CHECK(has(refused.error().message, "--force"));
  CHECK(slurp(file) == "mine: true\n");

  REQUIRE(init_flow({.agent = "codex", .force = true}, folder.path()).has_value());
  CHECK(has(slurp(file), "codex exec"));
  // The same content again is no reason to refuse.
  CHECK(init_flow({.agent = "codex"}, folder.path()).has_value());
}

TEST_CASE("init: a link that leads nowhere is not followed") {
  const TemporaryDirectory folder;
  std::filesystem::create_symlink(folder / "elsewhere", folder / "flow.yaml");
  CHECK_FALSE(init_flow({.agent = "claude", .output = "flow.yaml"}, folder.path()).has_value());
  CHECK_FALSE(std::filesystem::exists(folder / "elsewhere"));
}

TEST_CASE("init: --output names another file") {
  const TemporaryDirectory folder;
  make_repository(folder.path());
  const auto told = init_flow({.agent = "gemini", .output = "ci/agents/g.yml"}, folder.path());
  REQUIRE_MESSAGE(told.has_value(), (told ? "" : told.error().message));
  CHECK(has(slurp(folder / "ci/agents/g.yml"), "gemini --yolo"));
  CHECK(has(*told, "flow-runner lint ci/agents/g.yml\n"));
  CHECK_FALSE(std::filesystem::exists(folder / ".gitlab"));
}

TEST_CASE("init: without an agent, or with an unknown one, the five are listed") {
  struct Case {
    const char* word;
    const char* meant;
  };
  for (const Case& asked : {Case{"", ""}, Case{"cladue", "claude"}, Case{"claude-code", "claude"},
                            Case{"q", "amazon-q"}, Case{"gemini-cli", "gemini"},
                            Case{"opencod", "opencode"}, Case{"something-else", ""}}) {
    CAPTURE(asked.word);
    const TemporaryDirectory folder;
    const auto refused = init_flow({.agent = asked.word}, folder.path());
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == ErrorCode::invalid_input);
    CHECK(has(refused.error().message, "amazon-q, claude, codex, gemini, opencode"));
    const std::string meant = asked.meant;
    CHECK(has(refused.error().message, "did you mean") == !meant.empty());
    if (!meant.empty()) CHECK(has(refused.error().message, "did you mean " + meant + "?"));
    CHECK(std::filesystem::is_empty(folder.path()));
  }
}

TEST_CASE("init: a path outside is not written by an agent's name") {
  const TemporaryDirectory folder;
  CHECK_FALSE(init_flow({.agent = "../claude"}, folder.path()).has_value());
  CHECK(std::filesystem::is_empty(folder.path()));
}
