#include "config/job_json.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include <nlohmann/json.hpp>

#include "config/json_fields.hpp"
#include "config/quoted_path.hpp"
#include "config/variables.hpp"

namespace flow_runner {

using Json = nlohmann::json;

// Not in the nameless namespace: the templates of json_fields.hpp find these by their arguments.
constexpr EnumName<PullPolicy> pull_policies[] = {{PullPolicy::always, "always"},
                                                  {PullPolicy::if_not_present, "if-not-present"},
                                                  {PullPolicy::never, "never"}};
constexpr EnumName<NetworkMode> network_modes[] = {
    {NetworkMode::none, "none"}, {NetworkMode::proxy, "proxy"}, {NetworkMode::host, "host"}};
constexpr EnumName<PublishMode> publish_modes[] = {
    {PublishMode::none, "none"}, {PublishMode::remote, "remote"}, {PublishMode::local, "local"}};

static constexpr std::span<const EnumName<PullPolicy>> names_of(PullPolicy) {
  return pull_policies;
}
static constexpr std::span<const EnumName<NetworkMode>> names_of(NetworkMode) {
  return network_modes;
}
static constexpr std::span<const EnumName<PublishMode>> names_of(PublishMode) {
  return publish_modes;
}

static Json encode(const std::vector<NetworkRule>& rules) {
  Json array = Json::array();
  for (const NetworkRule& rule : rules) {
    Json json = {{"host", encode(rule.host)},
                 {"wildcard", rule.wildcard},
                 {"port", rule.port},
                 {"any_address", rule.any_address},
                 {"origin", encode(rule.origin)}};
    if (rule.prefix_bits) json["prefix_bits"] = *rule.prefix_bits;
    array.push_back(std::move(json));
  }
  return array;
}

static bool decode(const Json& json, std::vector<NetworkRule>& rules) {
  if (!json.is_array()) return false;
  rules.clear();
  for (const Json& item : json) {
    NetworkRule& rule = rules.emplace_back();
    int port = 0;
    int prefix_bits = -1;
    ObjectReader reader(item, "rule");
    reader.read("host", rule.host)
        .read("wildcard", rule.wildcard)
        .read("port", port)
        .read("prefix_bits", prefix_bits)
        .read("any_address", rule.any_address)
        .read("origin", rule.origin);
    // Without a host a rule would say nothing, and the wildcard of nothing everything.
    if (!reader.wrong().empty() || rule.host.empty() || port > 65'535 || prefix_bits > 128)
      return false;
    rule.port = static_cast<std::uint16_t>(port);
    if (prefix_bits >= 0) rule.prefix_bits = static_cast<unsigned>(prefix_bits);
  }
  return true;
}

namespace {

constexpr int json_version = 1;
constexpr std::size_t max_id_bytes = 64;
// Shorter secrets occur in ordinary values by chance, as the masker's limit has it too.
constexpr std::size_t min_contained_bytes = 8;

/// Decides which variables stay off the disk.
class SensitiveValues {
 public:
  explicit SensitiveValues(const Job& job) : job_(job) {
    add(job.repository.token);
    for (const Variable& variable : job.variables) {
      if (is_secret(job, variable)) add(variable.value);
    }
  }

  [[nodiscard]] bool covers(const Variable& variable) const {
    const std::string_view text = variable.value.reveal();
    if (is_secret(job_, variable) || !url_password(text).empty()) return true;
    return std::any_of(values_.begin(), values_.end(), [&](std::string_view value) {
      return text.find(value) != std::string_view::npos;
    });
  }

 private:
  void add(const Secret& secret) {
    if (secret.size() >= min_contained_bytes) values_.push_back(secret.reveal());
  }

  const Job& job_;
  std::vector<std::string_view> values_;
};

bool is_valid_id(std::string_view id) {
  return !id.empty() && id.size() <= max_id_bytes && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-';
  });
}

Json flow_to_json(const Flow& flow) {
  const FlowExtensions& ext = flow.extensions;
  return {{"image",
           {{"name", encode(flow.image.name)},
            {"entrypoint", encode(flow.image.entrypoint)},
            {"pull_policy", encode(flow.image.pull_policy)}}},
          {"commands", encode(flow.commands)},
          {"variables", encode(flow.variables)},
          {"extensions",
           {{"network", encode(ext.network)},
            {"network_allow", encode(ext.network_allow)},
            {"network_deny", encode(ext.network_deny)},
            {"timeout_ms", encode(ext.timeout)},
            {"idle_timeout_ms", encode(ext.idle_timeout)},
            {"resources",
             {{"memory_bytes", encode(ext.resources.memory_bytes)},
              {"cpus", encode(ext.resources.cpus)},
              {"pids", encode(ext.resources.pids)},
              {"disk_bytes", encode(ext.resources.disk_bytes)}}},
            {"setup", encode(ext.setup)},
            {"publish_on_failure", encode(ext.publish_on_failure)},
            {"publish_message", encode(ext.publish_message)}}},
          {"path", encode(flow.path)},
          {"sha256", encode(flow.sha256)}};
}

void read_flow(ObjectReader& reader, Flow& flow) {
  FlowExtensions& ext = flow.extensions;
  reader
      .object("image",
              [&](ObjectReader& image) {
                image.read("name", flow.image.name)
                    .read("entrypoint", flow.image.entrypoint)
                    .read("pull_policy", flow.image.pull_policy);
              })
      .read("commands", flow.commands)
      .read("variables", flow.variables)
      .object("extensions",
              [&](ObjectReader& extensions) {
                extensions.read("network", ext.network)
                    .read("network_allow", ext.network_allow)
                    .read("network_deny", ext.network_deny)
                    .read("timeout_ms", ext.timeout)
                    .read("idle_timeout_ms", ext.idle_timeout)
                    .object("resources",
                            [&](ObjectReader& resources) {
                              resources.read("memory_bytes", ext.resources.memory_bytes)
                                  .read("cpus", ext.resources.cpus)
                                  .read("pids", ext.resources.pids)
                                  .read("disk_bytes", ext.resources.disk_bytes);
                            })
                    .read("setup", ext.setup)
                    .read("publish_on_failure", ext.publish_on_failure)
                    .read("publish_message", ext.publish_message);
              })
      .read("path", flow.path)
      .read("sha256", flow.sha256);
}

Json repository_to_json(const RepositorySpec& repository, Secrets secrets) {
  Json json = {{"url", encode(repository.url)},
               {"ref", encode(repository.ref)},
               {"project_path", encode(repository.project_path)},
               {"default_branch", encode(repository.default_branch)},
               {"include_work_tree", repository.include_work_tree},
               {"captured_start", repository.captured_start},
               {"username", encode(repository.username)},
               {"token_name", encode(repository.token_name)},
               {"depth", repository.depth}};
  if (secrets == Secrets::include) json["token"] = encode(repository.token.reveal());
  return json;
}

void read_repository(ObjectReader& reader, RepositorySpec& repository) {
  reader.read("url", repository.url)
      .read("ref", repository.ref)
      .read("project_path", repository.project_path)
      .read("default_branch", repository.default_branch)
      .read("include_work_tree", repository.include_work_tree)
      .read("captured_start", repository.captured_start)
      .read("username", repository.username)
      .read("token", repository.token)
      .read("token_name", repository.token_name)
      .read("depth", repository.depth);
}

Json publish_to_json(const PublishSpec& publish) {
  return {{"mode", encode(publish.mode)},
          {"url", encode(publish.url)},
          {"workload_ref", encode(publish.workload_ref)},
          {"allow_refs", encode(publish.allow_refs)},
          {"protected_paths", encode(publish.protected_paths)},
          {"skip_pipelines", publish.skip_pipelines},
          {"author", encode(publish.author)},
          {"committer", encode(publish.committer)},
          {"message", encode(publish.message)}};
}

void read_publish(ObjectReader& reader, PublishSpec& publish) {
  reader.read("mode", publish.mode)
      .read("url", publish.url)
      .read("workload_ref", publish.workload_ref)
      .read("allow_refs", publish.allow_refs)
      .read("protected_paths", publish.protected_paths)
      .read("skip_pipelines", publish.skip_pipelines)
      .read("author", publish.author)
      .read("committer", publish.committer)
      .read("message", publish.message);
}

Json limits_to_json(const JobLimits& limits) {
  return {{"timeout_ms", encode(limits.timeout)},
          {"grace_ms", encode(limits.grace)},
          {"pull_timeout_ms", encode(limits.pull_timeout)},
          {"memory_bytes", limits.memory_bytes},
          {"cpus", limits.cpus},
          {"pids", limits.pids},
          {"tmp_bytes", limits.tmp_bytes},
          {"log_bytes", limits.log_bytes},
          {"disk_bytes", limits.disk_bytes},
          {"free_space_floor", limits.free_space_floor}};
}

void read_limits(ObjectReader& reader, JobLimits& limits) {
  reader.read("timeout_ms", limits.timeout)
      .read("grace_ms", limits.grace)
      .read("pull_timeout_ms", limits.pull_timeout)
      .read("memory_bytes", limits.memory_bytes)
      .read("cpus", limits.cpus)
      .read("pids", limits.pids)
      .read("tmp_bytes", limits.tmp_bytes)
      .read("log_bytes", limits.log_bytes)
      .read("disk_bytes", limits.disk_bytes)
      .read("free_space_floor", limits.free_space_floor);
}

}  // namespace

