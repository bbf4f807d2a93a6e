#include "executor/job_result.hpp"

#include <array>
#include <utility>

#include "config/quoted_path.hpp"
#include "executor/timestamp.hpp"

namespace flow_runner {

using nlohmann::json;

namespace {

constexpr int schema_version = 1;

constexpr std::array<std::pair<JobStatus, std::string_view>, 3> statuses{{
    {JobStatus::success, "success"},
    {JobStatus::failed, "failed"},
    {JobStatus::canceled, "canceled"},
}};

struct CauseFacts {
  JobCause cause;
  std::string_view name;
  std::string_view failure_reason;
  int exit_code;
};

// failure_reason: GitLab's own words; what it has no word for is the system's failure. A flow that
// cannot be read is the author's failure, as GitLab maps its configuration errors.
constexpr std::array<CauseFacts, 15> causes{{
    {JobCause::none, "none", "", 0},
    {JobCause::script_failure, "script_failure", "script_failure", 1},
    {JobCause::timeout, "timeout", "job_execution_timeout", 1},
    {JobCause::idle_timeout, "idle_timeout", "job_execution_timeout", 1},
    {JobCause::canceled, "canceled", "job_canceled", 130},
    {JobCause::image_pull_failure, "image_pull_failure", "image_pull_failure", 2},
    {JobCause::image_refused, "image_refused", "runner_configuration_error", 2},
    {JobCause::sandbox_refused, "sandbox_refused", "runner_system_failure", 2},
    {JobCause::workspace_failure, "workspace_failure", "runner_system_failure", 2},
    {JobCause::resource_exhausted, "resource_exhausted", "script_failure", 1},
    {JobCause::publish_refused, "publish_refused", "script_failure", 1},
    {JobCause::publish_failure, "publish_failure", "script_failure", 1},
    {JobCause::invalid_flow, "invalid_flow", "script_failure", 64},
    {JobCause::runner_interrupted, "runner_interrupted", "runner_interrupted", 2},
    {JobCause::system_failure, "system_failure", "runner_system_failure", 2},
}};

const CauseFacts& facts(JobCause cause) noexcept {
  for (const CauseFacts& fact : causes)
    if (fact.cause == cause) return fact;
  return causes.back();
}

// nlohmann's dump() throws on a byte that is not UTF-8; messages can quote an agent's file names.
json text(const std::string& value) {
  if (is_utf8(value)) return value;
  return json::parse(json(value).dump(-1, ' ', false, json::error_handler_t::replace));
}

json text_or_null(const std::string& value) { return value.empty() ? json() : text(value); }

template <class T>
json value_or_null(const std::optional<T>& value) {
  return value ? json(*value) : json();
}

json path_object(const std::filesystem::path& path) {
  if (path.empty()) return json();
  if (is_utf8(path.native())) return {{"path", path.native()}};
  return {{"path", quote_path(path.native())}, {"quoted", true}};
}

json change_object(const Change& change) {
  json object = path_object(change.path);
  object["status"] = std::string(1, static_cast<char>(change.status));
  return object;
}

// Reads the fields of one object; the first mistake is kept, and every later read is harmless.
class Fields {
 public:
  Fields(const json& object, std::string name, std::optional<Error>& error)
      : object_(object), name_(std::move(name)), error_(error) {
    if (!object_.is_object()) fail("", "an object");
  }

  /// Null and absent are the same: absent is written as null.
  const json* find(const char* key) const {
    if (!object_.is_object()) return nullptr;
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }

  std::string string(const char* key) const {
    const json* field = find(key);
    if (field == nullptr) return {};
    if (field->is_string()) return field->get<std::string>();
    fail(key, "a string");
    return {};
  }

  std::string required_string(const char* key) const {
    if (find(key) == nullptr) fail(key, "a string");
    return string(key);
  }

  template <class T>
  std::optional<T> integer(const char* key) const {
    const json* field = find(key);
    if (field == nullptr) return std::nullopt;
    if (field->is_number_integer()) return field->get<T>();
    fail(key, "an integer");
    return std::nullopt;
  }

