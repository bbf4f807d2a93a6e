// Publication: brings a job's commits from the quarantine to a remote or local ref, or into a
// bundle.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>

#include "config/job.hpp"
#include "config/result.hpp"
#include "executor/credential.hpp"
#include "executor/git_command.hpp"
#include "sandbox/cancellation.hpp"

namespace flow_runner {

/// What to publish and where. All checks of content and target are done before.
struct PublicationRequest {
  PublishMode mode = PublishMode::remote;  ///< remote or local
  std::filesystem::path quarantine;  ///< bare repository; its configuration and refs are not used
  std::filesystem::path mirror;      ///< the quarantine's only alternate
  std::string base;                  ///< commit the job started from
  std::string head;                  ///< commit to publish; descends from base
  /// Remote address, or the local repository's folder; a folder's receive side and hooks never run.
  std::string url;
  std::string ref;  ///< full, from allowed_target()
  /// PreparedRepository::workload_tip: only to say that the ref was removed meanwhile. The lease of
  /// each push is the value read right before it, of which nothing is discarded.
  std::optional<std::string> expected;
  Credential credential;             ///< an empty token: anonymous
  bool skip_pipelines = true;        ///< push option ci.skip, where the server knows push options
  std::filesystem::path git_worker;  ///< the program flow-runner-git
  std::chrono::milliseconds deadline{std::chrono::minutes(10)};  ///< of the whole publication
};

struct PublicationOutcome {
  std::string ref;
  std::string commit;  ///< what the ref holds of ours, as read back: head, or its replayed form
  bool already_there = false;         ///< nothing had to be pushed
  int replays = 0;                    ///< how often the commits were put on top of a moved ref
  std::vector<std::string> warnings;  ///< sentences for the log
};

/// Publishes. Never discards a commit that the ref holds: a ref that moved (or never was an
/// ancestor) is fetched and base..head replayed on top, up to three times; a ref that already has
/// head counts as published. Each push names the old value, and the remote is read back afterwards.
/// denied: the server or the local repository refuses (a hook, a protected ref, a checked-out
/// branch); invalid_input: conflicts, with their paths. Local mode never touches HEAD, index or
/// work tree. A cancellation or deadline during a push leaves the ref as it was or with our
/// commits.
asio::awaitable<Result<PublicationOutcome>> publish(const PublicationRequest& request,
                                                    const GitContext& context,
                                                    Cancellation& cancellation);

/// What goes into a bundle.
struct BundleRequest {
  std::filesystem::path quarantine;
  std::filesystem::path mirror;
  std::string base;  ///< the bundle's prerequisite
  std::string head;
  std::string ref;  ///< full name that head gets in the bundle
  std::vector<std::pair<std::string, std::string>> kept_refs;  ///< ChangeSet::kept_refs
  std::filesystem::path file;                                  ///< replaced in one step, mode 0600
  std::chrono::milliseconds deadline{std::chrono::minutes(5)};
};

struct BundleInfo {
  std::filesystem::path file;
  std::uint64_t bytes = 0;
  std::vector<std::pair<std::string, std::string>> refs;  ///< {name, commit} as read back
};

/// Writes the bundle and reads it back. Absent: there is nothing beyond base.
asio::awaitable<Result<std::optional<BundleInfo>>> create_bundle(const BundleRequest& request,
                                                                 const GitContext& context,
                                                                 Cancellation& cancellation);

/// Makes `quarantine` a bare repository whose alternate is the mirror and unpacks the bundle into
/// it: what is published or applied later starts from there. Returns the bundle's refs. not_found:
/// the bundle's base is not in the mirror; invalid_input: no bundle, or a damaged one.
asio::awaitable<Result<std::vector<std::pair<std::string, std::string>>>> unbundle(
    const std::filesystem::path& file, const std::filesystem::path& mirror,
    const std::filesystem::path& quarantine, const GitContext& context, Cancellation& cancellation);

/// Checks that the bundle is whole and that `repository` (a mirror) holds what it builds on, by
/// unpacking it into a folder of its own beside it. Errors as in unbundle().
asio::awaitable<Result<BundleInfo>> verify_bundle(const std::filesystem::path& file,
                                                  const std::filesystem::path& repository,
                                                  const GitContext& context,
                                                  Cancellation& cancellation);

}  // namespace flow_runner
