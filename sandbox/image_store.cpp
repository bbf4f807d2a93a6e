#include "sandbox/image_store.hpp"

#include <algorithm>
#include <charconv>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <boost/asio/this_coro.hpp>

#include "config/encoding.hpp"
#include "config/units.hpp"
#include "sandbox/alarm.hpp"
#include "sandbox/image_files.hpp"
#include "sandbox/registry_error.hpp"

namespace flow_runner {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;
using std::chrono::system_clock;

constexpr std::size_t max_inspection = 16 << 20;
constexpr std::size_t max_progress_line = 4096;
constexpr int max_attempts = 3;

/// Cuts a stream into lines for a callback; a line that is too long comes in pieces.
class LineCallback {
 public:
  explicit LineCallback(std::function<void(std::string_view)> callback)
      : callback_(std::move(callback)) {}

  void operator()(std::string_view piece) {
    if (!callback_) return;
    for (const char c : piece) {
      if (c != '\n' && line_.size() < max_progress_line) {
        line_ += c;
        continue;
      }
      if (const std::string safe = safe_output_line(line_); !safe.empty()) callback_(safe);
      line_.clear();
      if (c != '\n') line_ += c;
    }
  }

 private:
  std::function<void(std::string_view)> callback_;
  std::string line_;
};

std::uint64_t free_space(const fs::path& folder) {
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0) return UINT64_MAX;
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

/// The name under which an image that was loaded here as `demo` is known.
std::string local_name(const ImageReference& reference) {
  ImageReference local = reference;
  local.registry = "localhost";
  constexpr std::string_view library = "library/";
  if (local.repository.starts_with(library)) local.repository.erase(0, library.size());
  return local.pull_name();
}

/// The start of the last successful pull, as the pull lock's file says; asked_at is earlier than it
/// when somebody else has pulled since.
bool pulled_since(int lock, system_clock::time_point asked_at) {
  const auto text = read_all(lock, 64, "pull lock");
  std::int64_t at = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), at).ec != std::errc())
    return false;
  const auto started = system_clock::time_point(std::chrono::nanoseconds(at));
  return started >= asked_at && started <= system_clock::now();
}

void record_pull(int lock, system_clock::time_point started) {
  const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(started.time_since_epoch());
  if (::ftruncate(lock, 0) != 0 || ::lseek(lock, 0, SEEK_SET) != 0) return;
  // Without the record the next one merely pulls again.
  static_cast<void>(write_all(lock, std::to_string(ns.count())));
}

}  // namespace

ImageStore::ImageStore(fs::path images)
    : images_(images), podman_(images), cache_(images / "facts", podman_.storage()) {}

Result<ImageStore> ImageStore::open(const fs::path& images) {
  const std::string text = images.string();
  if (!images.is_absolute() || text.find_first_of(":,\\\n") != std::string::npos)
    return Error{
        ErrorCode::invalid_input,
        "the image folder " + text +
            " must be absolute and without ':', ',' and '\\': overlay mounts cannot take it"};
  std::error_code error;
  if (!fs::is_directory(images / "tmp", error)) {
    for (const char* name : {"", "storage", "facts", "locks", "tmp"}) {
      const fs::path folder = *name == '\0' ? images : images / name;
      fs::create_directories(folder, error);
      if (!error) fs::permissions(folder, fs::perms::owner_all, error);
      if (error)
        return Error{
            error == std::errc::permission_denied ? ErrorCode::denied : ErrorCode::internal,
            "cannot make " + folder.string() + ": " + error.message()};
    }
  }
  return ImageStore(images);
}

fs::path ImageStore::lock_file(std::string_view id) const { return images_ / "locks" / id; }

asio::awaitable<Result<LeasedImage>> ImageStore::ensure(ImageReference reference, PullPolicy policy,
                                                        PullOptions options,
                                                        Cancellation& cancellation) const {
  const auto deadline = steady_clock::now() + options.timeout;
  if (reference.local_only()) policy = PullPolicy::never;
  bool pulled = false;
  for (int attempt = 0; attempt < max_attempts; ++attempt) {
    const bool must_pull = policy == PullPolicy::always && !pulled;
    std::optional<ImageFacts> found;
    if (!must_pull || !reference.registry_given) {
      FR_CO_TRY(found, co_await find(reference, cancellation));
    }
    const bool only_here = found && found->name == local_name(reference);
    if (found && (!must_pull || only_here)) {
      FR_CO_TRY(auto leased, co_await lease(*found, deadline, cancellation));
      if (leased) co_return std::move(*leased);
      continue;
    }
    if (policy == PullPolicy::never)
      co_return Error{ErrorCode::not_found,
                      "image " + reference.normalized() +
                          " is not on this host and is not to be pulled; load it with "
                          "`flow-runner image load`" +
                          (reference.local_only() ? "" : " or allow the pull")};
    FR_CO_CHECK(co_await pull(reference, policy, options, deadline, cancellation));
    pulled = true;
  }
  co_return Error{ErrorCode::unavailable, "image " + reference.normalized() +
                                              " is removed as soon as it is there; try again"};
}

asio::awaitable<Result<std::optional<ImageFacts>>> ImageStore::find(
    ImageReference reference, Cancellation& cancellation) const {
  const std::string key = reference.pull_name() + (reference.registry_given ? "" : " (short)");
  if (auto cached = cache_.find(key)) co_return cached;
  // Taken first: whatever changes the store from here on makes the entry a miss.
  const auto stamp = StoreStamp::of(podman_.storage());
  if (!stamp) co_return std::optional<ImageFacts>();
  FR_CO_TRY(auto facts, co_await inspect(reference.pull_name(), cancellation));
  if (!facts && !reference.registry_given) {
    FR_CO_TRY(facts, co_await inspect(local_name(reference), cancellation));
  }
  // A cache that cannot be written costs time only.
  if (facts) static_cast<void>(cache_.put(key, *facts, *stamp));
  co_return facts;
}

