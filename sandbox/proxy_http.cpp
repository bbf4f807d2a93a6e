#include "sandbox/proxy_http.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "config/network_policy.hpp"

namespace flow_runner {
namespace {

constexpr std::size_t max_fields = 512;

Error malformed(std::string message) { return {ErrorCode::invalid_input, std::move(message)}; }

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_token(std::string_view text) {
  constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           marks.find(c) != std::string_view::npos;
  });
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same(std::string_view left, std::string_view right) {
  return left.size() == right.size() &&
         std::equal(left.begin(), left.end(), right.begin(),
                    [](char a, char b) { return lower(a) == lower(b); });
}

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && same(text.substr(0, prefix.size()), prefix);
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Calls back with each element of a comma separated list.
template <class Callback>
void each_element(std::string_view list, Callback callback) {
  while (true) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (const auto element = trimmed(list.substr(0, comma)); !element.empty()) callback(element);
    if (comma == list.size()) return;
    list.remove_prefix(comma + 1);
  }
}

struct Lines {
  std::string_view first;
  std::vector<HttpField> fields;
};

Result<HttpField> parse_field(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t')
    return malformed("a header field goes on over a line break");
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return malformed("a header line has no colon");
  const std::string_view name = line.substr(0, colon);
  if (!is_token(name)) return malformed("a header field has an invalid name");
  const std::string_view value = trimmed(line.substr(colon + 1));
  for (const char c : value)
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f)
      return malformed("a header field holds a control character");
  return HttpField{std::string(name), std::string(value)};
}

Result<Lines> parse_lines(std::string_view header) {
  Lines lines;
  for (bool first = true;; first = false) {
    const std::size_t end = header.find("\r\n");
    if (end == std::string_view::npos) return malformed("the header has no end");
    const std::string_view line = header.substr(0, end);
    header.remove_prefix(end + 2);
    if (line.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos)
      return malformed("the header holds a bare line break or NUL");
    if (first) {
      lines.first = line;
      continue;
    }
    if (line.empty()) break;
    if (lines.fields.size() == max_fields) return malformed("the header has too many fields");
    FR_TRY(HttpField field, parse_field(line));
    lines.fields.push_back(std::move(field));
  }
  if (!header.empty()) return malformed("the header ends before its end");
  return lines;
}

/// What the fields say about this connection and the body's end.
struct Framing {
  std::optional<std::uint64_t> length;
  bool chunked = false;
  bool close = false;
  bool keep_alive = false;
  std::vector<std::string> hosts;
  std::vector<std::string> dropped;  ///< named by Connection
};

Result<std::uint64_t> parse_length(std::string_view text) {
  std::uint64_t length = 0;
  constexpr std::size_t max_digits = 18;
  if (text.empty() || text.size() > max_digits || !std::all_of(text.begin(), text.end(), is_digit))
    return malformed("Content-Length is no number");
  std::from_chars(text.data(), text.data() + text.size(), length);
  return length;
}

Result<Framing> read_framing(const std::vector<HttpField>& fields) {
  Framing framing;
  for (const auto& [name, value] : fields) {
    if (same(name, "content-length")) {
      if (framing.length) return malformed("Content-Length is given twice");
      FR_TRY(framing.length, parse_length(value));
    } else if (same(name, "transfer-encoding")) {
      if (framing.chunked) return malformed("Transfer-Encoding is given twice");
      if (!same(value, "chunked")) return malformed("Transfer-Encoding is not just 'chunked'");
      framing.chunked = true;
    } else if (same(name, "host")) {
      framing.hosts.push_back(value);
    } else if (same(name, "connection") || same(name, "proxy-connection")) {
      each_element(value, [&](std::string_view option) {
        if (same(option, "close")) framing.close = true;
        if (same(option, "keep-alive")) framing.keep_alive = true;
        framing.dropped.emplace_back(option);
      });
    }
  }
  if (framing.length && framing.chunked)
    return malformed("both Content-Length and Transfer-Encoding are given");
  return framing;
}

/// Hop-by-hop fields (RFC 9110, section 7.6.1), and those that the proxy writes itself.
constexpr std::array own_fields = std::to_array<std::string_view>(
    {"connection", "proxy-connection", "keep-alive", "te", "trailer", "transfer-encoding",
     "upgrade", "http2-settings", "proxy-authorization", "proxy-authenticate",
     "proxy-authentication-info", "content-length", "host"});

std::vector<HttpField> end_to_end(std::vector<HttpField> fields, const Framing& framing) {
  std::erase_if(fields, [&](const HttpField& field) {
    const auto is_name = [&](std::string_view name) { return same(field.name, name); };
    return std::any_of(own_fields.begin(), own_fields.end(), is_name) ||
           std::any_of(framing.dropped.begin(), framing.dropped.end(), is_name);
  });
  return fields;
}

struct Target {
  std::string host;  ///< canonical
  std::optional<std::uint16_t> port;
};

