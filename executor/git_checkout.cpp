#include "executor/git_checkout.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <mutex>
#include <optional>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <thread>
#include <unistd.h>

#include "config/quoted_path.hpp"
#include "executor/git_handles.hpp"
#include "executor/git_names.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

std::string_view name_of(const PlannedFile& file) {
  return std::string_view(file.path).substr(file.path.rfind('/') + 1);
}

Error file_error(std::string_view path, int code) {
  if (code == EEXIST) {
    return {ErrorCode::invalid_input, "the commit has two entries named " + quote_path(path)};
  }
  if (code == ENAMETOOLONG) {
    return {ErrorCode::invalid_input, "the name is too long for this host: " + quote_path(path)};
  }
  Error error = errno_error("cannot write " + quote_path(path), code);
  if (code == ENOSPC || code == EDQUOT) error.code = ErrorCode::unavailable;
  return error;
}

Result<Descriptor> open_folder(int top, const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  const char* name = path.empty() ? "." : path.c_str();
  const long fd = ::syscall(SYS_openat2, top, name, &how, sizeof how);
  if (fd < 0) return file_error(path, errno);
  return Descriptor(static_cast<int>(fd));
}

Result<void> make_opaque(int top, const std::string& path) {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  const Descriptor folder(
      static_cast<int>(::syscall(SYS_openat2, top, path.c_str(), &how, sizeof how)));
  if (!folder) return file_error(path, errno);
  if (::fsetxattr(folder.get(), "trusted.overlay.opaque", "y", 1, 0) == 0) return {};
  // Without CAP_SYS_ADMIN the overlay is mounted with userxattr, which reads this name instead.
  if (errno == EPERM && ::fsetxattr(folder.get(), "user.overlay.opaque", "y", 1, 0) == 0) return {};
  return errno_error("cannot mark " + quote_path(path) + " as opaque");
}

// All folders are made before the first link, so that these paths cannot lead through one.
Result<void> make_folders(const CheckoutPlan& plan, int top) {
  for (std::size_t i = 1; i < plan.folders.size(); ++i) {
    const PlannedFolder& folder = plan.folders[i];
    if (::mkdirat(top, folder.path.c_str(), 0755) != 0) return file_error(folder.path, errno);
    if (folder.opaque) FR_CHECK(make_opaque(top, folder.path));
  }
  return {};
}

/// Files of one folder that one thread writes in one go: a range of the order.
struct Unit {
  std::uint32_t begin;
  std::uint32_t end;
};

class CheckoutWriter {
 public:
  CheckoutWriter(CheckoutPlan& plan, int top, const CheckoutOptions& options)
      : plan_(plan), top_(top), options_(options) {
    divide();
  }

  Result<CheckoutOutcome> run() {
    // Below this a second thread costs more than it saves.
    constexpr std::size_t files_per_thread = 256;
    const std::size_t wanted = order_.size() / files_per_thread;
    const std::size_t threads =
        std::min<std::size_t>({wanted, std::thread::hardware_concurrency(), 4});
    {
      std::vector<std::jthread> others;
      for (std::size_t i = 1; i < threads; ++i) others.emplace_back([this] { work({}); });
      work(options_.progress);
    }
    if (error_) return *error_;
    return CheckoutOutcome{bytes_, lfs_};
  }

 private:
  void divide() {
    constexpr std::uint32_t unit_files = 64;
    for (std::uint32_t i = 0; i < plan_.files.size(); ++i) {
      if (plan_.files[i].mode != GIT_FILEMODE_COMMIT) order_.push_back(i);
    }
    std::stable_sort(order_.begin(), order_.end(), [this](std::uint32_t a, std::uint32_t b) {
      return plan_.files[a].folder < plan_.files[b].folder;
    });
    for (std::uint32_t begin = 0; begin < order_.size();) {
      std::uint32_t end = begin + 1;
      while (end < order_.size() && end - begin < unit_files && folder_at(end) == folder_at(begin))
        ++end;
      units_.push_back({begin, end});
      begin = end;
    }
  }

  [[nodiscard]] std::uint32_t folder_at(std::uint32_t position) const {
    return plan_.files[order_[position]].folder;
  }