nlohmann::json to_json(const Job& job, Secrets secrets) {
  Json variables = Json::array();
  Json omitted = Json::array();
  const SensitiveValues sensitive(job);
  for (const Variable& variable : job.variables) {
    if (secrets == Secrets::omit && sensitive.covers(variable)) {
      omitted.push_back(encode(variable.name));
      continue;
    }
    variables.push_back({{"name", encode(variable.name)},
                         {"value", encode(variable.value.reveal())},
                         {"masked", variable.masked},
                         {"file", variable.file},
                         {"raw", variable.raw},
                         {"origin", encode(variable.origin)}});
  }
  const auto queued_at =
      std::chrono::duration_cast<std::chrono::milliseconds>(job.queued_at.time_since_epoch());
  Json json = {{"version", json_version},
               {"id", encode(job.id)},
               {"source", encode(job.source)},
               {"job_url", encode(job.job_url)},
               {"queued_at_ms", encode(std::max(queued_at, std::chrono::milliseconds(0)))},
               {"flow", flow_to_json(job.flow)},
               {"repository", repository_to_json(job.repository, secrets)},
               {"publish", publish_to_json(job.publish)},
               {"variables", std::move(variables)},
               {"limits", limits_to_json(job.limits)},
               {"network", encode(job.network)},
               {"required_layers", encode(job.required_layers)},
               {"network_policy",
                {{"allow", encode(job.network_policy.allow)},
                 {"deny", encode(job.network_policy.deny)},
                 {"narrowed_to", encode(job.network_policy.narrowed_to)}}},
               {"pull_policy", encode(job.pull_policy)},
               {"ca_file", encode(job.ca_file)},
               {"registry_auth_file", encode(job.registry_auth_file)},
               {"masking_also", encode(job.masking_also)},
               {"masking_never", encode(job.masking_never)}};
  if (secrets == Secrets::omit) json["omitted_variables"] = std::move(omitted);
  return json;
}