  bool boolean(const char* key) const {
    const json* field = find(key);
    if (field == nullptr) return false;
    if (field->is_boolean()) return field->get<bool>();
    fail(key, "true or false");
    return false;
  }

  std::chrono::system_clock::time_point time(const char* key) const {
    const auto parsed = parse_timestamp(required_string(key));
    if (parsed) return *parsed;
    fail(key, "a time");
    return {};
  }

  std::vector<std::string> strings(const char* key) const {
    std::vector<std::string> values;
    for (const json& item : array(key)) {
      if (item.is_string())
        values.push_back(item.get<std::string>());
      else
        fail(key, "a list of strings");
    }
    return values;
  }

  const json& array(const char* key) const {
    static const json none = json::array();
    const json* field = find(key);
    if (field == nullptr) return none;
    if (field->is_array()) return *field;
    fail(key, "a list");
    return none;
  }

  Fields object(const char* key) const {
    static const json none = json::object();
    const json* field = find(key);
    return {field == nullptr ? none : *field, name_ + key + ".", error_};
  }

  std::string path(const char* key = "path") const {
    std::string value = string(key);
    if (!boolean("quoted")) return value;
    auto raw = unquote_path(value);
    if (raw) return std::move(*raw);
    fail(key, "a quoted path");
    return {};
  }

  void fail(const char* key, std::string_view expected) const {
    if (error_) return;
    error_ = Error{ErrorCode::invalid_input,
                   "job result: " + name_ + key + " must be " + std::string(expected)};
  }

