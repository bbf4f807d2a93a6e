#include "sandbox/image_files.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

using namespace flow_runner;
namespace fs = std::filesystem;

namespace {

/// Layer folders that go away with the test.
class Layers {
 public:
  explicit Layers(int count) {
    std::string pattern = (fs::temp_directory_path() / "image-files-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    root_ = pattern;
    for (int i = 0; i < count; ++i) {
      paths.push_back(root_ / std::to_string(i));
      fs::create_directory(paths.back());
    }
  }
  ~Layers() { fs::remove_all(root_); }
  Layers(const Layers&) = delete;
  Layers& operator=(const Layers&) = delete;

  void file(std::size_t layer, const fs::path& path, std::string_view text,
            fs::perms mode = fs::perms(0644)) {
    fs::create_directories((paths[layer] / path).parent_path());
    std::ofstream(paths[layer] / path) << text;
    fs::permissions(paths[layer] / path, mode);
  }
  void link(std::size_t layer, const fs::path& path, const std::string& target) {
    fs::create_directories((paths[layer] / path).parent_path());
    fs::create_symlink(target, paths[layer] / path);
  }
  void folder(std::size_t layer, const fs::path& path) {
    fs::create_directories(paths[layer] / path);
  }

  [[nodiscard]] const fs::path& root() const { return root_; }
  std::vector<fs::path> paths;

 private:
  fs::path root_;
};

std::string content(const Layers& layers, std::string_view path) {
  const auto text = ImageFiles(layers.paths).read(path, 1024);
  return text ? *text : "error: " + text.error().message;
}

ErrorCode code_of(const Layers& layers, std::string_view path) {
  const auto found = ImageFiles(layers.paths).lookup(path);
  REQUIRE_FALSE(found.has_value());
  return found.error().code;
}

}  // namespace

TEST_CASE("image files: the topmost layer that has a file wins, and folders are merged") {
  Layers layers(3);
  layers.file(0, "etc/passwd", "old");
  layers.file(0, "etc/group", "group");
  layers.file(2, "etc/passwd", "new");
  CHECK(content(layers, "/etc/passwd") == "new");
  CHECK(content(layers, "etc//./group") == "group");
  const auto found = ImageFiles(layers.paths).lookup("/etc/passwd");
  REQUIRE(found.has_value());
  CHECK(found->host_path == layers.paths[2] / "etc/passwd");
  CHECK(found->path == "/etc/passwd");
  CHECK(ImageFiles(layers.paths).lookup("/")->type == ImageFileType::directory);
  CHECK(ImageFiles(layers.paths).lookup("/etc")->type == ImageFileType::directory);
  CHECK(code_of(layers, "/etc/shadow") == ErrorCode::not_found);
  CHECK(code_of(layers, "/etc/passwd/x") == ErrorCode::not_found);
}

TEST_CASE("image files: a file in a higher layer hides a lower folder, and the other way round") {
  Layers layers(2);
  layers.file(0, "a/b", "below");
  layers.file(1, "a", "file");
  layers.file(0, "c", "file");
  layers.file(1, "c/d", "above");
  CHECK(content(layers, "/a") == "file");
  CHECK(code_of(layers, "/a/b") == ErrorCode::not_found);
  CHECK(content(layers, "/c/d") == "above");
}

TEST_CASE("image files: links stay inside the image") {
  Layers layers(2);
  layers.file(0, "usr/bin/bash", "shell", fs::perms(0755));
  layers.link(0, "bin", "usr/bin");
  layers.link(0, "usr/bin/sh", "/bin/bash");
  layers.link(1, "usr/bin/up", "../../../../../../usr/bin/bash");
  layers.file(1, "etc/hostname", "image's");
  layers.link(1, "etc/absolute", "/etc/hostname");
  layers.link(1, "etc/host_root", layers.root().string());
  layers.link(1, "etc/proc", "/proc/self/root/etc/passwd");
  CHECK(content(layers, "/bin/sh") == "shell");
  CHECK(content(layers, "/usr/bin/up") == "shell");
  CHECK(content(layers, "/etc/absolute") == "image's");
  CHECK(content(layers, "/../../etc/hostname") == "image's");
  CHECK(code_of(layers, "/etc/host_root") == ErrorCode::not_found);
  CHECK(code_of(layers, "/etc/proc") == ErrorCode::not_found);
  CHECK(ImageFiles(layers.paths).lookup("/bin/sh")->path == "/usr/bin/bash");
  CHECK(ImageFiles(layers.paths).find_program({"/bin/zsh", "/bin/sh"}).value() == "/bin/sh");
  CHECK(ImageFiles(layers.paths).find_program({"/etc/hostname", "/bin"}).value().empty());
}

TEST_CASE("image files: loops and endless paths end with an error") {
  Layers layers(1);
  layers.link(0, "a", "b");
  layers.link(0, "b", "a");
  layers.link(0, "deep", "deep/deep/deep");
  CHECK(code_of(layers, "/a") == ErrorCode::invalid_input);
  CHECK(code_of(layers, "/deep") == ErrorCode::invalid_input);
  CHECK(code_of(layers, std::string(5000, 'a')) == ErrorCode::invalid_input);
  CHECK(code_of(layers, "/" + std::string(300, 'a')) == ErrorCode::not_found);
  std::string steps;
  for (int i = 0; i < 1100; ++i) steps += "../";
  CHECK(code_of(layers, steps) == ErrorCode::invalid_input);
}

TEST_CASE("image files: only regular files of bounded size are read") {
  Layers layers(1);
  layers.file(0, "large", std::string(2000, 'x'));
  layers.folder(0, "folder");
  REQUIRE(::mkfifo((layers.paths[0] / "fifo").c_str(), 0600) == 0);
  CHECK(content(layers, "/large").find("larger than 1024 bytes") != std::string::npos);
  CHECK(content(layers, "/folder").find("not a regular file") != std::string::npos);
  CHECK(content(layers, "/fifo").find("not a regular file") != std::string::npos);
}

TEST_CASE("image files: whiteouts and opaque folders hide what lies below") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: making a whiteout needs root");
    return;
  }
  Layers layers(3);
  layers.file(0, "gone", "below");
  layers.file(0, "back", "below");
  layers.file(0, "opaque/old", "below");
  layers.file(2, "opaque/new", "above");
  REQUIRE(::mknod((layers.paths[1] / "gone").c_str(), S_IFCHR, makedev(0, 0)) == 0);
  REQUIRE(::mknod((layers.paths[1] / "back").c_str(), S_IFCHR, makedev(0, 0)) == 0);
  layers.file(2, "back", "above");
  layers.folder(1, "opaque");
  REQUIRE(::setxattr((layers.paths[1] / "opaque").c_str(), "trusted.overlay.opaque", "y", 1, 0) ==
          0);
  CHECK(code_of(layers, "/gone") == ErrorCode::not_found);
  CHECK(content(layers, "/back") == "above");
  CHECK(code_of(layers, "/opaque/old") == ErrorCode::not_found);
  CHECK(content(layers, "/opaque/new") == "above");
}