Result<Job> job_from_json(const nlohmann::json& json) {
  Job job;
  ObjectReader reader(json, "");
  int version = 0;
  reader.read("version", version);
  if (reader.wrong().empty() && version != json_version) {
    return Error{ErrorCode::invalid_input, "the job's version is " + std::to_string(version) +
                                               ", and this program reads version 1"};
  }
  std::chrono::milliseconds queued_at{0};
  reader.read("id", job.id)
      .read("source", job.source)
      .read("job_url", job.job_url)
      .read("queued_at_ms", queued_at)
      .object("flow", [&](ObjectReader& flow) { read_flow(flow, job.flow); })
      .object("repository", [&](ObjectReader& r) { read_repository(r, job.repository); })
      .object("publish", [&](ObjectReader& publish) { read_publish(publish, job.publish); })
      .objects("variables",
               [&](ObjectReader& item) {
                 Variable& variable = job.variables.emplace_back();
                 item.read("name", variable.name)
                     .read("value", variable.value)
                     .read("masked", variable.masked)
                     .read("file", variable.file)
                     .read("raw", variable.raw)
                     .read("origin", variable.origin);
               })
      .object("limits", [&](ObjectReader& limits) { read_limits(limits, job.limits); })
      .read("network", job.network)
      .object("network_policy",
              [&](ObjectReader& policy) {
                policy.read("allow", job.network_policy.allow)
                    .read("deny", job.network_policy.deny)
                    .read("narrowed_to", job.network_policy.narrowed_to);
              })
      .read("pull_policy", job.pull_policy)
      .read("ca_file", job.ca_file)
      .read("registry_auth_file", job.registry_auth_file)
      .read("masking_also", job.masking_also)
      .read("required_layers", job.required_layers)
      .read("masking_never", job.masking_never);
  if (!reader.wrong().empty()) {
    return Error{ErrorCode::invalid_input,
                 "the job is not readable: " + reader.wrong() + " has a wrong type or value"};
  }
  if (!is_valid_id(job.id)) {
    return Error{ErrorCode::invalid_input,
                 "the job is not readable: id must be 1 to 64 of 0-9, a-z and -"};
  }
  job.queued_at = std::chrono::system_clock::time_point(queued_at);
  return job;
}

}  // namespace flow_runner