  void work(const CheckoutProgress& progress) {
    Result<void> outcome = [&]() -> Result<void> {
      try {
        return work_off(progress);
      } catch (const std::exception& failure) {
        return Error{ErrorCode::internal, std::string("checkout: ") + failure.what()};
      }
    }();
    if (outcome) return;
    stop_ = true;
    const std::lock_guard lock(error_mutex_);
    if (!error_) error_ = std::move(outcome).error();
  }

  Result<void> work_off(const CheckoutProgress& progress) {
    // One object database per thread: a handle must not be shared.
    GitOdb odb;
    const std::string objects = (options_.mirror / "objects").string();
    FR_CHECK(git_check(git_odb_open(out(odb), objects.c_str()), "open the mirror's objects"));
    std::uint64_t reported = 0;
    while (!stop_) {
      const std::size_t number = next_unit_++;
      if (number >= units_.size()) return {};
      FR_CHECK(write_unit(*odb, units_[number]));
      const std::uint64_t done = units_[number].end;
      if (progress && done - reported >= order_.size() / 20 + 1) {
        reported = done;
        progress(done, order_.size());
      }
    }
    return {};
  }

  Result<void> write_unit(git_odb& odb, Unit unit) {
    FR_TRY(const Descriptor folder, open_folder(top_, plan_.folders[folder_at(unit.begin)].path));
    for (std::uint32_t position = unit.begin; position < unit.end && !stop_; ++position) {
      FR_CHECK(write_entry(odb, folder.get(), plan_.files[order_[position]]));
    }
    return {};
  }

  Result<void> write_entry(git_odb& odb, int folder, PlannedFile& file) {
    GitOdbObject object;
    FR_CHECK(git_check(git_odb_read(out(object), &odb, &file.id), "read " + quote_path(file.path)));
    if (git_odb_object_type(object.get()) != GIT_OBJECT_BLOB) {
      return Error{ErrorCode::invalid_input,
                   "the commit's entry " + quote_path(file.path) + " is no blob"};
    }
    const std::string_view content(static_cast<const char*>(git_odb_object_data(object.get())),
                                   git_odb_object_size(object.get()));
    file.size = content.size();
    if ((bytes_ += content.size()) > max_checkout_bytes) {
      return Error{ErrorCode::invalid_input, "the checkout has more than " +
                                                 std::to_string(max_checkout_bytes >> 30) + " GiB"};
    }
    if (file.mode == GIT_FILEMODE_LINK) return write_link(folder, file, content);
    if (name_of(file) == ".gitattributes" && names_lfs(content)) lfs_ = true;
    return write_regular(folder, file, content);
  }

