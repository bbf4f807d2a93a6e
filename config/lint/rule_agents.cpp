// agent-without-guard, image-without-tag.
#include <algorithm>
#include <array>
#include <string>

#include "config/lint/rules.hpp"
#include "config/lint/words.hpp"

namespace flow_runner::lint {
namespace {

struct Flag {
  std::string_view agent;
  std::string_view flag;
  std::string_view value;  ///< of the option, in the same word or the next; empty: any
};

constexpr std::array<Flag, 15> flags = {{
    {"claude", "--dangerously-skip-permissions", ""},
    {"claude", "--permission-mode", "bypassPermissions"},
    {"codex", "--dangerously-bypass-approvals-and-sandbox", ""},
    {"codex", "--yolo", ""},
    {"codex", "--sandbox", "danger-full-access"},
    {"gemini", "--yolo", ""},
    {"gemini", "-y", ""},
    {"gemini", "--approval-mode", "yolo"},
    {"qwen", "--yolo", ""},
    {"q", "--trust-all-tools", ""},
    {"kiro-cli", "--trust-all-tools", ""},
    {"aider", "--yes-always", ""},
    {"amp", "--dangerously-allow-all", ""},
    {"cursor-agent", "--force", ""},
    {"copilot", "--allow-all-tools", ""},
}};

bool is_flag(std::span<const Word> words, std::size_t i, const Flag& flag) {
  const std::string_view word = words[i].text;
  if (flag.value.empty()) return word == flag.flag;
  if (word == flag.flag) return i + 1 < words.size() && words[i + 1].text == flag.value;
  return word == std::string(flag.flag) + "=" + std::string(flag.value);
}

void check_agent(Findings& findings, const ScriptItem& item, const SimpleCommand& command,
                 const std::string& name) {
  const auto words = program_words(command);
  for (std::size_t i = 1; i < words.size(); ++i) {
    const auto found = std::find_if(flags.begin(), flags.end(), [&](const Flag& flag) {
      return flag.agent == name && is_flag(words, i, flag);
    });
    if (found == flags.end()) continue;
    findings.add(item, words[i].span.begin,
                 {"agent-without-guard", Severity::note,
                  "`" + std::string(found->flag) + "` lets " + name +
                      " do anything without asking: "
                      "right only within a sandbox such as flow-runner's",
                  "keep it out of flows that other runners run, and give the job no secret that it "
                  "does not need"});
  }
}

}  // namespace

void check_agent_flags(const Subject& subject, Findings& findings) {
  for (const ScriptItem& item : subject.items) {
    for (const SimpleCommand& command : item.shell.commands) {
      const std::string name = program_name(command);
      if (is_agent(name)) check_agent(findings, item, command, name);
    }
  }
}

void check_image(const Subject& subject, Findings& findings) {
  if (subject.image == nullptr) return;
  const std::string_view name = subject.image->text;
  if (name.empty() || name.find('@') != std::string_view::npos) return;
  const auto slash = name.rfind('/');
  const std::string_view last = slash == std::string_view::npos ? name : name.substr(slash + 1);
  const auto colon = last.find(':');
  const bool latest = colon != std::string_view::npos && last.substr(colon + 1) == "latest";
  if (colon != std::string_view::npos && !latest) return;
  findings.add(*subject.image,
               {"image-without-tag", Severity::warning,
                std::string("the image has ") + (latest ? "the tag `latest`" : "no tag") +
                    ": each job may get another one, and it is looked up each time",
                "write a version, such as `node:22-slim`, or a digest"});
}

}  // namespace flow_runner::lint
