#include "executor/transfer_repository.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <map>

#include "config/quoted_path.hpp"
#include "config/ref_name.hpp"
#include "executor/git_output.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t max_alternates_bytes = 16 << 10;
constexpr std::size_t max_shallow_bytes = 16 << 20;
constexpr std::size_t max_object_files = 2'000'000;

bool is_hex(std::string_view text, std::size_t size) {
  return text.size() == size &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// `name` is relative to the object folder.
bool is_object_file(const fs::path& name) {
  const std::string folder = name.parent_path();
  const std::string file = name.filename();
  if (folder == "info") return file == "alternates" || file == "packs";
  const bool loose = is_hex(folder, 2);
  // What a killed writer left; git does not read it.
  if (file.starts_with("tmp_")) return loose || folder == "pack";
  if (folder == "pack")
    return file.starts_with("pack-") && (file.ends_with(".pack") || file.ends_with(".idx") ||
                                         file.ends_with(".rev") || file.ends_with(".keep"));
  return loose && is_hex(file, 38);
}

bool is_object_folder(const fs::path& name) {
  return name == "info" || name == "pack" || is_hex(name.string(), 2);
}

Error refused(const fs::path& path, const std::string& reason) {
  return {ErrorCode::denied,
          "the quarantine is not used: " + quote_path(path.string()) + " " + reason};
}

Result<void> check_alternates(const fs::path& objects, const fs::path& mirror) {
  const auto file = objects / "info" / "alternates";
  auto text = read_file(file, max_alternates_bytes);
  if (!text) {
    if (text.error().code == ErrorCode::not_found) return {};
    return text.error();
  }
  while (text->ends_with('\n')) text->pop_back();
  const fs::path named = text->starts_with('/') ? fs::path(*text) : objects / *text;
  std::error_code error;
  if (text->find('\n') == std::string::npos && fs::equivalent(named, mirror / "objects", error) &&
      !error)
    return {};
  return refused(file, "names something other than the mirror's objects");
}

}  // namespace

TransferRepository::TransferRepository(fs::path path, fs::path quarantine, fs::path mirror)
    : path_(std::move(path)), quarantine_(std::move(quarantine)), mirror_(std::move(mirror)) {}

TransferRepository::TransferRepository(TransferRepository&& other) noexcept
    : path_(std::move(other.path_)),
      quarantine_(std::move(other.quarantine_)),
      mirror_(std::move(other.mirror_)) {
  other.path_.clear();
}

TransferRepository::~TransferRepository() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

Result<TransferRepository> TransferRepository::make(const fs::path& quarantine,
                                                    const fs::path& mirror,
                                                    const NamedCommits& refs) {
  std::string name = quarantine.string() + ".transfer-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) return errno_error("cannot make " + name);
  TransferRepository made(name, quarantine, mirror);
  std::error_code error;
  for (const char* folder : {"objects/info", "objects/pack", "refs"}) {
    fs::create_directories(made.path_ / folder, error);
    if (error) return errno_error("cannot make " + (made.path_ / folder).string(), error.value());
  }
  FR_CHECK(made.check_objects());
  FR_CHECK(replace_file(made.path_ / "config",
                        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n",
                        0600));
  FR_CHECK(replace_file(made.path_ / "HEAD", "ref: refs/heads/none\n", 0600));
  // The mirror by name too: git follows a chain, and this one then does not depend on the
  // quarantine's.
  std::string alternates;
  for (const auto& objects : {quarantine / "objects", mirror / "objects"}) {
    if (objects.string().find_first_of("\n\"#") != std::string::npos)
      return Error{ErrorCode::invalid_input,
                   "git cannot use the folder " + quote_path(objects.string()) +
                       ": keep line breaks, '\"' and '#' out of its name"};
    alternates += objects.string() + "\n";
  }
  FR_CHECK(replace_file(made.path_ / "objects/info/alternates", alternates, 0600));
  // Alternates do not carry the boundary of a shallow history along.
  if (fs::exists(mirror / "shallow", error)) {
    FR_TRY(const std::string shallow, read_file(mirror / "shallow", max_shallow_bytes));
    FR_CHECK(replace_file(made.path_ / "shallow", shallow, 0600));
  }
  FR_CHECK(made.set_refs(refs));
  return made;
}

Result<void> TransferRepository::check_objects() const {
  const fs::path objects = object_directory();
  std::error_code error;
  if (!fs::is_directory(fs::symlink_status(objects, error)))
    return refused(objects, "is no folder");
  std::size_t files = 0;
  for (fs::recursive_directory_iterator entry(objects, error), end; !error && entry != end;
       entry.increment(error)) {
    const auto name = entry->path().lexically_relative(objects);
    const auto type = entry->symlink_status(error).type();
    if (error) break;
    const bool expected = type == fs::file_type::directory
                              ? is_object_folder(name)
                              : type == fs::file_type::regular && is_object_file(name);
    if (!expected) return refused(entry->path(), "does not belong there");
    if (++files > max_object_files)
      return refused(objects, "holds more than " + std::to_string(max_object_files) + " files");
  }
  if (error) return errno_error("cannot list " + objects.string(), error.value());
  return check_alternates(objects, mirror_);
}

Result<void> TransferRepository::set_refs(const NamedCommits& refs) const {
  // In one file, sorted: loose refs of the agent's choosing could not hold both `a` and `a/b`.
  std::map<std::string, std::string> sorted;
  for (const auto& [name, commit] : refs) {
    FR_CHECK(check_full_ref(name));
    if (!is_commit_id(commit))
      return Error{ErrorCode::invalid_input,
                   "ref " + name + " was given something that is no commit"};
    sorted.emplace(name, commit);
  }
  std::string text = "# pack-refs with: peeled fully-peeled sorted \n";
  for (const auto& [name, commit] : sorted) {
    text += commit;
    text += ' ' + name + '\n';
  }
  return replace_file(path_ / "packed-refs", text, 0600);
}

}  // namespace flow_runner
