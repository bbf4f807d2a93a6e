#include "sandbox/proxy_wire.hpp"

#include <array>

#include <nlohmann/json.hpp>

namespace flow_runner {
namespace {

using nlohmann::json;

constexpr std::size_t max_text = 512;
constexpr std::array kinds = {"denied", "failed", "finished"};

json to_json(const std::vector<NetworkRule>& rules) {
  json list = json::array();
  for (const auto& rule : rules)
    list.push_back({{"host", rule.host},
                    {"wildcard", rule.wildcard},
                    {"prefix_bits", rule.prefix_bits ? json(*rule.prefix_bits) : json()},
                    {"port", rule.port},
                    {"any_address", rule.any_address},
                    {"origin", rule.origin}});
  return list;
}

std::vector<NetworkRule> rules_from(const json& list) {
  std::vector<NetworkRule> rules;
  for (const auto& entry : list) {
    NetworkRule rule;
    rule.host = entry.at("host").get<std::string>();
    rule.wildcard = entry.at("wildcard").get<bool>();
    if (!entry.at("prefix_bits").is_null()) rule.prefix_bits = entry["prefix_bits"].get<unsigned>();
    rule.port = entry.at("port").get<std::uint16_t>();
    rule.any_address = entry.at("any_address").get<bool>();
    rule.origin = entry.at("origin").get<std::string>();
    rules.push_back(std::move(rule));
  }
  return rules;
}

/// Whatever a job sent: printable ASCII, bounded.
std::string safe(std::string_view text) {
  std::string safe_text;
  for (const char c : text.substr(0, max_text)) safe_text += c >= 0x20 && c < 0x7f ? c : '?';
  return safe_text;
}

}  // namespace

std::string to_text(const ProxyConfig& config) {
  const auto& limits = config.limits;
  const auto& narrowed = config.policy.narrowed_to;
  return json{{"allow", to_json(config.policy.allow)},
              {"deny", to_json(config.policy.deny)},
              {"narrowed_to", narrowed ? to_json(*narrowed) : json()},
              {"connections", limits.connections},
              {"header_bytes", limits.header_bytes},
              {"header_s", limits.header_time.count()},
              {"connect_s", limits.connect_time.count()},
              {"idle_s", limits.idle_time.count()},
              {"uid", config.uid},
              {"gid", config.gid}}
      .dump();
}

Result<ProxyConfig> proxy_config_from_text(std::string_view text) {
  try {
    const json document = json::parse(text);
    ProxyConfig config;
    config.policy.allow = rules_from(document.at("allow"));
    config.policy.deny = rules_from(document.at("deny"));
    if (!document.at("narrowed_to").is_null())
      config.policy.narrowed_to = rules_from(document["narrowed_to"]);
    config.limits.connections = document.at("connections").get<std::uint32_t>();
    config.limits.header_bytes = document.at("header_bytes").get<std::uint32_t>();
    config.limits.header_time = std::chrono::seconds(document.at("header_s").get<int>());
    config.limits.connect_time = std::chrono::seconds(document.at("connect_s").get<int>());
    config.limits.idle_time = std::chrono::seconds(document.at("idle_s").get<int>());
    config.uid = document.at("uid").get<std::uint32_t>();
    config.gid = document.at("gid").get<std::uint32_t>();
    return config;
  } catch (const json::exception& error) {
    return Error{ErrorCode::invalid_input,
                 std::string("the proxy's settings are broken: ") + error.what()};
  }
}

std::string to_line(const NetworkEvent& event) {
  return json{{"kind", kinds.at(static_cast<std::size_t>(event.kind))},
              {"method", safe(event.method)},
              {"host", safe(event.host)},
              {"port", event.port},
              {"address", safe(event.address)},
              {"reason", safe(event.reason)},
              {"cure", safe(event.cure)},
              {"status", event.status},
              {"bytes_up", event.bytes_up},
              {"bytes_down", event.bytes_down},
              {"duration_ms", event.duration.count()}}
      .dump();
}

std::optional<NetworkEvent> event_from_line(std::string_view line) {
  try {
    const json document = json::parse(line);
    NetworkEvent event;
    const auto kind = document.at("kind").get<std::string>();
    std::size_t index = 0;
    while (index < kinds.size() && kind != kinds.at(index)) ++index;
    if (index == kinds.size()) return std::nullopt;
    event.kind = static_cast<NetworkEvent::Kind>(index);
    event.method = safe(document.at("method").get<std::string>());
    event.host = safe(document.at("host").get<std::string>());
    event.port = document.at("port").get<std::uint16_t>();
    event.address = safe(document.at("address").get<std::string>());
    event.reason = safe(document.at("reason").get<std::string>());
    event.cure = safe(document.at("cure").get<std::string>());
    event.status = document.at("status").get<int>();
    event.bytes_up = document.at("bytes_up").get<std::uint64_t>();
    event.bytes_down = document.at("bytes_down").get<std::uint64_t>();
    event.duration = std::chrono::milliseconds(document.at("duration_ms").get<std::int64_t>());
    return event;
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

}  // namespace flow_runner
