#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/ref_name.hpp"
#include "executor/publication.hpp"
#include "executor/transfer_repository.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

namespace fs = std::filesystem;
constexpr std::chrono::milliseconds verify_deadline = std::chrono::minutes(5);

/// Removes a folder of ours at the end of a scope.
struct ScratchFolder {
  fs::path path;
  explicit ScratchFolder(fs::path folder) : path(std::move(folder)) {}
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

/// `<commit> <ref>` a line.
Result<NamedCommits> parse_heads(std::string_view text) {
  NamedCommits heads;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t space = line.find(' ');
    if (space == line.npos || !is_commit_id(line.substr(0, space)) ||
        !check_full_ref(line.substr(space + 1)))
      return Error{ErrorCode::invalid_input, "the bundle names a ref in a form that is not git's"};
    heads.emplace_back(line.substr(space + 1), line.substr(0, space));
  }
  return heads;
}

/// 0600 and on the disk before it gets its name.
Result<std::uint64_t> finish_file(const fs::path& made, const fs::path& file) {
  FR_TRY(const Descriptor descriptor, open_file(made, O_RDONLY));
  struct stat status {};
  if (::fchmod(descriptor.get(), 0600) != 0 || ::fsync(descriptor.get()) != 0 ||
      ::fstat(descriptor.get(), &status) != 0)
    return errno_error("cannot finish " + made.string());
  if (::rename(made.c_str(), file.c_str()) != 0) return errno_error("cannot make " + file.string());
  return static_cast<std::uint64_t>(status.st_size);
}

}  // namespace

asio::awaitable<Result<std::optional<BundleInfo>>> create_bundle(const BundleRequest& request,
                                                                 const GitContext& context,
                                                                 Cancellation& cancellation) {
  NamedCommits refs;
  if (request.head != request.base) refs.emplace_back(request.ref, request.head);
  for (const auto& kept : request.kept_refs)
    if (kept.first != request.ref && kept.second != request.base) refs.push_back(kept);
  if (refs.empty()) co_return std::optional<BundleInfo>();
  if (!is_commit_id(request.base))
    co_return Error{ErrorCode::invalid_input, "a bundle needs the full id of its base commit"};
  FR_CO_TRY(const TransferRepository transfer,
            TransferRepository::make(request.quarantine, request.mirror, refs));

  GitCommand command;
  command.git_dir = transfer.path();
  command.deadline = request.deadline;
  const fs::path made = transfer.path() / "bundle";
  command.arguments = {"bundle", "create", "--quiet", "--version=2"};
  command.arguments.push_back(made.string());
  command.arguments.emplace_back("--stdin");
  for (const auto& [name, commit] : refs) command.input += name + "\n";
  command.input += "^" + request.base + "\n";
  const std::string what = describe(command);
  FR_CO_TRY(const RunOutput output, co_await run_git(std::move(command), context, cancellation));
  if (!output.status.success()) {
    // Kept refs may all be older than the base.
    if (output.stderr_text.find("empty bundle") != std::string::npos)
      co_return std::optional<BundleInfo>();
    co_return git_failure(what, output.status.code, output.stderr_text, context.sanitize);
  }
  FR_CO_TRY(BundleInfo info, co_await verify_bundle(made, transfer.path(), context, cancellation));
  FR_CO_TRY(info.bytes, finish_file(made, request.file));
  info.file = request.file;
  co_return std::optional<BundleInfo>(std::move(info));
}

asio::awaitable<Result<NamedCommits>> unbundle(const fs::path& file, const fs::path& mirror,
                                               const fs::path& quarantine,
                                               const GitContext& context,
                                               Cancellation& cancellation) {
  std::error_code error;
  for (const char* folder : {"objects/info", "objects/pack", "refs"}) {
    fs::create_directories(quarantine / folder, error);
    if (error)
      co_return errno_error("cannot make " + (quarantine / folder).string(), error.value());
  }
  const std::string config =
      "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n";
  FR_CO_CHECK(replace_file(quarantine / "config", config, 0600));
  FR_CO_CHECK(replace_file(quarantine / "HEAD", "ref: refs/heads/none\n", 0600));
  const std::string alternates = (mirror / "objects").string() + "\n";
  FR_CO_CHECK(replace_file(quarantine / "objects/info/alternates", alternates, 0600));
  if (fs::exists(mirror / "shallow", error)) {
    fs::copy_file(mirror / "shallow", quarantine / "shallow", fs::copy_options::overwrite_existing,
                  error);
    if (error) co_return errno_error("cannot copy " + (mirror / "shallow").string(), error.value());
  }
  GitCommand command;
  command.git_dir = quarantine;
  command.deadline = verify_deadline;
  command.arguments = {"bundle", "unbundle"};
  command.arguments.push_back(file.string());
  const std::string what = describe(command) + " " + file.string();
  FR_CO_TRY(const RunOutput output, co_await run_git(std::move(command), context, cancellation));
  if (!output.status.success()) {
    Error failure = git_failure(what, output.status.code, output.stderr_text, context.sanitize);
    if (output.stderr_text.find("prerequisite") != std::string::npos) {
      failure.code = ErrorCode::not_found;
      failure.message += "; the commit that the changes build on is not there: fetch it first";
    }
    co_return failure;
  }
  co_return parse_heads(output.stdout_text);
}

asio::awaitable<Result<BundleInfo>> verify_bundle(const fs::path& file, const fs::path& repository,
                                                  const GitContext& context,
                                                  Cancellation& cancellation) {
  std::string name = file.string() + ".verify-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) co_return errno_error("cannot make " + name);
  const ScratchFolder scratch(name);
  BundleInfo info;
  // git bundle verify looks at the header only; unpacking it reads every object.
  FR_CO_TRY(info.refs, co_await unbundle(file, repository, scratch.path, context, cancellation));
  std::error_code error;
  info.bytes = fs::file_size(file, error);
  info.file = file;
  co_return info;
}

}  // namespace flow_runner
