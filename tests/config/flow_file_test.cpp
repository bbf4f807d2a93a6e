#include "config/flow_file.hpp"

#include <algorithm>
#include <chrono>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include "config/encoding.hpp"

using namespace flow_runner;
using namespace std::string_literals;
using namespace std::string_view_literals;

namespace {

const std::string minimal = "image: node:22-slim\ncommands:\n  - echo hi\n";

std::string all_of(const FlowFile& file) {
  std::string text;
  for (const Diagnostic& d : file.diagnostics) text += format_diagnostic("f", d) + "\n";
  return text;
}

FlowFile parse(std::string_view text) { return parse_flow(text, "f"); }

/// A flow that must be fine, without warnings.
Flow good(std::string_view text) {
  const FlowFile file = parse(text);
  INFO(all_of(file));
  REQUIRE(file.flow.has_value());
  CHECK(file.diagnostics.empty());
  return *file.flow;
}

struct Row {
  std::string text;
  std::string diagnostics;
};

void check_rows(std::initializer_list<Row> rows, bool has_flow) {
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const FlowFile file = parse(row.text);
    CHECK(all_of(file) == row.diagnostics);
    CHECK(file.flow.has_value() == has_flow);
  }
}

}  // namespace

TEST_CASE("flow file: the shape that GitLab's documentation publishes is read") {
  const Flow flow = good(R"yaml(image: node:22-slim
commands:
  - echo "Installing claude"
  - npm install --global @example/agent
  - apt-get update --quiet && apt-get install --yes curl && rm --recursive /var/lib/apt/lists/*
  - curl --proto '=https' "https://example.invalid/install?a=b#c" | bash
  - cd -
  - |
    agent --allowedTools="Bash(glab:*),Bash(git:*)" --print "
    Context: $AI_FLOW_CONTEXT
    <important>
    When generating commands, avoid using $(), <(), or >(), so you don't raise: Error
    </important>
    "
  - git checkout -b $CI_WORKLOAD_REF origin/$CI_WORKLOAD_REF
variables:
  - ANTHROPIC_API_KEY
  - GITLAB_HOST
)yaml");
  CHECK(flow.image.name == "node:22-slim");
  REQUIRE(flow.commands.size() == 7);
  CHECK(flow.commands[0] == "echo \"Installing claude\"");
  CHECK(flow.commands[4] == "cd -");
  CHECK(flow.commands[5].starts_with("agent --allowedTools"));
  CHECK(flow.commands[5].find("\nContext: $AI_FLOW_CONTEXT\n") != std::string::npos);
  CHECK(flow.variables == std::vector<std::string>{"ANTHROPIC_API_KEY", "GITLAB_HOST"});
  CHECK(flow.path == "f");
}

TEST_CASE("flow file: path and digest are the file's") {
  const FlowFile file = parse_flow(minimal, "dir/x.yml");
  REQUIRE(file.flow.has_value());
  CHECK(file.flow->path == "dir/x.yml");
  CHECK(file.flow->sha256 == sha256_hex(minimal));
}

TEST_CASE("flow file: a byte order mark, CRLF and a document start are fine") {
  CHECK(good("\xEF\xBB\xBF" + minimal).commands.size() == 1);
  CHECK(good("---\r\nimage: a\r\ncommands:\r\n  - echo hi\r\n").commands.front() == "echo hi");
  CHECK(good(minimal + "...\n").commands.size() == 1);
}

TEST_CASE("flow file: the image may be a mapping") {
  const Flow flow = good(R"(
image:
  name: example/agent@sha256:0123
  entrypoint: ["/bin/sh", "-c"]
  pull_policy: if-not-present
commands: [echo]
)");
  CHECK(flow.image.name == "example/agent@sha256:0123");
  CHECK(flow.image.entrypoint == std::vector<std::string>{"/bin/sh", "-c"});
  CHECK(flow.image.pull_policy == PullPolicy::if_not_present);
  const Flow other =
      good("image: {name: a, entrypoint: '', pull_policy: [never]}\ncommands: [echo]\n");
  CHECK(other.image.entrypoint == std::vector<std::string>{""});
  CHECK(other.image.pull_policy == PullPolicy::never);
}

TEST_CASE("flow file: nested lists of commands are flattened") {
  const Flow flow = good("image: a\ncommands:\n  - - one\n    - [two, [three]]\n  - 'true'\n");
  CHECK(flow.commands == std::vector<std::string>{"one", "two", "three", "true"});
}

TEST_CASE("flow file: our own keys are read") {
  const Flow flow = good(minimal + R"(x-flow-runner:
  network: host
  timeout: 1h30m
  idle_timeout: 90
  resources: {memory: 512MiB, cpus: 1.5, pids: 100, disk: 1073741824}
  setup: [apt-get update]
  publish: {on_failure: push, message: 'Changes: by {agent}'}
)");
  const FlowExtensions& ext = flow.extensions;
  CHECK(ext.network == NetworkMode::host);
  CHECK(ext.timeout == std::chrono::minutes(90));
  CHECK(ext.idle_timeout == std::chrono::seconds(90));
  CHECK(ext.resources.memory_bytes == 512ULL << 20);
  CHECK(ext.resources.cpus == 1.5);
  CHECK(ext.resources.pids == 100);
  CHECK(ext.resources.disk_bytes == 1ULL << 30);
  CHECK(ext.setup == std::vector<std::string>{"apt-get update"});
  CHECK(ext.publish_on_failure == "push");
  CHECK(ext.publish_message == "Changes: by {agent}");
}

TEST_CASE("flow file: a network is a mode, a list, or both") {
  const auto network = [](const std::string& value) {
    return good(minimal + "x-flow-runner:\n  network: " + value + "\n").extensions;
  };
  using Entries = std::vector<std::string>;
  CHECK(network("none").network == NetworkMode::none);
  CHECK(network("proxy").network == NetworkMode::proxy);
  CHECK_FALSE(network("proxy").network_allow.has_value());
  CHECK(network("[]").network == NetworkMode::proxy);
  CHECK(network("[]").network_allow == Entries());
  const auto list = network(R"(["registry.example.com:443", "*.example.org:80", agents])");
  CHECK(list.network == NetworkMode::proxy);
  CHECK(list.network_allow == Entries{"registry.example.com:443", "*.example.org:80", "agents"});
  const auto mapping = network("{allow: [gitlab], deny: ['a.example.com:443']}");
  CHECK(mapping.network == NetworkMode::proxy);
  CHECK(mapping.network_allow == Entries{"gitlab"});
  CHECK(mapping.network_deny == Entries{"a.example.com:443"});
  CHECK(network("{mode: host}").network == NetworkMode::host);
}

TEST_CASE("flow file: a wrong network entry is named with its place") {
  const auto said = [](const std::string& value) {
    return all_of(parse("image: a\ncommands: [echo]\nx-flow-runner:\n  network: " + value + "\n"));
  };
  CHECK(said("[example.com]").starts_with("f:4:13: an entry of `network`: `example.com`: "));
  CHECK(said("[a.example.com:443, 'https://b.example.com/']").starts_with("f:4:32: an entry of"));
  CHECK(said("[[a]]").starts_with("f:4:13: an entry of `network` must be a single value"));
  CHECK(said("{allow: agents}").starts_with("f:4:20: `allow` must be a list of entries"));
  CHECK(said("{deny: [agents]}").starts_with("f:4:20: an entry of `deny`: `agents`: "));
  CHECK(said("{mode: host, allow: [agents]}").starts_with("f:4:12: `allow` and `deny` of"));
  CHECK(said("{mode: none, deny: ['a:1']}").starts_with("f:4:12: `allow` and `deny` of"));
  CHECK(said("{mode: bridge}").starts_with("f:4:19: `mode` is none, proxy, host or"));
  CHECK(said("{alow: []}").find("did you mean `allow`?") != std::string::npos);
}

TEST_CASE("flow file: every mistake is reported at once, with its place") {
  const FlowFile file = parse(R"(image: -oops
commands:
  - echo fine
  - echo "Foo: bar"
  - true
variables:
  - $TOKEN
  - "a b"
comands: []
x-flow-runner:
  network: bridge
  timeot: 5m
  resources: {memory: 4g, cpus: 0}
)");
  CHECK_FALSE(file.flow.has_value());
  CHECK(all_of(file) == R"(f:1:8: `image` begins with -
f:4:5: a command of `commands` must be a text, but this is a mapping: the `: ` behind `echo "Foo` made it one; put the whole text in quotes, or use `|` and a line of its own
f:5:5: a command of `commands` must be a text, but this is a boolean: put it in quotes
f:7:5: `$TOKEN` is no name of a variable: write it without $
f:8:5: `a b` is no name of a variable: use letters, digits and _, at most 255 of them
f:9:1: warning: unknown key `comands` in flow, ignored; did you mean `commands`?
f:11:12: `network` is none, proxy, host or a list of entries such as `[example.com:443]`, not `bridge`
f:12:3: unknown key `timeot` in `x-flow-runner`; did you mean `timeout`?
f:13:23: `memory`: `4g` is not a size: write 4GiB (units are KiB, MiB, GiB and TiB)
f:13:33: `cpus` is a number of cores from 0.01 to 4096, such as 1.5, not `0`
)");
}

TEST_CASE("flow file: columns count characters") {
  CHECK(all_of(parse("commands: [\"\xC3\xA9\xC3\xA9\", [1]]\nimage: a\n")) ==
        "f:1:19: a command of `commands` must be a text, but this is a number: put it in quotes\n");
}

TEST_CASE("flow file: what is wrong is refused with the cure") {
  const std::string image = "image: a\n";
  const std::string commands = "commands: [echo]\n";
  check_rows(
      {
          {"", "f:1:1: a flow is a mapping with `image` and `commands`, but the file is empty\n"},
          {"# only a comment\n",
           "f:1:1: a flow is a mapping with `image` and `commands`, but the file is empty\n"},
          {"- a\n",
           "f:1:1: a flow is a mapping with `image` and `commands`, but the file is a list\n"},
          {"text",
           "f:1:1: a flow is a mapping with `image` and `commands`, but the file is a text\n"},
          {"{}",
           "f:1:1: the key `image` is missing: every flow needs it\n"
           "f:1:1: the key `commands` is missing: every flow needs it\n"},
          {"image:\n" + commands, "f:1:1: `image` is empty: name a container image\n"},
          {"image: ''\n" + commands, "f:1:8: `image` is empty: name a container image\n"},
          {"image: 22\n" + commands,
           "f:1:8: `image` must be a text, but this is a number: put it in quotes\n"},
          {"image: [a]\n" + commands, "f:1:8: `image` must be a text, but this is a list\n"},
          {"image: a b\n" + commands, "f:1:8: `image` contains white space\n"},
          {"image: $IMAGE\n" + commands,
           "f:1:8: `image` contains a variable, which is not expanded here: write the image out\n"},
          {"image: {entrypoint: x}\n" + commands,
           "f:1:1: `image` has no `name`: name a container image\n"},
          {"image: {name: a, pull_policy: sometimes}\n" + commands,
           "f:1:31: `pull_policy` is always, if-not-present or never, not `sometimes`\n"},
          {image + "commands: echo hi\n",
           "f:2:11: `commands` must be a list: write each command on a line of its own behind `- "
           "`\n"},
          {image + "commands:\n", "f:2:1: `commands` is empty: list at least one command\n"},
          {image + "commands: []\n", "f:2:1: `commands` is empty: list at least one command\n"},
          {image + "commands: ['', ' ']\n",
           "f:2:1: `commands` is empty: list at least one command\n"},
          {image + "commands: [~]\n",
           "f:2:12: a command of `commands` must be a text, but this is empty\n"},
          {image + commands + "variables: {A: b}\n",
           "f:3:1: `variables` is a list of names, not a mapping with values: write `- NAME` and "
           "define "
           "the value in GitLab's CI/CD settings or with --var\n"},
          {image + commands + "variables: A\n",
           "f:3:12: `variables` must be a list of names: write `- NAME`\n"},
          {image + image + commands,
           "f:2:1: the key `image` is there twice, first in line 1: remove one\n"},
          {image + commands + "x-flow-runner: [a]\n",
           "f:3:16: `x-flow-runner` must be a mapping, but this is a list\n"},
          {image + commands + "x-flow-runner: {timeout: 0s}\n",
           "f:3:26: `timeout` must be at least 1s\n"},
          {image + commands + "x-flow-runner: {timeout: }\n",
           "f:3:17: `timeout` is empty: give it a value or leave it out\n"},
          {image + commands + "x-flow-runner: {resources: {cpus: .nan}}\n",
           "f:3:35: `cpus` is a number of cores from 0.01 to 4096, such as 1.5, not `.nan`\n"},
          {image + commands + "x-flow-runner: {resources: {pids: -1}}\n",
           "f:3:35: `pids` is a whole number from 1 to 4194304, not `-1`\n"},
          {image + commands + "x-flow-runner: {resources: {memory: 4}}\n",
           "f:3:37: `memory` must be at least 4MiB; sizes without a unit are bytes\n"},
          {image + commands + "x-flow-runner: {publish: {on_failure: drop}}\n",
           "f:3:39: `on_failure` is keep or push, not `drop`\n"},
          {image + commands + "x-flow-runner: {publish: {message: \"a\\nb\"}}\n",
           "f:3:36: `message` is the first line of the commit: write one line\n"},
          {image + commands + "x-flow-runner: {setup: apt-get update}\n",
           "f:3:24: `setup` must be a list of commands, but this is a text: write `- ` before each "
           "command\n"},
          {image + "commands: !reference [a]\n",
           "f:2:11: the YAML tag `!reference` is not supported: write a plain value\n"},
          {image + "<<: {a: b}\n" + commands,
           "f:2:1: merge keys (<<) are not supported: write the keys out\n"},
          {image + "? [a]\n: b\n" + commands, "f:2:3: a key must be a text\n"},
          {minimal + "---\nmore: 1\n",
           "f:4:1: the first YAML document has ended above, and only that one is read: check the "
           "indentation, or remove what follows\n"},
          {"commands:\n  - a\n b: c\n",
           "f:3:2: not valid YAML: end of map not found; check the indentation\n"},
          {"- a\nb: c\n",
           "f:1:1: a flow is a mapping with `image` and `commands`, but the file is a list\n"
           "f:2:1: the first YAML document has ended above, and only that one is read: check the "
           "indentation, or remove what follows\n"},
          {image + "commands: &a [*a]\n", "f:2:15: an alias within its own anchor has no end\n"},
      },
      false);
}

TEST_CASE("flow file: what this runner does not use is a warning") {
  check_rows(
      {
          {minimal + "script: [a]\n",
           "f:4:1: warning: unknown key `script` in flow, ignored; here it is `commands`\n"},
          {minimal + "Variables: [A]\n",
           "f:4:1: warning: unknown key `Variables` in flow, ignored; did you mean `variables`?\n"},
          {minimal + "timeout: 5\n",
           "f:4:1: warning: unknown key `timeout` in flow, ignored; it belongs under "
           "`x-flow-runner`\n"},
          {minimal + "something_else: 5\n",
           "f:4:1: warning: unknown key `something_else` in flow, ignored\n"},
          {minimal + "injectGatewayToken: true\n",
           "f:4:1: warning: `injectGatewayToken`: GitLab adds AI_FLOW_AI_GATEWAY_TOKEN and "
           "AI_FLOW_AI_GATEWAY_HEADERS to its own jobs; this runner adds nothing\n"},
          {minimal + "injectGatewayToken: \"true\"\n",
           "f:4:21: warning: `injectGatewayToken` must be true or false: GitLab ignores all "
           "else\n"},
          {minimal + "id_tokens: {A: {aud: b}}\n",
           "f:4:1: warning: `id_tokens`: only GitLab can issue these, and only to its own jobs; "
           "give the "
           "variables yourself in a local run\n"},
          {minimal + "report_artifacts: {sast: [a.json]}\n",
           "f:4:1: warning: `report_artifacts`: this runner uploads no reports; the files stay in "
           "the "
           "workspace\n"},
          {minimal + "variables: [A, A]\n", "f:4:16: warning: the variable `A` is listed twice\n"},
          {"image: {name: a, docker: {user: root}}\ncommands: [echo]\n",
           "f:1:18: warning: unknown key `docker` in `image`, ignored\n"},
          {"image: {name: a, pull_policy: [always, never]}\ncommands: [echo]\n",
           "f:1:31: warning: of several pull policies only the first is used\n"},
          {minimal + "x: &a [1]\ny: *a\n",
           "f:4:1: warning: unknown key `x` in flow, ignored\n"
           "f:5:1: warning: unknown key `y` in flow, ignored\n"
           "f:5:4: warning: GitLab reads flow files without aliases and may refuse this one: write "
           "the "
           "value out\n"},
          {"image: a\ncommands: [\"ec\u200Bho\"]\n",
           "f:2:15: warning: the invisible character U+200B is here\n"},
      },
      true);
}

TEST_CASE("flow file: emoji and their joiners are no warning") {
  good("image: a\ncommands: [\"echo \xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x92\xBB\"]\n");
}

TEST_CASE("flow file: characters that can hide what runs are errors, written out or escaped") {
  check_rows(
      {
          {"image: a\ncommands: [\"a\u202Eb\"]\n",
           "f:2:14: the character U+202E is not allowed: it can hide what runs; remove it\n"},
          {"image: a # \u2066\ncommands: []\n",
           "f:1:12: the character U+2066 is not allowed: it can hide what runs; remove it\n"
           "f:2:1: `commands` is empty: list at least one command\n"},
          {"image: a\ncommands: [a\x1B]\n",
           "f:2:13: the character U+001B is not allowed: it can hide what runs; remove it\n"},
          {"image: a\ncommands: [a\0]\n"s,
           "f:2:13: the character U+0000 is not allowed: it can hide what runs; remove it\n"},
          {"image: a\ncommands: [\"\\e[31m\"]\n",
           "f:2:12: an escape makes the character U+001B, which is not allowed: remove it\n"},
          {"image: a\ncommands: [\"\\0\"]\n",
           "f:2:12: an escape makes the character U+0000, which is not allowed: remove it\n"},
          {"image: a\ncommands: [\"\\u202e\"]\n",
           "f:2:12: an escape makes the character U+202E, which is not allowed: remove it\n"},
          {"image: a\n# \xFF\n", "f:2:3: the file is not UTF-8 from here on: save it as UTF-8\n"},
          {"\xFF\xFEi\0m\0"s, "f:1:1: the file is not UTF-8 from here on: save it as UTF-8\n"},
      },
      false);
}

TEST_CASE("flow file: broken YAML is one error with its place and no exception") {
  for (const std::string_view text :
       {"image: [a\n"sv, "image: \"a\n"sv, "a: b: c\n"sv, "image: *x\n"sv, "\t- a\n"sv,
        "%YAML 9\n---\n"sv, "{a"sv, "]"sv, "'"sv, "!<"sv, "&"sv, "\"\\ud800\""sv, "\"\\q\""sv,
        "- 'a''\n- b\n"sv, "a: &x \"b\\\"\n"sv, "a: !!str\n 'b\n"sv}) {
    CAPTURE(text);
    const FlowFile file = parse(text);
    CHECK_FALSE(file.flow.has_value());
    INFO(all_of(file));
    REQUIRE(file.diagnostics.size() == 1);
    CHECK(file.diagnostics[0].line >= 1);
    CHECK(file.diagnostics[0].column >= 1);
  }
  CHECK(all_of(parse("image: a\ncommands:\n  - a: b: c\n")).find("needs quotes") !=
        std::string::npos);
  CHECK(all_of(parse("image: a\ncommands:\n\t- a\n")).find("not with tabs") != std::string::npos);
}

TEST_CASE("flow file: a message never carries control characters, and is short") {
  const FlowFile file = parse(minimal + "\"" + std::string(5'000, 'k') + "\": 1\n\"a\\nb\": 1\n");
  for (const Diagnostic& d : file.diagnostics) {
    CHECK(d.message.size() < 300);
    CHECK(d.message.find('\n') == std::string::npos);
  }
}

TEST_CASE("flow file: the size limit holds at its edge") {
  const auto sized = [](std::size_t bytes) {
    return minimal + "#" + std::string(bytes - minimal.size() - 1, 'x');
  };
  CHECK(parse(sized(max_flow_file_bytes)).flow.has_value());
  CHECK(all_of(parse(sized(max_flow_file_bytes + 1))) ==
        "f: the file is larger than 65536 bytes: make it smaller, for example by moving commands "
        "into a "
        "script\n");
}

TEST_CASE("flow file: depth, count and aliases are bounded") {
  const auto nested = [](int levels) {
    return "image: a\ncommands: " + std::string(static_cast<std::size_t>(levels), '[') + "x" +
           std::string(static_cast<std::size_t>(levels), ']') + "\n";
  };
  CHECK(parse(nested(30)).flow.has_value());
  CHECK(all_of(parse(nested(32))).find("deeper than 32 levels") != std::string::npos);

  std::string laughs = "image: a\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) laughs += (j > 0 ? ", " : "") + before;
    laughs += "]\n";
  }
  CHECK(all_of(parse(laughs + "commands: *a9\n")).find("more than 10000 values") !=
        std::string::npos);

  std::string long_text = "x: &x \"" + std::string(30'000, 'y') + "\"\nimage: a\ncommands:\n";
  for (int i = 0; i < 3'000; ++i) long_text += "  - *x\n";
  CHECK(all_of(parse(long_text)).find("more than 10000 values") != std::string::npos);

  std::string deep = "a0: &a0 [x]\n";
  for (int i = 1; i < 40; ++i) {
    deep += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) +
            "]\n";
  }
  CHECK(all_of(parse(deep)).find("deeper than 32 levels") != std::string::npos);
}

TEST_CASE("flow file: hostile repetition neither crashes nor takes long") {
  for (const std::string_view unit : {"["sv,
                                      "{"sv,
                                      "- "sv,
                                      "? "sv,
                                      ": "sv,
                                      "a: "sv,
                                      "&a "sv,
                                      "*a "sv,
                                      "!"sv,
                                      "!a "sv,
                                      "|\n"sv,
                                      "- |\n"sv,
                                      "\""sv,
                                      "'"sv,
                                      "[a,"sv,
                                      "{a: "sv,
                                      "a\n"sv,
                                      "a:\n"sv,
                                      "- a\n"sv,
                                      "---\n"sv,
                                      "%TAG ! x\n"sv,
                                      "\n"sv,
                                      " "sv,
                                      "\t"sv,
                                      "#"sv,
                                      "\xE2\x80\x8B"sv,
                                      "\xE2\x80\xAE"sv,
                                      "\x01"sv,
                                      "\"\\u202e\": "sv,
                                      "- 1\n"sv,
                                      "- -\n"sv,
                                      ",\n"sv,
                                      "{a: b}, "sv,
                                      "- &a b\n- *a\n"sv}) {
    for (const std::string_view prefix : {""sv, "commands:\n  "sv, "image: a\nvariables:\n"sv}) {
      std::string text(prefix);
      while (text.size() + unit.size() <= max_flow_file_bytes) text += unit;
      CAPTURE(unit);
      const auto start = std::chrono::steady_clock::now();
      const FlowFile file = parse(text);
      CHECK(file.diagnostics.size() <= 102);
      // Generous: sanitizers and a busy machine; in plain builds it is below 100 ms.
      CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
    }
  }
}

TEST_CASE("flow file: a flood of warnings does not hide an error") {
  std::string text = minimal;
  for (int i = 0; i < 500; ++i) text += "key_" + std::to_string(i) + ": 1\n";
  const FlowFile file = parse(text + "x-flow-runner: {bad: 1}\n");
  CHECK_FALSE(file.flow.has_value());
  CHECK(all_of(file).find("unknown key `bad`") != std::string::npos);
  CHECK(all_of(file).find("f: warning: and 450 more") != std::string::npos);
}

TEST_CASE("flow file: it is loaded from a regular file only") {
  std::string folder = "/tmp/flow-file-test-XXXXXX";
  REQUIRE(::mkdtemp(folder.data()) != nullptr);
  const std::filesystem::path path = std::filesystem::path(folder) / "flow.yml";
  std::ofstream(path) << minimal;
  CHECK(load_flow(path).flow.has_value());
  CHECK(load_flow(path).flow->path == path.string());

  CHECK(all_of(load_flow(folder)).find("not a regular file") != std::string::npos);
  CHECK(all_of(load_flow(folder + "/none.yml")).find("cannot open the flow file") !=
        std::string::npos);
  const std::string fifo = folder + "/fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(all_of(load_flow(fifo)).find("not a regular file") != std::string::npos);
  std::ofstream(path) << std::string(10'000'000, '#');
  CHECK(all_of(load_flow(path)).find("larger than 65536 bytes") != std::string::npos);
  std::filesystem::remove_all(folder);
}
