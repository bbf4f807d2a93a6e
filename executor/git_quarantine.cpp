#include "executor/git_quarantine.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <git2/sys/odb_backend.h>
#include <unistd.h>
#include <unordered_map>

#include "executor/git_handles.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t max_config_bytes = 1 << 20;
constexpr std::size_t max_shallow_bytes = 64 << 20;
constexpr std::size_t small_file_bytes = 1 << 20;
constexpr std::size_t max_cached_tree_bytes = 8 << 20;
constexpr std::string_view our_config =
    "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tfilemode = true\n"
    "[gc]\n\tauto = 0\n";

git_oid to_git(const ObjectId& id) noexcept {
  git_oid oid;
  std::memcpy(oid.id, id.bytes.data(), sizeof oid.id);
  return oid;
}

ObjectId from_git(const git_oid& oid) noexcept {
  ObjectId id;
  std::memcpy(id.bytes.data(), oid.id, sizeof oid.id);
  return id;
}

git_object_t to_git(ObjectType type) noexcept {
  switch (type) {
    case ObjectType::commit:
      return GIT_OBJECT_COMMIT;
    case ObjectType::tree:
      return GIT_OBJECT_TREE;
    case ObjectType::blob:
      return GIT_OBJECT_BLOB;
    case ObjectType::tag:
      return GIT_OBJECT_TAG;
  }
  return GIT_OBJECT_BLOB;
}

Result<ObjectType> from_git(git_object_t type) {
  switch (type) {
    case GIT_OBJECT_COMMIT:
      return ObjectType::commit;
    case GIT_OBJECT_TREE:
      return ObjectType::tree;
    case GIT_OBJECT_BLOB:
      return ObjectType::blob;
    case GIT_OBJECT_TAG:
      return ObjectType::tag;
    default:
      return Error{ErrorCode::internal, "an object has a type that git does not know"};
  }
}

Result<void> check_folders(const fs::path& folder, const fs::path& mirror) {
  for (const auto& path : {folder, mirror}) {
    // An alternates file has no way to write a line break, and takes `"` and `#` for more than
    // text.
    if (!path.is_absolute() || path.string().find_first_of("\n\"#") != std::string::npos) {
      return Error{ErrorCode::invalid_input, "'" + path.string() +
                                                 "' must be an absolute path without line "
                                                 "breaks, quotes and '#'"};
    }
  }
  std::error_code failed;
  if (fs::exists(folder, failed) && !fs::is_empty(folder, failed)) {
    return Error{ErrorCode::invalid_input,
                 "the quarantine '" + folder.string() + "' is not empty; remove it first"};
  }
  if (failed) return errno_error("cannot look into " + folder.string(), failed.value());
  return {};
}

Result<void> check_sha1(const fs::path& mirror) {
  FR_TRY(std::string config, read_file(mirror / "config", max_config_bytes));
  std::transform(config.begin(), config.end(), config.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (config.find("objectformat") != std::string::npos &&
      config.find("sha256") != std::string::npos) {
    return Error{ErrorCode::invalid_input,
                 "the repository uses SHA-256 object names; only SHA-1 repositories are supported"};
  }
  return {};
}

}  // namespace

struct Quarantine::Stores {
  fs::path folder;
  std::uint64_t max_object_bytes = 0;
  GitOdb mirror;
  GitOdb own;
  std::unordered_map<ObjectId, std::string, ObjectIdHash> trees;  ///< read before
  std::size_t tree_bytes = 0;
  git_odb_backend* loose = nullptr;  ///< owned by `own`; writes past libgit2's repeated look-ups
};

Quarantine::Quarantine(std::unique_ptr<Stores> stores) : stores_(std::move(stores)) {}
Quarantine::Quarantine(Quarantine&&) noexcept = default;
Quarantine& Quarantine::operator=(Quarantine&&) noexcept = default;
Quarantine::~Quarantine() = default;

