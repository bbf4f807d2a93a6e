#include "executor/git_worker_main.hpp"

#include <algorithm>
#include <csignal>
#include <sys/resource.h>

#include "config/quoted_path.hpp"
#include "executor/git_apply.hpp"
#include "executor/git_capture.hpp"
#include "executor/git_confinement.hpp"
#include "executor/git_diff.hpp"
#include "executor/git_handles.hpp"
#include "executor/git_protocol.hpp"
#include "executor/git_replay.hpp"
#include "executor/git_snapshot.hpp"
#include "executor/git_take_over.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

using nlohmann::json;

// For requests that name no limit of their own: enough for any repository we know, far from what
// would bring a host down. A sanitizer's shadow counts as data.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t default_memory_bytes = 0;
#else
constexpr std::uint64_t default_memory_bytes = 4ULL << 30;
#endif

/// Collects lines and content and writes them in large pieces. Remembers that nobody reads any
/// more.
class Answer final : public ContentSink {
 public:
  explicit Answer(int output) : output_(output) {}

  void event(json object) {
    put(object.dump(-1, ' ', false, json::error_handler_t::replace));
    put("\n");
  }
  void progress(std::string_view text, std::uint64_t done, std::uint64_t total) {
    event({{"event", "progress"}, {"text", text}, {"done", done}, {"total", total}});
    flush();
  }
  void begin(ContentKind kind, std::string_view commit, std::string_view path,
             std::uint64_t size) override {
    // The quoted form of a plain path is the path itself.
    const std::string quoted = quote_path(path);
    json object{{"event", "content"},
                {"kind", to_string(kind)},
                {"commit", commit},
                {"path", quoted},
                {"size", size}};
    if (quoted != path) object["quoted"] = true;
    event(std::move(object));
  }
  void bytes(std::string_view bytes) override { put(bytes); }

  void flush() {
    if (!failed_ && !write_all(output_, buffer_)) failed_ = true;
    buffer_.clear();
  }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  void put(std::string_view bytes) {
    buffer_ += bytes;
    if (buffer_.size() >= (1U << 16)) flush();
  }

  int output_;
  std::string buffer_;
  bool failed_ = false;
};

template <class Info>
Result<json> answered(Result<Info> info) {
  if (!info) return std::move(info).error();
  json object = to_json(*info);
  object["event"] = "result";
  return Result<json>(boost::system::in_place_value, std::move(object));
}

Result<json> serve(const std::string& verb, const json& request, Answer& answer,
                   GitLibrary& library) {
  if (verb == "snapshot") {
    FR_TRY(const auto wanted, from_json<SnapshotRequest>(request));
    library.trust_object_hashes();
    return answered(make_snapshot(
        wanted, [&answer](std::string_view text, std::uint64_t done, std::uint64_t total) {
          answer.progress(text, done, total);
        }));
  }
  if (verb == "capture") {
    FR_TRY(const auto wanted, from_json<CaptureRequest>(request));
    library.read_user_configuration();
    return answered(capture_work_tree(wanted));
  }
  if (verb == "take-over") {
    FR_TRY(const auto wanted, from_json<TakeOverRequest>(request));
    return answered(take_over(wanted, answer));
  }
  if (verb == "replay") {
    FR_TRY(const auto wanted, from_json<ReplayRequest>(request));
    FR_CHECK(confine_to_repository(wanted.quarantine, RepositoryAccess::write));
    return answered(replay_commits(wanted));
  }
  if (verb == "diff") {
    FR_TRY(const auto wanted, from_json<DiffRequest>(request));
    FR_CHECK(confine_to_repository(wanted.repository, RepositoryAccess::read));
    return answered(diff_commits(wanted, answer));
  }
  if (verb == "apply") {
    FR_TRY(const auto wanted, from_json<ApplyRequest>(request));
    return answered(apply_changes(wanted));
  }
  return Error{ErrorCode::invalid_input, "git worker: unknown verb " + quote_path(verb)};
}

Result<void> set_limit(__rlimit_resource_t resource, std::uint64_t wanted, const char* name) {
  if (wanted == 0) return {};
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0)
    return errno_error(std::string("cannot read the limit ") + name);
  // Never above what we were given, and for good.
  limit.rlim_max = std::min<rlim_t>(limit.rlim_max, wanted);
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(resource, &limit) != 0)
    return errno_error(std::string("cannot set the limit ") + name);
  return {};
}

Result<void> set_limits(const json& request) {
  const json limits = request.value("limits", json::object());
  if (!limits.is_object())
    return Error{ErrorCode::invalid_input, "git worker: 'limits' must be an object"};
  const auto wanted = [&](const char* name, std::uint64_t otherwise = 0) {
    const auto found = limits.find(name);
    const bool given = found != limits.end() && found->is_number_unsigned() && *found != json(0U);
    return given ? found->get<std::uint64_t>() : otherwise;
  };
  if (!has_shadow_memory)
    FR_CHECK(set_limit(RLIMIT_DATA, wanted("memory_bytes", default_memory_bytes), "memory_bytes"));
  FR_CHECK(set_limit(RLIMIT_CPU, wanted("cpu_seconds"), "cpu_seconds"));
  FR_CHECK(set_limit(RLIMIT_FSIZE, wanted("file_bytes"), "file_bytes"));
  FR_CHECK(set_limit(RLIMIT_NOFILE, wanted("open_files"), "open_files"));
  return {};
}

Result<json> run(int input, Answer& answer) {
  FR_TRY(const std::string text,
         read_all(input, max_git_request_bytes, "the git worker's request"));
  json request = json::parse(text, nullptr, false);
  if (!request.is_object() || !request.contains("verb") || !request["verb"].is_string()) {
    return Error{ErrorCode::invalid_input,
                 "git worker: the request must be a JSON object with a verb"};
  }
  FR_CHECK(set_limits(request));
  GitLibrary library;
  return serve(request["verb"].get<std::string>(), request, answer, library);
}

}  // namespace

int git_worker_main(int input, int output) {
  // A reader that went away, or a file over its limit, is an error where it happens.
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  Answer answer(output);
  Result<json> result = [&]() -> Result<json> {
    try {
      return run(input, answer);
    } catch (const std::exception& failure) {
      return Error{ErrorCode::internal, std::string("git worker: ") + failure.what()};
    }
  }();
  if (result) {
    answer.event(std::move(*result));
  } else {
    answer.event({{"event", "error"},
                  {"code", to_string(result.error().code)},
                  {"message", result.error().message}});
  }
  answer.flush();
  if (answer.failed()) return 2;
  return result ? 0 : 1;
}

}  // namespace flow_runner