TEST_CASE("image user: every form of User is resolved by the image's own files") {
  Layers layers(2);
  layers.file(
      0, "etc/passwd",
      "root:x:0:0:root:/root:/bin/sh\n\nbroken line\nagent:x:1000:1001::/home/agent:/bin/sh\n"
      "evil:x:99999999999:0::/:\n1234:x:77:78::/home/number:\nbad:x:5:5::relative:\n");
  layers.file(
      0, "etc/group",
      "root:x:0:\nagent:x:1001:\nstaff:x:50:agent,root\nextra:x:60:agent\nagain:x:50:agent\n");
  const auto user = [&](std::string_view text) { return resolve_user(layers.paths, text).value(); };
  CHECK(user("") == ImageUser{0, 0, "/root", {50}});
  CHECK(user("root") == ImageUser{0, 0, "/root", {50}});
  CHECK(user("agent") == ImageUser{1000, 1001, "/home/agent", {50, 60}});
  CHECK(user("1000") == ImageUser{1000, 1001, "/home/agent", {50, 60}});
  CHECK(user("1000:5") == ImageUser{1000, 5, "/home/agent", {}});
  CHECK(user("agent:staff") == ImageUser{1000, 50, "/home/agent", {}});
  CHECK(user(":staff") == ImageUser{0, 50, "/root", {}});
  CHECK(user("4711") == ImageUser{4711, 0, "/", {}});
  CHECK(user("4711:staff") == ImageUser{4711, 50, "/", {}});
  CHECK(user("1234") == ImageUser{77, 78, "/home/number", {}});
  CHECK(user("bad").home == "/");
  CHECK_FALSE(resolve_user(layers.paths, "nobody").has_value());
  CHECK_FALSE(resolve_user(layers.paths, "evil").has_value());
  CHECK(user("65535").uid == 65535);
  CHECK_FALSE(resolve_user(layers.paths, "65536").has_value());
  CHECK_FALSE(resolve_user(layers.paths, "agent:65536").has_value());
  CHECK_FALSE(resolve_user(layers.paths, "4294967295").has_value());
  CHECK_FALSE(resolve_user(layers.paths, "-1").has_value());
  CHECK_FALSE(resolve_user(layers.paths, "agent:nogroup").has_value());
  CHECK(resolve_user(layers.paths, "a\nb").error().message.find('\n') == std::string::npos);
}

TEST_CASE("image user: an image without passwd still has numbers and root") {
  Layers layers(1);
  CHECK(resolve_user(layers.paths, "").value() == ImageUser{0, 0, "/root", {}});
  CHECK(resolve_user(layers.paths, "7:8").value() == ImageUser{7, 8, "/", {}});
  CHECK(resolve_user(layers.paths, "agent").error().code == ErrorCode::invalid_input);
}

TEST_CASE("image user: a passwd that leads to the host's is not read") {
  Layers layers(1);
  layers.file(0, "x", "");
  layers.link(0, "etc/passwd", "/../../../../etc/passwd");
  CHECK_FALSE(resolve_user(layers.paths, "daemon").has_value());
}

TEST_CASE("image user: a passwd without end or of a strange kind is an error") {
  Layers layers(1);
  layers.file(0, "etc/passwd", std::string((1 << 20) + 1, 'a'));
  CHECK(resolve_user(layers.paths, "agent").error().message.find("1048576") != std::string::npos);
  fs::remove(layers.paths[0] / "etc/passwd");
  REQUIRE(::mkfifo((layers.paths[0] / "etc/passwd").c_str(), 0600) == 0);
  CHECK(resolve_user(layers.paths, "agent").error().code == ErrorCode::invalid_input);
}