Result<void> Quarantine::create(const fs::path& folder, const fs::path& mirror) {
  FR_CHECK(check_folders(folder, mirror));
  FR_CHECK(check_sha1(mirror));
  std::error_code failed;
  for (const char* part : {"objects/info", "objects/pack", "refs/heads"}) {
    fs::create_directories(folder / part, failed);
    if (failed) return errno_error("cannot make " + (folder / part).string(), failed.value());
  }
  fs::permissions(folder, fs::perms::owner_all, failed);
  if (failed) return errno_error("cannot set the mode of " + folder.string(), failed.value());
  FR_CHECK(replace_file(folder / "config", our_config, 0600));
  FR_CHECK(replace_file(folder / "HEAD", "ref: refs/heads/none\n", 0600));
  FR_CHECK(
      replace_file(folder / "objects/info/alternates", (mirror / "objects").string() + "\n", 0600));
  if (fs::is_regular_file(fs::symlink_status(mirror / "shallow", failed))) {
    FR_TRY(const std::string shallow, read_file(mirror / "shallow", max_shallow_bytes));
    FR_CHECK(replace_file(folder / "shallow", shallow, 0600));
  }
  return {};
}

Result<Quarantine> Quarantine::open(const fs::path& folder, const fs::path& mirror,
                                    std::uint64_t max_object_bytes) {
  auto stores = std::make_unique<Stores>();
  stores->folder = folder;
  stores->max_object_bytes = max_object_bytes;
  FR_CHECK(git_check(git_odb_open(out(stores->mirror), (mirror / "objects").c_str()),
                     "cannot open the mirror's objects"));
  FR_CHECK(git_check(git_odb_new(out(stores->own)), "cannot open the quarantine"));
  FR_CHECK(git_check(
      git_odb_backend_loose(&stores->loose, (folder / "objects").c_str(), 1, 0, 0700, 0400),
      "cannot open the quarantine"));
  if (const auto added = git_check(git_odb_add_backend(stores->own.get(), stores->loose, 1),
                                   "cannot open the quarantine");
      !added) {
    stores->loose->free(stores->loose);
    return added.error();
  }
  return Quarantine(std::move(stores));
}

bool Quarantine::mirror_has(const ObjectId& id) const {
  const git_oid oid = to_git(id);
  return git_odb_exists_ext(stores_->mirror.get(), &oid, GIT_ODB_LOOKUP_NO_REFRESH) == 1;
}

bool Quarantine::has(const ObjectId& id) const {
  const git_oid oid = to_git(id);
  return mirror_has(id) ||
         git_odb_exists_ext(stores_->own.get(), &oid, GIT_ODB_LOOKUP_NO_REFRESH) == 1;
}

Result<std::optional<ObjectType>> Quarantine::type_of(const ObjectId& id) const {
  if (!has(id)) return std::optional<ObjectType>{};
  const git_oid oid = to_git(id);
  git_odb* store = mirror_has(id) ? stores_->mirror.get() : stores_->own.get();
  std::size_t size = 0;
  git_object_t type = GIT_OBJECT_INVALID;
  FR_CHECK(
      git_check(git_odb_read_header(&size, &type, store, &oid), "cannot read object " + id.hex()));
  FR_TRY(const ObjectType known, from_git(type));
  return std::optional(known);
}

