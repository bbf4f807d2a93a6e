#include "sandbox/image_files.hpp"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <fcntl.h>
#include <linux/openat2.h>
#include <optional>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

constexpr std::size_t max_path = 4096;
constexpr int max_links = 40;
constexpr int max_steps = 1024;

/// The path as it may stand in a message: the image's author wrote it.
std::string shown_path(std::string_view path) {
  std::string out(path.substr(0, 200));
  for (char& c : out)
    if (c < ' ' || c > '~') c = '?';
  return out;
}

/// Opens `relative` below `layer` without passing any link, mount or way out; errno in the Error's
/// place.
Descriptor open_in_layer(const std::filesystem::path& layer, const std::string& relative,
                         std::uint64_t flags) {
  const Descriptor root(::open(layer.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!root) return {};
  open_how how{};
  how.flags = flags | O_CLOEXEC | O_NOFOLLOW;
  // With O_PATH and O_NOFOLLOW a link at the very end is opened itself, not followed.
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  const std::string from_here = relative.empty() ? "." : relative;
  return Descriptor(
      static_cast<int>(::syscall(SYS_openat2, root.get(), from_here.c_str(), &how, sizeof how)));
}

bool is_opaque(int fd) {
  // An O_PATH descriptor has no fgetxattr; its link in /proc leads to the very same inode.
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  for (const char* name : {"trusted.overlay.opaque", "user.overlay.opaque"}) {
    char value = 0;
    if (::getxattr(path.c_str(), name, &value, 1) == 1 && value == 'y') return true;
  }
  return false;
}

Result<std::string> read_link(int fd) {
  std::string target(max_path, '\0');
  const ssize_t n = ::readlinkat(fd, "", target.data(), target.size());
  if (n < 0) return errno_error("cannot read a link in the image");
  if (static_cast<std::size_t>(n) >= max_path)
    return Error{ErrorCode::invalid_input, "a link in the image is longer than 4095 bytes"};
  target.resize(static_cast<std::size_t>(n));
  return target;
}

void push_front_parts(std::deque<std::string>& pending, std::string_view path) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    if (end > begin && path.substr(begin, end - begin) != ".")
      parts.emplace_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  pending.insert(pending.begin(), parts.begin(), parts.end());
}

}  // namespace

/// A folder on the way: its name, and the layers (indices, topmost first) whose folders are merged
/// in it.
struct ImageFiles::Level {
  std::string name;
  std::vector<std::size_t> layers;
};

struct ImageFiles::Child {
  mode_t mode = 0;
  std::vector<std::size_t> layers;  // of a folder: all that are merged; else the one that has it
  std::string relative;
  std::string link;  // the target, when it is a link
};

ImageFiles::ImageFiles(std::vector<std::filesystem::path> layers) : layers_(std::move(layers)) {
  std::ranges::reverse(layers_);
}

Result<ImageFiles::Child> ImageFiles::child(const std::vector<Level>& parents,
                                            const std::string& name) const {
  Child found;
  for (const Level& level : parents)
    if (!level.name.empty()) found.relative += level.name + "/";
  found.relative += name;
  for (const std::size_t index : parents.back().layers) {
    const Descriptor entry = open_in_layer(layers_[index], found.relative, O_PATH);
    if (!entry) {
      if (errno == ENOENT || errno == ENAMETOOLONG) continue;
      return errno_error("cannot look at /" + shown_path(found.relative) + " in an image layer");
    }
    struct stat status {};
    if (::fstat(entry.get(), &status) != 0) return errno_error("cannot stat a file of the image");
    if (S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0)) break;
    if (!S_ISDIR(status.st_mode)) {
      if (!found.layers.empty()) break;
      found.mode = status.st_mode;
      found.layers = {index};
      if (S_ISLNK(status.st_mode)) {
        FR_TRY(found.link, read_link(entry.get()));
      }
      return found;
    }
    if (found.layers.empty()) found.mode = status.st_mode;
    found.layers.push_back(index);
    if (is_opaque(entry.get())) break;
  }
  if (found.layers.empty())
    return Error{ErrorCode::not_found, "the image has no /" + shown_path(found.relative)};
  return found;
}

Result<ImageFile> ImageFiles::lookup(std::string_view path) const {
  if (path.size() >= max_path || path.find('\0') != std::string_view::npos)
    return Error{ErrorCode::invalid_input,
                 "a path in the image is longer than 4095 bytes or has a NUL"};
  std::vector<Level> levels(1);
  for (std::size_t i = 0; i < layers_.size(); ++i) levels.front().layers.push_back(i);
  std::deque<std::string> pending;
  push_front_parts(pending, path);

  std::optional<Child> last;
  int links = 0;
  for (int step = 0; !pending.empty(); ++step) {
    const std::string name = std::move(pending.front());
    pending.pop_front();
    if (step >= max_steps)
      return Error{ErrorCode::invalid_input,
                   "a path in the image needs more than 1024 steps: " + shown_path(path)};
    if (last)
      return Error{ErrorCode::not_found,
                   "the image has no " + shown_path(path) + ": a part of it is no folder"};
    if (name == "..") {
      if (levels.size() > 1) levels.pop_back();
      continue;
    }
    FR_TRY(Child next, child(levels, name));
    if (S_ISLNK(next.mode)) {
      if (++links > max_links)
        return Error{ErrorCode::invalid_input,
                     "more than 40 links in the image at " + shown_path(path)};
      if (next.link.starts_with('/')) levels.resize(1);
      push_front_parts(pending, next.link);
    } else if (S_ISDIR(next.mode)) {
      levels.push_back({name, std::move(next.layers)});
    } else {
      last = std::move(next);
    }
  }

  ImageFile file;
  if (last) {
    file.type = S_ISREG(last->mode) ? ImageFileType::file : ImageFileType::other;
    file.path = "/" + last->relative;
    file.host_path = layers_[last->layers.front()] / last->relative;
    file.executable = (last->mode & 0111) != 0;
    return file;
  }
  if (layers_.empty()) return Error{ErrorCode::not_found, "the image has no layers"};
  std::filesystem::path relative;
  for (std::size_t i = 1; i < levels.size(); ++i) relative /= levels[i].name;
  file.type = ImageFileType::directory;
  file.path = "/" / relative;
  file.host_path = layers_[levels.back().layers.front()] / relative;
  return file;
}

Result<std::string> ImageFiles::read(std::string_view path, std::size_t max_bytes) const {
  FR_TRY(const ImageFile found, lookup(path));
  const std::string name = shown_path(path) + " in the image";
  if (found.type != ImageFileType::file)
    return Error{ErrorCode::invalid_input, name + " is not a regular file"};
  // The layer is the part of host_path before the path inside the image.
  const std::string relative = found.path.relative_path().string();
  const std::string whole = found.host_path.string();
  const std::filesystem::path layer = whole.substr(0, whole.size() - relative.size() - 1);
  const Descriptor file = open_in_layer(layer, relative, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!file) return errno_error("cannot open " + name);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode))
    return Error{ErrorCode::invalid_input, name + " is not a regular file"};
  return read_all(file.get(), max_bytes, name);
}

Result<std::string> ImageFiles::find_program(
    const std::vector<std::string_view>& candidates) const {
  for (const std::string_view candidate : candidates) {
    const auto found = lookup(candidate);
    if (found && found->type == ImageFileType::file && found->executable)
      return std::string(candidate);
    if (!found && found.error().code == ErrorCode::internal) return found.error();
  }
  return std::string();
}

}  // namespace flow_runner