asio::awaitable<Result<std::optional<ImageFacts>>> ImageStore::inspect(
    std::string name, Cancellation& cancellation) const {
  Podman::Options options;
  options.limits.max_output = max_inspection;
  std::vector<std::string> arguments = {"image", "inspect", name};
  FR_CO_TRY(const RunOutput output,
            co_await podman_.run(std::move(arguments), options, cancellation));
  if (!output.status.success()) {
    if (is_unknown_image(output.stderr_text)) co_return std::optional<ImageFacts>();
    co_return Error{ErrorCode::internal,
                    "cannot look at image " + name + ": " + last_error_line(output.stderr_text)};
  }
  auto facts = parse_image_inspection(output.stdout_text, name, podman_.storage());
  if (!facts && facts.error().code == ErrorCode::not_found) co_return std::optional<ImageFacts>();
  if (!facts) co_return facts.error();
  co_return std::optional<ImageFacts>(std::move(*facts));
}

asio::awaitable<Result<std::optional<LeasedImage>>> ImageStore::lease(
    ImageFacts facts, steady_clock::time_point deadline, Cancellation& cancellation) const {
  FR_CO_TRY(Descriptor lock,
            co_await file_lock(lock_file(facts.id), LockKind::shared, deadline,
                               "a prune that looks at image " + facts.name, cancellation));
  ::futimens(lock.get(), nullptr);
  // A prune may have come between finding and locking.
  if (!layers_exist(facts)) co_return std::optional<LeasedImage>();
  co_return std::optional<LeasedImage>(LeasedImage{std::move(facts), ImageLease(std::move(lock))});
}

asio::awaitable<Result<void>> ImageStore::pull(ImageReference reference, PullPolicy policy,
                                               PullOptions options,
                                               steady_clock::time_point deadline,
                                               Cancellation& cancellation) const {
  const auto asked_at = system_clock::now();
  const std::string name = reference.pull_name();
  FR_CO_TRY(const Descriptor lock,
            co_await file_lock(lock_file("pull-" + sha256_hex(name)), LockKind::exclusive, deadline,
                               "another job's pull of " + name, cancellation));
  if (pulled_since(lock.get(), asked_at)) co_return Result<void>();
  if (policy != PullPolicy::always) {
    FR_CO_TRY(const auto found, co_await find(reference, cancellation));
    if (found) co_return Result<void>();
  }
  const auto started = system_clock::now();
  auto done = co_await run_pull(reference, options, deadline, cancellation);
  if (done) {
    record_pull(lock.get(), started);
  } else if (policy == PullPolicy::always && (done.error().code == ErrorCode::unavailable ||
                                              done.error().code == ErrorCode::timed_out)) {
    Error error = done.error();
    error.message +=
        "; the pull policy is always: a copy that is on this host already is used with "
        "`--pull if-not-present`";
    co_return error;
  }
  co_return done;
}

asio::awaitable<Result<void>> ImageStore::run_pull(ImageReference reference, PullOptions options,
                                                   steady_clock::time_point deadline,
                                                   Cancellation& cancellation) const {
  std::vector<std::string> arguments = {"pull"};
  if (!options.auth_file.empty()) {
    if (::access(options.auth_file.c_str(), R_OK) != 0)
      co_return Error{ErrorCode::invalid_input,
                      "cannot read the registry credentials " + options.auth_file.string()};
    arguments.emplace_back("--authfile");
    arguments.push_back(options.auth_file.string());
  }
  arguments.push_back(reference.pull_name());

  // The job's cancellation and a full disk both stop the pull; which one it was is asked
  // afterwards.
  Cancellation stop;
  const auto on_request = cancellation.on_request([&](StopCause cause) { stop.request(cause); });
  const auto on_kill = cancellation.on_kill([&](StopCause) { stop.kill_now(); });
  Alarm watch(co_await asio::this_coro::executor);
  std::function<void()> look = [&] {
    if (free_space(images_) < options.free_space_floor)
      stop.request(StopCause::resource_exhausted);
    else
      watch.set(std::chrono::milliseconds(500), look);
  };
  look();

  Podman::Options run;
  run.ca_file = options.ca_file;
  run.on_stderr = LineCallback(options.on_progress);
  run.limits.deadline = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::max(deadline - steady_clock::now(), steady_clock::duration::zero()));
  auto output = co_await podman_.run(std::move(arguments), run, stop);
  if (!cancellation.requested() && stop.requested() == StopCause::resource_exhausted)
    co_return Error{ErrorCode::unavailable,
                    "pulling " + reference.normalized() + " was stopped: less than " +
                        format_bytes(options.free_space_floor) + " would be free on the disk of " +
                        images_.string() + "; make room with `flow-runner image prune`"};
  if (!output && output.error().code == ErrorCode::timed_out)
    co_return Error{ErrorCode::timed_out,
                    "pulling " + reference.normalized() + " took longer than " +
                        format_duration(options.timeout) + "; raise images.pull_timeout"};
  if (!output) co_return output.error();
  if (!output->status.success()) co_return registry_error(reference, output->stderr_text);
  co_return Result<void>();
}

}  // namespace flow_runner