  Result<void> write_link(int folder, const PlannedFile& file, std::string_view target) const {
    if (target.empty() || target.size() > max_git_path_bytes ||
        target.find('\0') != std::string_view::npos) {
      return Error{ErrorCode::invalid_input,
                   "the commit's symbolic link " + quote_path(file.path) + " has no valid target"};
    }
    const std::string name(name_of(file));
    if (::symlinkat(std::string(target).c_str(), folder, name.c_str()) != 0) {
      return file_error(file.path, errno);
    }
    const timespec times[2] = {{options_.mtime, 0}, {options_.mtime, 0}};
    if (::utimensat(folder, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
      return file_error(file.path, errno);
    }
    return {};
  }

  Result<void> write_regular(int folder, const PlannedFile& file, std::string_view content) const {
    const std::string name(name_of(file));
    const mode_t mode = file.mode == GIT_FILEMODE_BLOB_EXECUTABLE ? 0755 : 0644;
    const Descriptor fd(
        ::openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!fd) return file_error(file.path, errno);
    while (!content.empty()) {
      const ssize_t written = ::write(fd.get(), content.data(), content.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return file_error(file.path, errno);
      content.remove_prefix(static_cast<std::size_t>(written));
    }
    const timespec times[2] = {{options_.mtime, 0}, {options_.mtime, 0}};
    if (::futimens(fd.get(), times) != 0) return file_error(file.path, errno);
    return {};
  }

  CheckoutPlan& plan_;
  int top_;
  const CheckoutOptions& options_;
  std::vector<std::uint32_t> order_;  // positions in plan_.files, folder by folder
  std::vector<Unit> units_;
  std::atomic<std::size_t> next_unit_{0};
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<bool> lfs_{false};
  std::atomic<bool> stop_{false};
  std::mutex error_mutex_;
  std::optional<Error> error_;
};

Result<void> count_entry(CheckoutPlan& plan) {
  if (plan.folders.size() + plan.files.size() < plan.max_entries) return {};
  plan.over_limit = true;
  return Error{
      ErrorCode::invalid_input,
      "the commit has more than " + std::to_string(plan.max_entries) + " files and folders"};
}

Result<std::string> checked_path(const CheckoutPlan& plan, std::uint32_t folder,
                                 std::string_view name) {
  const std::string& parent = plan.folders[folder].path;
  FR_CHECK(check_entry_name(name, parent));
  std::string path = join_git_path(parent, name);
  if (path.size() > max_git_path_bytes) {
    return Error{ErrorCode::invalid_input, "the commit has a path of more than " +
                                               std::to_string(max_git_path_bytes) + " bytes"};
  }
  return path;
}

}  // namespace

std::string join_git_path(std::string_view folder, std::string_view name) {
  std::string path;
  path.reserve(folder.size() + name.size() + 1);
  path += folder;
  if (!folder.empty()) path += '/';
  path += name;
  return path;
}

Result<std::uint32_t> plan_folder(CheckoutPlan& plan, std::uint32_t parent, std::string_view name) {
  FR_CHECK(count_entry(plan));
  FR_TRY(std::string path, checked_path(plan, parent, name));
  plan.folders.push_back({std::move(path)});
  return static_cast<std::uint32_t>(plan.folders.size() - 1);
}

Result<void> plan_entry(CheckoutPlan& plan, std::uint32_t folder, std::string_view name,
                        const git_oid& id, std::uint32_t mode) {
  FR_CHECK(count_entry(plan));
  FR_TRY(std::string path, checked_path(plan, folder, name));
  if (mode == GIT_FILEMODE_COMMIT) plan.folders.push_back({path});
  plan.files.push_back({std::move(path), id, mode, folder});
  return {};
}

Result<CachedTree> plan_tree(git_repository& mirror, const git_oid& tree_id, std::uint32_t folder,
                             CheckoutPlan& plan) {
  // Recursion is bounded by the length of a path: plan_folder() refuses what goes deeper.
  GitTree tree;
  const std::string path = plan.folders[folder].path;
  FR_CHECK(git_check(git_tree_lookup(out(tree), &mirror, &tree_id),
                     "read the tree of " + quote_path(path)));
  CachedTree cached;
  cached.name = path.substr(path.rfind('/') + 1);
  cached.id = tree_id;
  const std::size_t count = git_tree_entrycount(tree.get());
  for (std::size_t i = 0; i < count; ++i) {
    const git_tree_entry* entry = git_tree_entry_byindex(tree.get(), i);
    const std::string_view name = git_tree_entry_name(entry);
    const git_oid& id = *git_tree_entry_id(entry);
    const auto mode = static_cast<std::uint32_t>(git_tree_entry_filemode(entry));
    if (mode == GIT_FILEMODE_TREE) {
      FR_TRY(const std::uint32_t child_folder, plan_folder(plan, folder, name));
      FR_TRY(CachedTree child, plan_tree(mirror, id, child_folder, plan));
      cached.entry_count += child.entry_count;
      cached.children.push_back(std::move(child));
    } else {
      FR_CHECK(plan_entry(plan, folder, name, id, mode));
      ++cached.entry_count;
    }
  }
  return cached;
}

Result<CheckoutOutcome> write_checkout(CheckoutPlan& plan, int top,
                                       const CheckoutOptions& options) {
  FR_CHECK(make_folders(plan, top));
  return CheckoutWriter(plan, top, options).run();
}

bool names_lfs(std::string_view attributes) {
  for (std::size_t begin = 0; begin < attributes.size();) {
    const std::size_t end = std::min(attributes.find('\n', begin), attributes.size());
    const std::string_view line = attributes.substr(begin, end - begin);
    begin = end + 1;
    const std::size_t first = line.find_first_not_of(" \t");
    if (first == std::string_view::npos || line[first] == '#') continue;
    if (line.find("filter=lfs") != std::string_view::npos) return true;
  }
  return false;
}

}  // namespace flow_runner
