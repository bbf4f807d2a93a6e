#include <array>
#include <doctest/doctest.h>
#include <random>
#include <string>

#include "tests/executor/git_take_over_workspace.hpp"

namespace flow_runner {
namespace {

/// A shell script of random operations on few names, so that they meet often.
class Script {
 public:
  explicit Script(unsigned seed) : random_(seed) {}

  std::string operations(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) text += "{ " + operation() + "; } 2>/dev/null || true\n";
    return text;
  }

 private:
  unsigned pick(unsigned count) { return static_cast<unsigned>(random_() % count); }

  std::string path() {
    std::string made(1, static_cast<char>('a' + pick(4)));
    for (unsigned depth = pick(4); depth > 0; --depth) {
      made += "/";
      made += static_cast<char>('a' + pick(4));
    }
    return made;
  }

  std::string operation() {
    const std::string one = path();
    const std::string two = path();
    const std::string text = std::to_string(pick(3));
    switch (pick(20)) {
      case 0:
      case 1:
        return "echo " + text + " > " + one;
      case 2:
        return "mkdir -p " + one;
      case 3:
      case 4:
        return "mkdir -p $(dirname " + one + "); echo " + text + " > " + one;
      case 5:
        return "rm -rf " + one;
      case 6:
        return "rm -f " + one;
      case 7:
      case 8:
      case 9:
        return "mv -T " + one + " " + two;
      case 10:
        return "chmod " + std::string(pick(2) == 0 ? "+x " : "-x ") + one;
      case 11:
        return "rm -rf " + one + "; ln -s " + two + " " + one;
      case 12:
        return "rm -rf " + one + "; mkdir -p " + one + "; echo n > " + one + "/b";
      case 13:
        return "cp -a " + one + " " + two;
      case 14:
        return "test -d " + one + "; printf '" + ignore_line() + "' > " + one + "/.gitignore";
      case 15:
        return "ln -f " + one + " " + two;
      case 16:
        // Back to old content, with old times.
        return "cp -p " + one + " keep; echo other > " + one + "; cp -p keep " + one + "; rm keep";
      case 17:
        return "mv -T " + one + " swap; mv -T " + two + " " + one + "; mv -T swap " + two;
      case 18:
        return "echo " + text + " >> " + one + "; touch -d 2001-01-01 " + one;
      default:
        return "touch -d 2001-01-01 " + one;
    }
  }

  std::string ignore_line() {
    constexpr std::array lines = {"a\\n",      "/b\\n",   "c/\\n",         "*\\n!b\\n",
                                  "a/**/c\\n", "**/d\\n", "[a-b]\\n!a\\n", "b/c\\n"};
    return lines[pick(lines.size())];
  }

  std::mt19937 random_;
};

}  // namespace

TEST_CASE("take-over: random sequences of operations give the tree that git add -A gives") {
  NEED_OVERLAY();
  WorkspaceKind kind = WorkspaceKind::overlay;
  SUBCASE("overlay") {}
  SUBCASE("copy") { kind = WorkspaceKind::copy; }
  for (unsigned seed = 1; seed <= 24; ++seed) {
    CAPTURE(seed);
    Script script(seed);
    TakeOverWorkspace workspace(script.operations(25), kind);
    std::string changes = script.operations(10);
    if (seed % 3 == 0) {
      changes += "git add -A; git commit -q --allow-empty -m one\n" + script.operations(8);
    }
    CAPTURE(changes);
    workspace.agent(changes);
    const ChangeSet taken = workspace.take();
    CHECK(taken.repository_broken == "");
    const std::string tree = workspace.tree_of(taken.head);
    std::string expected = workspace.expected_tree();
    if (seed % 3 == 0) {
      // What the agent's commit tracks stays tracked, whatever .gitignore says later.
      expected = workspace.run(
          "export GIT_DIR=$PWD/../oracle GIT_WORK_TREE=$PWD; "
          "echo $PWD/../quarantine/objects >> ../oracle/objects/info/alternates; "
          "git read-tree " +
              (taken.agent_commits.empty() ? workspace.base() : taken.agent_commits.back()) +
              "; git add -A . 2>/dev/null; git write-tree",
          workspace.merged());
    }
    CHECK(tree == expected);
  }
}

}  // namespace flow_runner
