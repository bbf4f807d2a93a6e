#include "tests/executor/git_scratch.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <doctest/doctest.h>
#include <fstream>
#include <iterator>
#include <memory>
#include <sys/wait.h>

namespace flow_runner::test {

namespace fs = std::filesystem;

GitScratch::GitScratch() {
  std::string pattern = fs::temp_directory_path() / "flow-runner-git-XXXXXX";
  REQUIRE(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

GitScratch::~GitScratch() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string GitScratch::prefix(const fs::path& folder) const {
  return "umask 022; export HOME='" + path_.string() +
         "' XDG_CONFIG_HOME= GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null LC_ALL=C "
         "GIT_AUTHOR_NAME=Ann GIT_AUTHOR_EMAIL=ann@example.com "
         "GIT_COMMITTER_NAME=Cy GIT_COMMITTER_EMAIL=cy@example.com; cd '" +
         (path_ / folder).string() + "' || exit 99; ";
}

std::string GitScratch::sh(std::string_view command, const fs::path& folder) const {
  const std::string whole =
      prefix(folder) + "exec 2>>'" + path_.string() + "/.stderr'; " + std::string(command);
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen(whole.c_str(), "r"), ::pclose);
  REQUIRE(pipe != nullptr);
  std::string output;
  std::array<char, 4096> buffer;
  while (const std::size_t count = std::fread(buffer.data(), 1, buffer.size(), pipe.get())) {
    output.append(buffer.data(), count);
  }
  const int status = ::pclose(pipe.release());
  const std::string complaint = read(".stderr");
  INFO(command, "\n", complaint);
  REQUIRE(status == 0);
  while (output.ends_with('\n')) output.pop_back();
  return output;
}

int GitScratch::code_of(std::string_view command, const fs::path& folder) const {
  const std::string whole = prefix(folder) + "exec >/dev/null 2>&1; " + std::string(command);
  const int status = std::system(whole.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void GitScratch::make_repository(const fs::path& name) const {
  fs::create_directories(path_ / name);
  sh("git init -q -b main", name);
}

std::string GitScratch::commit(const fs::path& repository, std::string_view message,
                               std::int64_t time) const {
  const std::string date = std::to_string(time) + " +0000";
  return sh("git add -A && GIT_AUTHOR_DATE='" + date + "' GIT_COMMITTER_DATE='" + date +
                "' git commit -q --allow-empty -m '" + std::string(message) +
                "' && git rev-parse HEAD",
            repository);
}

void GitScratch::write(const fs::path& file, std::string_view content) const {
  fs::create_directories((path_ / file).parent_path());
  std::ofstream stream(path_ / file, std::ios::binary);
  stream << content;
  REQUIRE(stream.good());
}

std::string GitScratch::read(const fs::path& file) const {
  std::ifstream stream(path_ / file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::string GitScratch::write_object(const fs::path& repository, std::string_view type,
                                     std::string_view content) const {
  write(".object", content);
  return sh("git hash-object -w --literally -t " + std::string(type) + " '" + path_.string() +
                "/.object'",
            repository);
}

std::string GitScratch::tree_entry(std::string_view mode, std::string_view name,
                                   const std::string& id) {
  std::string entry = std::string(mode) + ' ' + std::string(name) + '\0';
  for (std::size_t i = 0; i + 1 < id.size(); i += 2) {
    entry += static_cast<char>(std::stoi(id.substr(i, 2), nullptr, 16));
  }
  return entry;
}

std::string GitScratch::commit_tree(const fs::path& repository, const std::string& tree) const {
  return write_object(repository, "commit",
                      "tree " + tree +
                          "\nauthor Ann <ann@example.com> 1700000000 +0000\n"
                          "committer Ann <ann@example.com> 1700000000 +0000\n\nodd\n");
}

std::string GitScratch::listing(const fs::path& folder) const {
  return sh(
      "find . -name .git -prune -o -printf '%y %m %P %l\\n' | LC_ALL=C sort; "
      "find . -name .git -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha1sum",
      folder);
}

}  // namespace flow_runner::test
