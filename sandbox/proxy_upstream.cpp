#include "sandbox/proxy_upstream.hpp"

#include <algorithm>
#include <charconv>

#include <boost/asio/ip/address.hpp>

#include "config/encoding.hpp"
#include "config/network_policy.hpp"

namespace flow_runner {
namespace {

constexpr std::uint16_t default_port = 80;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string variable(const std::vector<std::string>& environment, const std::string& name) {
  std::string upper = name;
  for (char& c : upper)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  for (const std::string& wanted : {name + "=", upper + "="})
    for (const auto& entry : environment)
      if (entry.starts_with(wanted) && entry.size() > wanted.size())
        return entry.substr(wanted.size());
  return {};
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned value = 0;
    if (text.size() - i < 3) return std::nullopt;
    const char* end = text.data() + i + 3;
    const auto [stop, error] = std::from_chars(text.data() + i + 1, end, value, 16);
    if (error != std::errc() || stop != end) return std::nullopt;
    out += static_cast<char>(value);
    i += 2;
  }
  return out;
}

std::optional<std::uint16_t> port_of(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || port == 0)
    return std::nullopt;
  return port;
}

/// `host`, `host:port`, `[v6]:port`: the host and the port, if there is one.
std::pair<std::string_view, std::optional<std::uint16_t>> split_port(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  const bool bare_v6 = !text.starts_with('[') && text.find(':') != colon;
  const bool only_v6 = text.starts_with('[') && text.ends_with(']');
  if (colon == std::string_view::npos || bare_v6 || only_v6) return {text, std::nullopt};
  if (const auto port = port_of(text.substr(colon + 1))) return {text.substr(0, colon), port};
  return {text, std::nullopt};
}

Result<std::optional<UpstreamProxy>> parse_proxy(const std::vector<std::string>& environment,
                                                 const std::string& name) {
  const std::string value = variable(environment, name);
  std::string_view rest = value;
  if (rest.empty()) return std::optional<UpstreamProxy>();
  const Error wrong{ErrorCode::invalid_input,
                    name +
                        " of this host is no proxy that a job's network can go through; write "
                        "http://[user:password@]host:port"};
  if (const std::size_t scheme = rest.find("://"); scheme != std::string_view::npos) {
    if (lower(rest.substr(0, scheme)) != "http") return wrong;
    rest.remove_prefix(scheme + 3);
  }
  rest = rest.substr(0, rest.find('/'));
  UpstreamProxy proxy;
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
    const auto credentials = percent_decoded(rest.substr(0, at));
    if (!credentials) return wrong;
    proxy.authorization = "Basic " + base64_encode(*credentials);
    rest.remove_prefix(at + 1);
  }
  const auto [host, port] = split_port(rest);
  const auto canonical = canonical_host(host);
  if (!canonical) return wrong;
  proxy.host = *canonical;
  proxy.port = port.value_or(default_port);
  return std::optional(std::move(proxy));
}

/// Whether one entry of no_proxy covers a host.
bool covers(std::string_view entry, std::string_view host, std::uint16_t port) {
  if (entry == "*") return true;
  const auto [name, only_port] = split_port(entry);
  if (only_port && *only_port != port) return false;
  boost::system::error_code not_an_address;
  boost::asio::ip::make_address(host, not_an_address);
  if (!not_an_address) {
    // As an entry of our own policy, with any port: blocks and addresses are read in one way.
    const bool v6 = name.find(':') != std::string_view::npos && !name.starts_with('[');
    const std::string text = v6 ? "[" + std::string(name) + "]" : std::string(name);
    auto rule = parse_network_rule(text + ":*", "no_proxy");
    if (!rule) return false;
    NetworkPolicy policy;
    policy.allow.push_back(std::move(*rule));
    return decide(policy, host, port).allowed;
  }
  std::string_view domain = name;
  if (domain.starts_with("*.")) domain.remove_prefix(1);
  const bool below_only = domain.starts_with('.');
  if (below_only) domain.remove_prefix(1);
  if (domain.ends_with('.')) domain.remove_suffix(1);
  if (domain.empty()) return false;
  if (!below_only && host == domain) return true;
  return host.size() > domain.size() && host.ends_with(domain) &&
         host[host.size() - domain.size() - 1] == '.';
}

}  // namespace

Result<UpstreamProxies> UpstreamProxies::from_environment(
    const std::vector<std::string>& environment) {
  UpstreamProxies proxies;
  FR_TRY(proxies.tunnel_, parse_proxy(environment, "https_proxy"));
  FR_TRY(proxies.plain_, parse_proxy(environment, "http_proxy"));
  const std::string list = lower(variable(environment, "no_proxy"));
  for (std::size_t begin = 0; begin < list.size();) {
    const std::size_t end = std::min(list.find_first_of(", \t", begin), list.size());
    if (end > begin) proxies.exceptions_.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return proxies;
}

bool UpstreamProxies::goes_straight(std::string_view host, std::uint16_t port) const {
  boost::system::error_code not_an_address;
  const auto address = boost::asio::ip::make_address(host, not_an_address);
  if (host == "localhost" || (!not_an_address && address.is_loopback())) return true;
  return std::any_of(exceptions_.begin(), exceptions_.end(),
                     [&](const std::string& entry) { return covers(entry, host, port); });
}

const UpstreamProxy* UpstreamProxies::for_tunnel(std::string_view host, std::uint16_t port) const {
  return tunnel_ && !goes_straight(host, port) ? &*tunnel_ : nullptr;
}

const UpstreamProxy* UpstreamProxies::for_plain(std::string_view host, std::uint16_t port) const {
  return plain_ && !goes_straight(host, port) ? &*plain_ : nullptr;
}

}  // namespace flow_runner
