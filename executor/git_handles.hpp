// RAII over libgit2: unique_ptr aliases by deleter, an adapter for T** out-parameters, errors read
// at once.
#pragma once

#include <cstdlib>
#include <git2.h>
#include <memory>
#include <string>
#include <string_view>

#include "config/result.hpp"

namespace flow_runner {

template <auto free_function>
struct GitDeleter {
  template <class T>
  void operator()(T* pointer) const noexcept {
    free_function(pointer);
  }
};

template <class T, auto free_function>
using GitHandle = std::unique_ptr<T, GitDeleter<free_function>>;

using GitRepository = GitHandle<git_repository, git_repository_free>;
using GitOdb = GitHandle<git_odb, git_odb_free>;
using GitOdbObject = GitHandle<git_odb_object, git_odb_object_free>;
using GitOdbStream = GitHandle<git_odb_stream, git_odb_stream_free>;
using GitObject = GitHandle<git_object, git_object_free>;
using GitCommit = GitHandle<git_commit, git_commit_free>;
using GitTree = GitHandle<git_tree, git_tree_free>;
using GitTreeEntry = GitHandle<git_tree_entry, git_tree_entry_free>;
using GitTreeBuilder = GitHandle<git_treebuilder, git_treebuilder_free>;
using GitBlob = GitHandle<git_blob, git_blob_free>;
using GitReference = GitHandle<git_reference, git_reference_free>;
using GitIndex = GitHandle<git_index, git_index_free>;
using GitIndexConflicts = GitHandle<git_index_conflict_iterator, git_index_conflict_iterator_free>;
using GitDiff = GitHandle<git_diff, git_diff_free>;
using GitPatch = GitHandle<git_patch, git_patch_free>;
using GitRevwalk = GitHandle<git_revwalk, git_revwalk_free>;
using GitSignature = GitHandle<git_signature, git_signature_free>;
using GitConfig = GitHandle<git_config, git_config_free>;
using GitStatusList = GitHandle<git_status_list, git_status_list_free>;
using GitIndexer = GitHandle<git_indexer, git_indexer_free>;
using GitPackbuilder = GitHandle<git_packbuilder, git_packbuilder_free>;

/// A git_buf that is disposed of with its owner.
class GitBuffer {
 public:
  GitBuffer() = default;
  GitBuffer(const GitBuffer&) = delete;
  GitBuffer& operator=(const GitBuffer&) = delete;
  ~GitBuffer() { git_buf_dispose(&buffer_); }

  git_buf* get() noexcept { return &buffer_; }
  [[nodiscard]] std::string_view view() const noexcept {
    return buffer_.ptr == nullptr ? std::string_view{}
                                  : std::string_view(buffer_.ptr, buffer_.size);
  }

 private:
  git_buf buffer_ = GIT_BUF_INIT;
};

/// Lets a C function fill a handle: `git_commit_lookup(out(commit), repository, &id)`. The handle
/// is set when the full expression ends; one that was held before is freed then.
template <class Handle>
class GitOut {
 public:
  explicit GitOut(Handle& handle) noexcept : handle_(handle) {}
  GitOut(const GitOut&) = delete;
  GitOut& operator=(const GitOut&) = delete;
  ~GitOut() { handle_.reset(pointer_); }
  // NOLINTNEXTLINE(google-explicit-constructor): made to stand where the C function wants a T**.
  operator typename Handle::element_type **() noexcept { return &pointer_; }

 private:
  Handle& handle_;
  typename Handle::element_type* pointer_ = nullptr;
};

template <class Handle>
[[nodiscard]] GitOut<Handle> out(Handle& handle) noexcept {
  return GitOut<Handle>(handle);
}

/// The Error of the libgit2 call that has just failed in this thread: "what: libgit2's words".
/// GIT_ENOTFOUND becomes not_found, GIT_ECERTIFICATE, GIT_EAUTH and GIT_EOWNER denied, GIT_ELOCKED
/// unavailable, GIT_EINVALIDSPEC invalid_input, the rest internal.
inline Error git_error_from(int code, std::string_view what) {
  const git_error* last = git_error_last();
  std::string message(what);
  message += ": ";
  message +=
      last != nullptr && last->message != nullptr ? last->message : "unknown error of libgit2";
  git_error_clear();
  switch (code) {
    case GIT_ENOTFOUND:
      return {ErrorCode::not_found, std::move(message)};
    case GIT_ECERTIFICATE:
    case GIT_EAUTH:
    case GIT_EOWNER:
      return {ErrorCode::denied, std::move(message)};
    case GIT_ELOCKED:
      return {ErrorCode::unavailable, std::move(message)};
    case GIT_EINVALIDSPEC:
      return {ErrorCode::invalid_input, std::move(message)};
    default:
      return {ErrorCode::internal, std::move(message)};
  }
}

/// Turns a libgit2 return code into a Result: `FR_CHECK(git_check(git_…(…), "what"))`. Must wrap
/// the call itself, for the error text is per thread and lasts until the next call.
inline Result<void> git_check(int code, std::string_view what) {
  if (code < 0) return git_error_from(code, what);
  return {};
}

/// libgit2's global state while it lives. It closes the process to the host's git configuration: no
/// system, global, XDG or programdata file is read, whichever repository is opened. Ownership of a
/// repository is not checked: the check protects a person who walks into a strange folder from what
/// git would start there; here the caller names the repository, and libgit2 starts nothing.
class GitLibrary {
 public:
  GitLibrary() {
    git_libgit2_init();
    for (int level : {GIT_CONFIG_LEVEL_SYSTEM, GIT_CONFIG_LEVEL_GLOBAL, GIT_CONFIG_LEVEL_XDG,
                      GIT_CONFIG_LEVEL_PROGRAMDATA}) {
      git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, level, "");
    }
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
  }
  GitLibrary(const GitLibrary&) = delete;
  GitLibrary& operator=(const GitLibrary&) = delete;
  ~GitLibrary() { git_libgit2_shutdown(); }

  /// Opens the configuration of this host and of the user (HOME, XDG_CONFIG_HOME) again: for a
  /// repository of the user's own, whose ignore rules are spread over these files.
  void read_user_configuration() {
    const auto variable = [](const char* name) -> std::string {
      const char* value = std::getenv(name);
      return value != nullptr ? value : "";
    };
    const std::string home = variable("HOME");
    const std::string given = variable("XDG_CONFIG_HOME");
    const std::string xdg = !given.empty() ? given + "/git"
                            : home.empty() ? ""
                                           : home + "/.config/git";
    git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_SYSTEM, "/etc");
    git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_GLOBAL, home.c_str());
    git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, GIT_CONFIG_LEVEL_XDG, xdg.c_str());
  }

  /// Objects are no longer hashed when read: for a mirror, whose objects git verified as it
  /// received them. zlib's checksum still finds what a disk has damaged.
  void trust_object_hashes() { git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 0); }
};

/// Parses 40 hex digits. `what` names the value in the error (invalid_input).
inline Result<git_oid> parse_oid(std::string_view hex, std::string_view what) {
  git_oid oid;
  if (hex.size() != GIT_OID_HEXSZ || git_oid_fromstrn(&oid, hex.data(), hex.size()) != 0) {
    git_error_clear();
    return Error{ErrorCode::invalid_input,
                 std::string(what) + " must be a commit id of 40 hex digits"};
  }
  return oid;
}

inline std::string to_hex(const git_oid& oid) {
  char text[GIT_OID_HEXSZ];
  git_oid_fmt(text, &oid);
  return {text, GIT_OID_HEXSZ};
}

}  // namespace flow_runner
