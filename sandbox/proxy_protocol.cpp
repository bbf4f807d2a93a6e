#include "sandbox/proxy_protocol.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include <nlohmann/json.hpp>

namespace flow_runner {
namespace {

using nlohmann::json;

constexpr std::size_t max_method_bytes = 32;
constexpr std::size_t max_host_bytes = 300;
constexpr std::size_t max_text_bytes = 600;

json rules_to_json(const std::vector<NetworkRule>& rules) {
  json list = json::array();
  for (const auto& rule : rules)
    list.push_back(
        {{"entry", to_string(rule)}, {"any_address", rule.any_address}, {"origin", rule.origin}});
  return list;
}

Result<std::vector<NetworkRule>> rules_from_json(const json& list) {
  std::vector<NetworkRule> rules;
  for (const auto& item : list) {
    FR_TRY(NetworkRule rule, parse_network_rule(item.at("entry").get_ref<const std::string&>(),
                                                item.at("origin").get_ref<const std::string&>()));
    rule.any_address = item.at("any_address").get<bool>();
    rules.push_back(std::move(rule));
  }
  return rules;
}

json limits_to_json(const ProxyLimits& limits) {
  return {{"connections", limits.connections},
          {"header_bytes", limits.header_bytes},
          {"header_time_s", limits.header_time.count()},
          {"connect_time_s", limits.connect_time.count()},
          {"idle_time_s", limits.idle_time.count()}};
}

ProxyLimits limits_from_json(const json& value) {
  const auto seconds = [&](const char* key) {
    return std::chrono::seconds(value.at(key).get<std::int64_t>());
  };
  return {.connections = value.at("connections").get<std::uint32_t>(),
          .header_bytes = value.at("header_bytes").get<std::uint32_t>(),
          .header_time = seconds("header_time_s"),
          .connect_time = seconds("connect_time_s"),
          .idle_time = seconds("idle_time_s")};
}

Result<ProxySettings> settings_from_json(const json& value) {
  ProxySettings settings;
  const json& policy = value.at("policy");
  FR_TRY(settings.policy.allow, rules_from_json(policy.at("allow")));
  FR_TRY(settings.policy.deny, rules_from_json(policy.at("deny")));
  if (!policy.at("narrowed_to").is_null()) {
    FR_TRY(settings.policy.narrowed_to, rules_from_json(policy.at("narrowed_to")));
  }
  settings.limits = limits_from_json(value.at("limits"));
  value.at("upstream_environment").get_to(settings.upstream_environment);
  settings.uid = value.at("uid").get<std::uint32_t>();
  settings.gid = value.at("gid").get<std::uint32_t>();
  return settings;
}

std::string printable(std::string_view text, std::size_t max_bytes) {
  std::string out(text.substr(0, max_bytes));
  for (char& c : out)
    if (c < 0x20 || c >= 0x7f) c = '?';
  return out;
}

constexpr std::array kinds = {"denied", "failed", "finished"};

std::string text_of(const json& value, const char* key, std::size_t max_bytes) {
  const auto found = value.find(key);
  if (found == value.end() || !found->is_string()) return {};
  return printable(found->get_ref<const std::string&>(), max_bytes);
}

std::uint64_t number_of(const json& value, const char* key, std::uint64_t max) {
  const auto found = value.find(key);
  if (found == value.end() || !found->is_number_unsigned()) return 0;
  return std::min(found->get<std::uint64_t>(), max);
}

}  // namespace

Result<std::string> to_json(const ProxySettings& settings) {
  const json value = {
      {"policy",
       {{"allow", rules_to_json(settings.policy.allow)},
        {"deny", rules_to_json(settings.policy.deny)},
        {"narrowed_to", settings.policy.narrowed_to ? rules_to_json(*settings.policy.narrowed_to)
                                                    : json(nullptr)}}},
      {"limits", limits_to_json(settings.limits)},
      {"upstream_environment", settings.upstream_environment},
      {"uid", settings.uid},
      {"gid", settings.gid}};
  try {
    return value.dump();
  } catch (const json::exception&) {
    return Error{ErrorCode::invalid_input, "a setting of the network proxy is not UTF-8"};
  }
}

Result<ProxySettings> parse_proxy_settings(std::string_view text) {
  // The library's messages may quote the text, which may hold credentials.
  try {
    return settings_from_json(json::parse(text));
  } catch (const json::exception&) {
    return Error{ErrorCode::invalid_input, "the network proxy's settings are malformed"};
  }
}

std::string to_line(const NetworkEvent& event) {
  const json value = {{"kind", kinds.at(static_cast<std::size_t>(event.kind))},
                      {"method", printable(event.method, max_method_bytes)},
                      {"host", printable(event.host, max_host_bytes)},
                      {"port", event.port},
                      {"address", printable(event.address, max_host_bytes)},
                      {"reason", printable(event.reason, max_text_bytes)},
                      {"cure", printable(event.cure, max_host_bytes)},
                      {"status", event.status},
                      {"bytes_up", event.bytes_up},
                      {"bytes_down", event.bytes_down},
                      {"duration_ms", std::max<std::int64_t>(event.duration.count(), 0)}};
  return value.dump();
}

Result<NetworkEvent> parse_event(std::string_view line) {
  const Error malformed{ErrorCode::invalid_input, "the network proxy wrote no event"};
  if (line.size() > max_event_bytes) return malformed;
  const json value = json::parse(line, nullptr, false);
  if (!value.is_object()) return malformed;
  NetworkEvent event;
  const auto kind = std::find(kinds.begin(), kinds.end(), text_of(value, "kind", 16));
  if (kind == kinds.end()) return malformed;
  event.kind = static_cast<NetworkEvent::Kind>(kind - kinds.begin());
  event.method = text_of(value, "method", max_method_bytes);
  event.host = text_of(value, "host", max_host_bytes);
  event.port = static_cast<std::uint16_t>(number_of(value, "port", 65535));
  event.address = text_of(value, "address", max_host_bytes);
  event.reason = text_of(value, "reason", max_text_bytes);
  event.cure = text_of(value, "cure", max_host_bytes);
  event.status = static_cast<int>(number_of(value, "status", 999));
  constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
  event.bytes_up = number_of(value, "bytes_up", most);
  event.bytes_down = number_of(value, "bytes_down", most);
  constexpr std::uint64_t year_ms = 366ULL * 24 * 3600 * 1000;
  event.duration = std::chrono::milliseconds(number_of(value, "duration_ms", year_ms));
  return event;
}

}  // namespace flow_runner