Result<Target> parse_authority(std::string_view text) {
  if (text.find('@') != std::string_view::npos) return malformed("the target names a user");
  std::string_view host = text;
  Target target;
  const std::size_t colon = text.rfind(':');
  const bool has_port =
      colon != std::string_view::npos && (!text.starts_with('[') || text[colon - 1] == ']');
  if (has_port) {
    host = text.substr(0, colon);
    const std::string_view digits = text.substr(colon + 1);
    unsigned port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc() || end != digits.data() + digits.size() || port == 0 || port > 65535)
      return malformed("the target has no port from 1 to 65535");
    target.port = static_cast<std::uint16_t>(port);
  }
  if (!host.starts_with('[') && host.find(':') != std::string_view::npos)
    return malformed("the target has an IPv6 address without brackets");
  FR_TRY(target.host, canonical_host(host));
  return target;
}

struct RequestLine {
  std::string_view method, target, version;
};

Result<RequestLine> split_request_line(std::string_view line) {
  RequestLine parts;
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return malformed("no HTTP request line");
  parts = {line.substr(0, first), line.substr(first + 1, last - first - 1), line.substr(last + 1)};
  if (!is_token(parts.method) || parts.method.size() > 32)
    return malformed("the request's method is invalid");
  if (parts.version != "HTTP/1.1" && parts.version != "HTTP/1.0")
    return malformed("the request is not HTTP/1.1");
  for (const char c : parts.target)
    if (c <= 0x20 || c >= 0x7f) return malformed("the request's target holds an invalid byte");
  return parts;
}

/// The authority and the path of a target.
Result<std::pair<std::string_view, std::string>> split_target(const RequestLine& line) {
  std::string_view rest = line.target;
  if (line.method == "CONNECT") return std::pair(rest, std::string());
  if (starts_with(rest, "https://"))
    return malformed("an https:// target needs CONNECT; set HTTPS_PROXY for this client");
  if (!starts_with(rest, "http://"))
    return malformed("this is a proxy: the target must be an http:// URL or CONNECT's host:port");
  rest.remove_prefix(7);
  if (rest.find('#') != std::string_view::npos) return malformed("the target has a fragment");
  const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
  std::string path(rest.substr(end));
  if (path.empty() && line.method == "OPTIONS") path = "*";
  if (path.empty() || path.front() == '?') path.insert(0, "/");
  return std::pair(rest.substr(0, end), std::move(path));
}

BadRequest bad(const Error& error) { return {.reason = error.message}; }

/// Checks Host against the target (RFC 9112, section 3.2).
std::optional<std::string> host_fault(const HttpRequest& request, const Framing& framing) {
  if (framing.hosts.size() > 1) return "Host is given twice";
  if (framing.hosts.empty()) {
    if (request.http_1_0) return std::nullopt;
    return "Host is missing";
  }
  const auto named = parse_authority(framing.hosts.front());
  if (!named) return "Host is invalid: " + named.error().message;
  const bool same_port =
      !named->port ? (request.is_connect() || request.port == 80) : *named->port == request.port;
  if (named->host != request.host || !same_port) return "Host is not the target's host";
  return std::nullopt;
}

Result<HttpBody> request_body(const HttpRequest& request, const Framing& framing) {
  if (framing.chunked && request.http_1_0)
    return malformed("an HTTP/1.0 request has no Transfer-Encoding");
  if (request.is_connect() && (framing.chunked || framing.length.value_or(0) > 0))
    return malformed("CONNECT has no body");
  if (framing.chunked) return HttpBody{HttpBody::Kind::chunked, 0};
  if (framing.length && !request.is_connect())
    return HttpBody{HttpBody::Kind::length, *framing.length};
  return HttpBody{};
}

void append_fields(std::string& out, const std::vector<HttpField>& fields) {
  for (const auto& [name, value] : fields) out.append(name).append(": ").append(value) += "\r\n";
}

void append_framing(std::string& out, const HttpBody& body) {
  if (body.kind == HttpBody::Kind::length)
    out += "Content-Length: " + std::to_string(body.length) + "\r\n";
  if (body.kind == HttpBody::Kind::chunked) out += "Transfer-Encoding: chunked\r\n";
}

std::string_view phrase(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 408:
      return "Request Timeout";
    case 431:
      return "Request Header Fields Too Large";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Error";
  }
}

}  // namespace

std::size_t header_end(std::string_view data) {
  for (std::size_t at = data.find('\n'); at != std::string_view::npos;
       at = data.find('\n', at + 1)) {
    const std::string_view next = data.substr(at + 1);
    if (next.starts_with('\n')) return at + 2;
    if (next.starts_with("\r\n")) return at + 3;
  }
  return 0;
}

