#include "config/ref_name.hpp"

#include "config/diagnostic.hpp"
#include "config/quoted_path.hpp"

namespace flow_runner {
namespace {

constexpr std::string_view branch_prefix = "refs/heads/";

/// The rule that a name breaks, or nothing.
std::string_view broken_rule(std::string_view ref) {
  if (ref.empty()) return "is empty";
  if (ref.size() > max_ref_name_bytes) return "is longer than 1024 bytes";
  if (!is_utf8(ref)) return "is not UTF-8";
  for (const char c : ref) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) return "holds a control character";
    if (std::string_view(" ~^:?*[\\").find(c) != std::string_view::npos) {
      return "holds a space or one of ~ ^ : ? * [ \\";
    }
  }
  if (ref.find("..") != std::string_view::npos) return "holds ..";
  if (ref.find("@{") != std::string_view::npos) return "holds @{";
  if (ref == "@") return "is @";
  if (ref.back() == '.') return "ends with a dot";
  while (true) {
    const std::size_t slash = ref.find('/');
    const std::string_view part = ref.substr(0, slash);
    if (part.empty()) return "begins or ends with / or holds //";
    if (part.front() == '.') return "has a part that begins with a dot";
    if (part.ends_with(".lock")) return "has a part that ends with .lock";
    if (slash == std::string_view::npos) return {};
    ref.remove_prefix(slash + 1);
  }
}

std::string_view broken_branch_rule(std::string_view name) {
  if (name.starts_with('-')) return "begins with -";
  if (name == "HEAD") return "is HEAD";
  return broken_rule(name);
}

Error invalid(std::string_view what, std::string_view name, std::string_view rule) {
  return {ErrorCode::invalid_input, std::string(what) + " " + shown(name) + " is not valid: it " +
                                        std::string(rule) + " (see git-check-ref-format)"};
}

}  // namespace

Result<void> check_full_ref(std::string_view ref) {
  if (const auto rule = broken_rule(ref); !rule.empty()) return invalid("ref", ref, rule);
  if (!ref.starts_with("refs/")) return invalid("ref", ref, "does not begin with refs/");
  if (ref.starts_with(branch_prefix)) {
    const auto rule = broken_branch_rule(ref.substr(branch_prefix.size()));
    if (!rule.empty()) return invalid("ref", ref, rule);
  }
  return {};
}

Result<void> check_branch_name(std::string_view name) {
  if (const auto rule = broken_branch_rule(name); !rule.empty()) {
    return invalid("branch name", name, rule);
  }
  if (name.size() + branch_prefix.size() > max_ref_name_bytes) {
    return invalid("branch name", name, "is longer than 1013 bytes");
  }
  return {};
}

Result<std::string> full_ref(std::string_view workload_ref) {
  if (workload_ref.starts_with("refs/")) {
    FR_CHECK(check_full_ref(workload_ref));
    return std::string(workload_ref);
  }
  FR_CHECK(check_branch_name(workload_ref));
  return std::string(branch_prefix) + std::string(workload_ref);
}

}  // namespace flow_runner