 private:
  const json& object_;
  std::string name_;
  std::optional<Error>& error_;
};

std::optional<JobStatus> job_status_from(std::string_view name) {
  for (const auto& [status, text_of] : statuses)
    if (text_of == name) return status;
  return std::nullopt;
}

Change change_from(const json& item, std::optional<Error>& error) {
  const Fields fields(item, "changes[].", error);
  Change change;
  change.path = fields.path();
  const std::string status = fields.required_string("status");
  if (status.size() == 1 && std::string_view("AMDT").find(status[0]) != std::string_view::npos)
    change.status = static_cast<ChangeStatus>(status[0]);
  else
    fields.fail("status", "A, M, D or T");
  return change;
}

JobTimings timings_from(const Fields& fields) {
  const auto ms = [&](const char* key) { return fields.integer<std::int64_t>(key); };
  return {.queue_ms = ms("queue_ms"),
          .image_ms = ms("image_ms"),
          .workspace_ms = ms("workspace_ms"),
          .sandbox_ms = ms("sandbox_ms"),
          .script_ms = ms("script_ms"),
          .changes_ms = ms("changes_ms"),
          .publish_ms = ms("publish_ms"),
          .total_ms = ms("total_ms")};
}

}  // namespace

std::string_view to_string(JobStatus status) noexcept {
  for (const auto& [value, name] : statuses)
    if (value == status) return name;
  return "failed";
}

std::string_view to_string(JobCause cause) noexcept { return facts(cause).name; }

std::optional<JobCause> job_cause_from(std::string_view name) noexcept {
  for (const CauseFacts& fact : causes)
    if (fact.name == name) return fact.cause;
  return std::nullopt;
}

std::string_view failure_reason(JobCause cause) noexcept { return facts(cause).failure_reason; }

json to_json(const JobResult& result) {
  json changes = json::array();
  for (const Change& change : result.changes) changes.push_back(change_object(change));
  json warnings = json::array();
  for (const std::string& warning : result.warnings) warnings.push_back(text(warning));
  json log = path_object(result.log);
  if (!log.is_null()) {
    log["bytes"] = result.log_bytes;
    log["truncated"] = result.log_truncated;
  }
  const JobTimings& t = result.timings;
  return {
      {"schema", schema_version},
      {"id", text(result.id)},
      {"status", to_string(result.status)},
      {"cause", to_string(result.cause)},
      {"message", text_or_null(result.message)},
      {"exit_code", value_or_null(result.exit_code)},
      {"failure_reason", text_or_null(std::string(failure_reason(result.cause)))},
      {"started_at", format_timestamp(result.started_at)},
      {"finished_at", format_timestamp(result.finished_at)},
      {"version", text_or_null(result.version)},
      {"host", text_or_null(result.host)},
      {"source", text_or_null(result.source)},
      {"project", text_or_null(result.project)},
      {"job_url", text_or_null(result.job_url)},
      {"flow",
       {{"path", text_or_null(result.flow_path)}, {"sha256", text_or_null(result.flow_sha256)}}},
      {"image",
       {{"name", text_or_null(result.image_name)}, {"digest", text_or_null(result.image_digest)}}},
      {"base", text_or_null(result.base)},
      {"changes", std::move(changes)},
      {"commit", text_or_null(result.commit)},
      {"pushed", result.pushed_ref.empty() ? json()
                                           : json{{"ref", text(result.pushed_ref)},
                                                  {"sha", text_or_null(result.pushed_sha)}}},
      {"bundle", path_object(result.bundle)},
      {"patch", path_object(result.patch)},
      {"log", std::move(log)},
      {"warnings", std::move(warnings)},
      {"token_used", text_or_null(result.token_used)},
      {"network", text_or_null(result.network)},
      {"layers", result.layers},
      {"missing_layers", result.missing_layers},
      {"timings",
       {{"queue_ms", value_or_null(t.queue_ms)},
        {"image_ms", value_or_null(t.image_ms)},
        {"workspace_ms", value_or_null(t.workspace_ms)},
        {"sandbox_ms", value_or_null(t.sandbox_ms)},
        {"script_ms", value_or_null(t.script_ms)},
        {"changes_ms", value_or_null(t.changes_ms)},
        {"publish_ms", value_or_null(t.publish_ms)},
        {"total_ms", value_or_null(t.total_ms)}}},
  };
}

Result<JobResult> job_result_from_json(const json& document) {
  std::optional<Error> error;
  const Fields fields(document, "", error);
  if (const auto schema = fields.integer<int>("schema"); !error && schema != schema_version)
    fields.fail("schema", "1, the only version that this release reads");

  JobResult result;
  result.id = fields.required_string("id");
  if (const auto status = job_status_from(fields.required_string("status")))
    result.status = *status;
  else
    fields.fail("status", "success, failed or canceled");
  if (const auto cause = job_cause_from(fields.required_string("cause")))
    result.cause = *cause;
  else
    fields.fail("cause", "one of the known causes");
  result.message = fields.string("message");
  result.exit_code = fields.integer<int>("exit_code");
  result.started_at = fields.time("started_at");
  result.finished_at = fields.time("finished_at");
  result.version = fields.string("version");
  result.host = fields.string("host");
  result.source = fields.string("source");
  result.project = fields.string("project");
  result.job_url = fields.string("job_url");
  result.flow_path = fields.object("flow").string("path");
  result.flow_sha256 = fields.object("flow").string("sha256");
  result.image_name = fields.object("image").string("name");
  result.image_digest = fields.object("image").string("digest");
  result.base = fields.string("base");
  for (const json& item : fields.array("changes"))
    result.changes.push_back(change_from(item, error));
  result.commit = fields.string("commit");
  result.pushed_ref = fields.object("pushed").string("ref");
  result.pushed_sha = fields.object("pushed").string("sha");
  result.bundle = fields.object("bundle").path();
  result.patch = fields.object("patch").path();
  const Fields log = fields.object("log");
  result.log = log.path();
  result.log_bytes = log.integer<std::uint64_t>("bytes").value_or(0);
  result.log_truncated = log.boolean("truncated");
  result.warnings = fields.strings("warnings");
  result.token_used = fields.string("token_used");
  result.network = fields.string("network");
  result.layers = fields.strings("layers");
  result.missing_layers = fields.strings("missing_layers");
  result.timings = timings_from(fields.object("timings"));
  if (error) return std::move(*error);
  return result;
}

int exit_code_for(const JobResult& result) noexcept {
  if (result.status == JobStatus::success) return 0;
  if (result.status == JobStatus::canceled) return 130;
  const int code = facts(result.cause).exit_code;
  return code == 0 ? 1 : code;
}

}  // namespace flow_runner
