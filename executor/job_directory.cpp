#include "executor/job_directory.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "config/job_json.hpp"
#include "executor/timestamp.hpp"
#include "sandbox/rootless.hpp"

namespace flow_runner {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr std::size_t max_job_file = 64U << 20;
constexpr std::size_t max_journal_file = 16U << 20;
constexpr std::size_t max_result_file = 256U << 20;
constexpr std::size_t max_id_length = 64;

// A directory that is still being built; never taken for a job.
constexpr std::string_view building_prefix = ".new-";

bool is_job_id(std::string_view id) {
  const auto allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-';
  };
  return !id.empty() && id.size() <= max_id_length && std::all_of(id.begin(), id.end(), allowed);
}

Result<void> make_directories(const fs::path& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
  if (errno != ENOENT || path == path.root_path())
    return errno_error("cannot make the folder " + path.string());
  FR_CHECK(make_directories(path.parent_path()));
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return errno_error("cannot make the folder " + path.string());
}

Result<std::optional<Descriptor>> lock_file_now(const fs::path& file) {
  FR_TRY(Descriptor lock, open_file(file, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  while (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return std::optional<Descriptor>();
    if (errno != EINTR) return errno_error("cannot lock " + file.string());
  }
  return std::optional<Descriptor>(std::move(lock));
}

Result<json> parse_file(const fs::path& file, std::size_t max_bytes) {
  FR_TRY(const std::string text, read_file(file, max_bytes));
  json document = json::parse(text, nullptr, false);
  if (document.is_discarded())
    return Error{ErrorCode::internal, file.string() + " is not JSON: it was damaged"};
  // Said in full: json converts to anything, so a plain return is ambiguous.
  return Result<json>(boost::system::in_place_value, std::move(document));
}

/// After these the job does nothing that leaves a trace before it writes its next line, whose fsync
/// brings both to disk: an fsync of their own would cost several milliseconds and protect nothing.
bool is_followed_at_once(std::string_view state) {
  return state == "accepted" || state == "sandbox" || state == "script_ended";
}

std::string dump(const json& document) {
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::optional<JournalEntry> parse_journal_line(std::string_view line) {
  const json document = json::parse(line, nullptr, false);
  if (!document.is_object()) return std::nullopt;
  const auto state = document.find("state"), at = document.find("at"), data = document.find("data");
  if (state == document.end() || !state->is_string() || at == document.end() || !at->is_string())
    return std::nullopt;
  const auto time = parse_timestamp(at->get_ref<const std::string&>());
  if (!time) return std::nullopt;
  JournalEntry entry{.state = state->get<std::string>(), .at = *time, .data = json::object()};
  if (data != document.end() && data->is_object()) entry.data = *data;
  return entry;
}

fs::path default_state_directory() {
  if (host_uid() == 0) return "/var/lib/flow-runner";
  const char* state_home = std::getenv("XDG_STATE_HOME");
  if (state_home != nullptr && state_home[0] == '/') return fs::path(state_home) / "flow-runner";
  const char* home = std::getenv("HOME");
  return fs::path(home != nullptr && home[0] == '/' ? home : "/") / ".local/state/flow-runner";
}

Result<StateDirectory> StateDirectory::open(const fs::path& root) {
  if (!root.is_absolute())
    return Error{ErrorCode::invalid_input,
                 "the state folder must be an absolute path, not \"" + root.string() + "\""};
  StateDirectory state{root.lexically_normal()};
  FR_CHECK(make_directories(state.root));
  struct stat facts {};
  if (::stat(state.root.c_str(), &facts) != 0)
    return errno_error("cannot read the state folder " + state.root.string());
  if (!S_ISDIR(facts.st_mode))
    return Error{ErrorCode::invalid_input, state.root.string() + " is not a folder"};
  // What lies here is believed: another owner could put repositories and images under a job.
  if (facts.st_uid != ::geteuid() || (facts.st_mode & S_IWOTH) != 0)
    return Error{ErrorCode::denied, "the state folder " + state.root.string() +
                                        " belongs to, or can be written by, another user: give one "
                                        "of your own with --state-dir"};
  if (::access(state.root.c_str(), W_OK | X_OK) != 0)
    return errno_error("cannot write to the state folder " + state.root.string());
  for (const fs::path& folder : {state.jobs(), state.repositories(), state.images()})
    FR_CHECK(make_directories(folder));
  return state;
}

Result<std::pair<JobDirectory, Descriptor>> JobDirectory::create(const StateDirectory& state,
                                                                 const Job& job) {
  if (!is_job_id(job.id))
    return Error{ErrorCode::invalid_input, "a job id has 1 to 64 of the characters 0-9, a-z and -"};
  // Built aside and renamed: whoever lists jobs sees it complete and locked, or not at all.
  const JobDirectory building(state.jobs() / (std::string(building_prefix) + job.id));
  const JobDirectory directory(state.jobs() / job.id);
  if (::mkdir(building.path().c_str(), 0700) != 0)
    return errno_error("cannot make the job folder " + building.path().string());
  const auto fill = [&]() -> Result<Descriptor> {
    FR_TRY(auto lock, lock_file_now(building.lock_file()));
    if (!lock) return Error{ErrorCode::internal, building.lock_file().string() + " is locked"};
    FR_CHECK(replace_file(building.job_file(), dump(to_json(job, Secrets::omit)) + "\n", 0600));
    if (::renameat2(AT_FDCWD, building.path().c_str(), AT_FDCWD, directory.path().c_str(),
                    RENAME_NOREPLACE) != 0) {
      if (errno == EEXIST)
        return Error{ErrorCode::internal, "the job " + job.id + " exists already"};
      return errno_error("cannot make the job folder " + directory.path().string());
    }
    return std::move(*lock);
  };
  auto lock = fill();
  if (!lock) {
    std::error_code ignored;
    fs::remove_all(building.path(), ignored);
    return std::move(lock).error();
  }
  return std::pair(directory, std::move(*lock));
}

Result<std::optional<Descriptor>> JobDirectory::try_lock() const {
  return lock_file_now(lock_file());
}

Result<void> JobDirectory::append_journal(const JournalEntry& entry) const {
  std::string line = dump({{"version", 1},
                           {"state", entry.state},
                           {"at", format_timestamp(entry.at)},
                           {"data", entry.data}}) +
                     "\n";
  const fs::path file = journal_file();
  FR_TRY(const Descriptor journal, open_file(file, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0600));
  // A crash can leave half a line behind: what follows it must not be glued to it.
  struct stat facts {};
  if (::fstat(journal.get(), &facts) != 0) return errno_error("cannot read " + file.string());
  char last = '\n';
  if (facts.st_size > 0 && ::pread(journal.get(), &last, 1, facts.st_size - 1) != 1)
    return errno_error("cannot read " + file.string());
  if (last != '\n') line.insert(line.begin(), '\n');
  FR_CHECK(write_all(journal.get(), line));
  if (is_followed_at_once(entry.state)) return {};
  if (::fsync(journal.get()) != 0) return errno_error("cannot write " + file.string());
  return {};
}

Result<std::vector<JournalEntry>> JobDirectory::read_journal() const {
  auto text = read_file(journal_file(), max_journal_file);
  if (!text && text.error().code == ErrorCode::not_found) return std::vector<JournalEntry>();
  if (!text) return std::move(text).error();
  std::vector<JournalEntry> entries;
  std::string_view rest = *text;
  for (auto end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    if (auto entry = parse_journal_line(rest.substr(0, end))) entries.push_back(std::move(*entry));
    rest.remove_prefix(end + 1);
  }
  return entries;
}

Result<void> JobDirectory::write_result(const JobResult& result) const {
  return replace_file(result_file(), dump(to_json(result)) + "\n", 0600);
}

Result<std::optional<JobResult>> JobDirectory::read_result() const {
  auto document = parse_file(result_file(), max_result_file);
  if (!document && document.error().code == ErrorCode::not_found) return std::optional<JobResult>();
  if (!document) return std::move(document).error();
  FR_TRY(JobResult result, job_result_from_json(*document));
  return std::optional<JobResult>(std::move(result));
}

Result<Job> JobDirectory::read_job() const {
  FR_TRY(const json document, parse_file(job_file(), max_job_file));
  return job_from_json(document);
}

Result<std::vector<JobDirectory>> list_jobs(const StateDirectory& state) {
  std::error_code error;
  fs::directory_iterator entries(state.jobs(), error);
  if (error == std::errc::no_such_file_or_directory) return std::vector<JobDirectory>();
  std::vector<std::pair<fs::file_time_type, JobDirectory>> found;
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    if (!is_job_id(entries->path().filename().native())) continue;
    JobDirectory job(entries->path());
    std::error_code gone;
    // job.json is written once, when the job is accepted.
    const auto time = fs::last_write_time(job.job_file(), gone);
    found.emplace_back(gone ? fs::file_time_type::min() : time, std::move(job));
  }
  if (error)
    return Error{ErrorCode::internal,
                 "cannot list " + state.jobs().string() + ": " + error.message()};
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first, a.second.id()) > std::pair(b.first, b.second.id());
  });
  std::vector<JobDirectory> jobs;
  jobs.reserve(found.size());
  for (auto& [time, job] : found) jobs.push_back(std::move(job));
  return jobs;
}

}  // namespace flow_runner