Result<std::string> Quarantine::read(const ObjectId& id, ObjectType type) const {
  const Error absent{ErrorCode::invalid_input,
                     std::string(to_string(type)) + " " + id.hex() + " is missing"};
  // A tree may be named a hundred thousand times; libgit2 keeps none of the larger ones.
  if (type == ObjectType::tree) {
    const auto cached = stores_->trees.find(id);
    if (cached != stores_->trees.end()) return cached->second;
  }
  if (!has(id)) return absent;
  const git_oid oid = to_git(id);
  git_odb* store = mirror_has(id) ? stores_->mirror.get() : stores_->own.get();
  std::size_t size = 0;
  git_object_t found = GIT_OBJECT_INVALID;
  FR_CHECK(
      git_check(git_odb_read_header(&size, &found, store, &oid), "cannot read object " + id.hex()));
  if (found != to_git(type)) {
    return Error{ErrorCode::invalid_input,
                 "object " + id.hex() + " is no " + std::string(to_string(type))};
  }
  if (size > stores_->max_object_bytes) {
    return Error{ErrorCode::invalid_input, "object " + id.hex() + " has " + std::to_string(size) +
                                               " bytes, more than " +
                                               std::to_string(stores_->max_object_bytes)};
  }
  GitOdbObject object;
  FR_CHECK(git_check(git_odb_read(out(object), store, &oid), "cannot read object " + id.hex()));
  std::string data(static_cast<const char*>(git_odb_object_data(object.get())),
                   git_odb_object_size(object.get()));
  if (type == ObjectType::tree && data.size() < max_cached_tree_bytes / 8) {
    if (stores_->tree_bytes + data.size() > max_cached_tree_bytes) {
      stores_->trees.clear();
      stores_->tree_bytes = 0;
    }
    stores_->tree_bytes += data.size();
    stores_->trees.emplace(id, data);
  }
  return data;
}

Result<ObjectId> Quarantine::hash(ObjectType type, std::string_view data) {
  git_oid oid;
  FR_CHECK(git_check(git_odb_hash(&oid, data.data(), data.size(), to_git(type)),
                     "cannot hash an object"));
  return from_git(oid);
}

Result<ObjectId> Quarantine::write(ObjectType type, std::string_view data) {
  FR_TRY(const ObjectId id, hash(type, data));
  if (has(id)) return id;
  const git_oid oid = to_git(id);
  FR_CHECK(
      git_check(stores_->loose->write(stores_->loose, &oid, data.data(), data.size(), to_git(type)),
                "cannot write to the quarantine"));
  return id;
}

Result<ObjectId> Quarantine::write_blob(int fd, std::uint64_t size) {
  const Error changed{ErrorCode::unavailable, "a file of the workspace changed while it was read"};
  if (size <= small_file_bytes) {
    FR_TRY(const std::string bytes, read_all(fd, small_file_bytes + 1, "a file of the workspace"));
    if (bytes.size() != size) return changed;
    return write(ObjectType::blob, bytes);
  }
  GitOdbStream stream;
  FR_CHECK(git_check(git_odb_open_wstream(out(stream), stores_->own.get(), size, GIT_OBJECT_BLOB),
                     "cannot write to the quarantine"));
  std::string piece(small_file_bytes, '\0');
  std::uint64_t written = 0;
  while (true) {
    const auto count = ::read(fd, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno_error("cannot read a file of the workspace");
    if (count == 0) break;
    const auto bytes = static_cast<std::size_t>(count);
    if (bytes > size - written) return changed;
    written += bytes;
    FR_CHECK(git_check(git_odb_stream_write(stream.get(), piece.data(), bytes),
                       "cannot write to the quarantine"));
  }
  if (written != size) return changed;
  git_oid oid;
  FR_CHECK(git_check(git_odb_stream_finalize_write(&oid, stream.get()),
                     "cannot write to the quarantine"));
  return from_git(oid);
}

Result<void> Quarantine::write_refs(const ObjectId& head,
                                    std::vector<std::pair<std::string, std::string>> refs) {
  std::sort(refs.begin(), refs.end());
  // In one file, for loose refs `a` and `a/b` could not stand side by side.
  std::string packed = "# pack-refs with: sorted \n";
  for (const auto& [name, id] : refs) packed += id + " " + name + "\n";
  FR_CHECK(replace_file(stores_->folder / "packed-refs", packed, 0600));
  return replace_file(stores_->folder / "HEAD", head.hex() + "\n", 0600);
}

}  // namespace flow_runner