std::variant<HttpRequest, BadRequest> parse_request(std::string_view header) {
  auto lines = parse_lines(header);
  if (!lines) return bad(lines.error());
  const auto line = split_request_line(lines->first);
  if (!line) return bad(line.error());
  HttpRequest request;
  request.method = line->method;
  request.http_1_0 = line->version == "HTTP/1.0";
  auto target = split_target(*line);
  if (!target) return bad(target.error());
  request.path = std::move(target->second);
  const auto refuse = [&](std::string reason) {
    return BadRequest{.reason = std::move(reason),
                      .policy = true,
                      .method = request.method,
                      .host = std::string(target->first)};
  };
  const auto named = parse_authority(target->first);
  if (!named) return refuse(named.error().message);
  if (request.is_connect() && !named->port) return refuse("CONNECT's target has no port");
  request.host = named->host;
  request.port = named->port.value_or(80);

  const auto framing = read_framing(lines->fields);
  if (!framing) return bad(framing.error());
  if (const auto fault = host_fault(request, *framing)) return refuse(*fault);
  const auto body = request_body(request, *framing);
  if (!body) return bad(body.error());
  request.body = *body;
  request.keep_alive = !framing->close && !request.http_1_0;
  request.fields = end_to_end(std::move(lines->fields), *framing);
  return request;
}

Result<HttpResponse> parse_response(std::string_view header, std::string_view method) {
  FR_TRY(Lines lines, parse_lines(header));
  const std::string_view line = lines.first;
  HttpResponse response;
  response.http_1_0 = line.starts_with("HTTP/1.0 ");
  if ((!response.http_1_0 && !line.starts_with("HTTP/1.1 ")) || line.size() < 12 ||
      !std::all_of(line.begin() + 9, line.begin() + 12, is_digit) ||
      (line.size() > 12 && line[12] != ' '))
    return malformed("no HTTP/1.1 status line");
  std::from_chars(line.data() + 9, line.data() + 12, response.status);
  if (response.status < 100) return malformed("no HTTP/1.1 status line");
  response.reason = line.size() > 13 ? line.substr(13) : std::string_view();
  FR_TRY(const Framing framing, read_framing(lines.fields));
  response.keep_alive = !framing.close && (!response.http_1_0 || framing.keep_alive);
  response.fields = end_to_end(std::move(lines.fields), framing);
  // An answer without body may tell the length that one to GET would have.
  if (method == "HEAD" || response.status == 304) {
    if (framing.length)
      response.fields.push_back({"Content-Length", std::to_string(*framing.length)});
    return response;
  }
  if (response.status < 200 || response.status == 204) return response;
  if (framing.chunked)
    response.body.kind = HttpBody::Kind::chunked;
  else if (framing.length)
    response.body = {HttpBody::Kind::length, *framing.length};
  else
    response.body.kind = HttpBody::Kind::until_close;
  return response;
}

std::string authority(std::string_view host, std::uint16_t port) {
  const std::string number = std::to_string(port);
  if (host.find(':') == std::string_view::npos) return std::string(host) + ":" + number;
  return "[" + std::string(host) + "]:" + number;
}

std::string host_field(std::string_view host, std::uint16_t port) {
  std::string text = authority(host, port);
  if (port == 80) text.resize(text.size() - 3);
  return text;
}

std::string serialize(const HttpRequest& request, TargetForm form,
                      std::string_view proxy_authorization) {
  const std::string host = host_field(request.host, request.port);
  std::string out = request.method + " ";
  if (form == TargetForm::absolute) out += "http://" + host;
  // The asterisk has no place in an absolute target (RFC 9112, section 3.2.4).
  if (form == TargetForm::origin || request.path != "*") out += request.path;
  out += " HTTP/1.1\r\nHost: " + host + "\r\n";
  append_fields(out, request.fields);
  append_framing(out, request.body);
  if (form == TargetForm::absolute && !proxy_authorization.empty())
    out.append("Proxy-Authorization: ").append(proxy_authorization) += "\r\n";
  return out + "Via: 1.1 flow-runner\r\n\r\n";
}

std::string serialize(const HttpResponse& response, Persistence persistence, bool to_http_1_0) {
  std::string out = "HTTP/1.1 " + std::to_string(response.status) + " " + response.reason + "\r\n";
  append_fields(out, response.fields);
  if (response.status < 200) return out + "\r\n";
  if (!to_http_1_0 || response.body.kind != HttpBody::Kind::chunked)
    append_framing(out, response.body);
  out += "Via: 1.1 flow-runner\r\n";
  if (persistence == Persistence::close) out += "Connection: close\r\n";
  return out + "\r\n";
}

std::string text_response(int status, std::string_view text, Persistence persistence) {
  std::string out =
      "HTTP/1.1 " + std::to_string(status) + " " + std::string(phrase(status)) +
      "\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(text.size()) + "\r\n";
  if (persistence == Persistence::close) out += "Connection: close\r\n";
  return (out + "\r\n").append(text);
}

}  // namespace flow_runner
