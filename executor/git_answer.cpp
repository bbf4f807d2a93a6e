#include "executor/git_answer.hpp"

#include <algorithm>

#include "config/quoted_path.hpp"

namespace flow_runner {
namespace {

using nlohmann::json;

constexpr std::size_t max_message_bytes = 4096;

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::uint64_t number_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::optional<ContentKind> kind_of(std::string_view text) {
  for (const auto kind :
       {ContentKind::blob, ContentKind::message, ContentKind::path, ContentKind::patch}) {
    if (to_string(kind) == text) return kind;
  }
  return std::nullopt;
}

ErrorCode code_of(std::string_view text) {
  for (const auto code : {ErrorCode::invalid_input, ErrorCode::not_found, ErrorCode::denied,
                          ErrorCode::unavailable, ErrorCode::timed_out, ErrorCode::cancelled}) {
    if (to_string(code) == text) return code;
  }
  return ErrorCode::internal;
}

}  // namespace

void GitAnswer::write(std::string_view bytes) {
  while (!bytes.empty() && !broken() && !ended()) {
    if (content_left_ > 0) {
      const auto piece = bytes.substr(
          0, static_cast<std::size_t>(std::min<std::uint64_t>(content_left_, bytes.size())));
      content_left_ -= piece.size();
      bytes.remove_prefix(piece.size());
      if (sink_ != nullptr) sink_->bytes(piece);
      continue;
    }
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (line_.size() + part.size() > max_line_bytes_) {
      fail("a line of more than " + std::to_string(max_line_bytes_) + " bytes");
      return;
    }
    line_ += part;
    if (end == std::string_view::npos) return;
    bytes.remove_prefix(end + 1);
    const std::string line = std::exchange(line_, {});
    read_line(line);
  }
}

void GitAnswer::read_line(std::string_view line) {
  json event = json::parse(line, nullptr, false);
  if (!event.is_object()) return fail("a line that is no JSON object");
  const std::string name = text_of(event, "event");
  if (name == "content") return read_content(event);
  if (name == "error") return read_error(event);
  if (name == "result") {
    result_ = std::move(event);
    return;
  }
  if (name != "progress") return fail("an unknown event");
  if (progress_)
    progress_(text_of(event, "text"), number_of(event, "done"), number_of(event, "total"));
}

void GitAnswer::read_content(const json& event) {
  const auto kind = kind_of(text_of(event, "kind"));
  const auto size = event.find("size");
  if (!kind || size == event.end() || !size->is_number_unsigned())
    return fail("content without kind or size");
  std::string path = text_of(event, "path");
  if (event.value("quoted", json(false)) == json(true)) {
    auto raw = unquote_path(path);
    if (!raw) return fail("content with a broken path");
    path = std::move(*raw);
  }
  content_left_ = size->get<std::uint64_t>();
  if (sink_ != nullptr) sink_->begin(*kind, text_of(event, "commit"), path, content_left_);
}

void GitAnswer::read_error(const json& event) {
  std::string message = text_of(event, "message");
  message = std::string(utf8_prefix(message, max_message_bytes));
  if (message.empty()) message = "the git worker gave no reason";
  error_ = Error{code_of(text_of(event, "code")), std::move(message)};
}

void GitAnswer::fail(std::string what) {
  fault_ = Error{ErrorCode::internal, "the git worker broke its protocol: " + what};
}

Result<json> GitAnswer::finish() {
  if (error_) return *error_;
  if (fault_) return *fault_;
  // A json can be made of an Error too: the kind has to be named.
  if (result_) return Result<json>(boost::system::in_place_value, std::move(*result_));
  return Error{ErrorCode::internal, "the git worker ended without an answer"};
}

}  // namespace flow_runner
