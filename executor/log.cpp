#include "executor/log.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

// A mask can be eight times its secret: this bounds what one call of script_output needs.
constexpr std::size_t piece_bytes = 64 * 1024;

// The largest cut up to `at` that does not tear a UTF-8 sequence.
std::size_t character_boundary(std::string_view text, std::size_t at) {
  const std::size_t least = at < 3 ? 0 : at - 3;
  for (std::size_t cut = at; cut > least && cut < text.size(); --cut)
    if ((static_cast<unsigned char>(text[cut]) & 0xC0U) != 0x80U) return cut;
  return at;
}

}  // namespace

struct JobLog::State {
  State(std::filesystem::path path_, Descriptor file_,
        std::shared_ptr<const MaskerPatterns> patterns_, std::uint64_t max_bytes_)
      : path(std::move(path_)),
        file(std::move(file_)),
        patterns(std::move(patterns_)),
        masker(patterns),
        max_bytes(max_bytes_) {}

  void write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t count = ::write(file.get(), text.data(), text.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) {
        if (!error) {
          error = errno_error("cannot write the log " + path.string(), count < 0 ? errno : EIO);
          error->message += "; what does not fit is lost, free some space there";
        }
        return;
      }
      const auto written = static_cast<std::size_t>(count);
      bytes += written;
      at_line_start = text[written - 1] == '\n';
      text.remove_prefix(written);
    }
  }

  void write_line(std::string_view masked) {
    std::string text = at_line_start ? "" : "\n";
    text += masked;
    text += '\n';
    const std::uint64_t limit = max_bytes + line_reserve_bytes;
    const std::uint64_t room = limit - std::min(limit, bytes);
    if (text.size() > room) {
      truncated = true;
      text.resize(character_boundary(text, static_cast<std::size_t>(room)));
    }
    write(text);
  }

  void write_script(std::string_view masked) {
    if (!cut) {
      const std::uint64_t room = max_bytes - std::min(max_bytes, bytes);
      if (masked.size() <= room) return write(masked);
      const std::size_t fitting = character_boundary(masked, static_cast<std::size_t>(room));
      write(masked.substr(0, fitting));
      masked.remove_prefix(fitting);
      cut = true;
      truncated = true;
      write_line("flow-runner: the log has reached its limit of " + std::to_string(max_bytes) +
                 " bytes: of further output only the end is kept; raise log.local_limit for more");
    }
    dropped += masked.size();
    tail += masked.substr(masked.size() - std::min(masked.size(), kept_tail_bytes));
    if (tail.size() > 2 * kept_tail_bytes) tail.erase(0, tail.size() - kept_tail_bytes);
  }

  void script_output(std::string_view input) {
    for (; !input.empty(); input.remove_prefix(std::min(input.size(), piece_bytes))) {
      scratch.clear();
      masker.write(input.substr(0, piece_bytes), scratch);
      write_script(scratch);
    }
  }

  void end_script() {
    scratch.clear();
    masker.flush(scratch);
    write_script(scratch);
    if (dropped == 0) return;
    std::string_view kept = tail;
    kept.remove_prefix(kept.size() - std::min(kept.size(), kept_tail_bytes));
    // A torn first line misleads more than it tells.
    if (const auto newline = kept.find('\n'); dropped > kept.size() && newline < kept.size() - 1)
      kept.remove_prefix(newline + 1);
    write_line("flow-runner: " + std::to_string(dropped - kept.size()) +
               " bytes of output are missing here; the last " + std::to_string(kept.size()) +
               " follow");
    write(kept);
    tail.clear();
    dropped = 0;
  }

  std::filesystem::path path;
  Descriptor file;
  std::shared_ptr<const MaskerPatterns> patterns;
  Masker masker;
  std::uint64_t max_bytes;
  std::uint64_t bytes = 0;
  bool at_line_start = true;
  bool cut = false;  // the script's output has reached the limit
  bool truncated = false;
  std::uint64_t dropped = 0;  // since the last end_script
  std::string tail;           // the end of what was dropped
  std::string scratch;
  std::optional<Error> error;
};

Result<JobLog> JobLog::open(const std::filesystem::path& file,
                            std::shared_ptr<const MaskerPatterns> patterns,
                            std::uint64_t max_bytes) {
  FR_TRY(Descriptor descriptor, open_file(file, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0640));
  struct stat status {};
  if (::fstat(descriptor.get(), &status) != 0) return errno_error("log " + file.string());
  char last = '\n';
  if (status.st_size > 0 && ::pread(descriptor.get(), &last, 1, status.st_size - 1) != 1)
    return errno_error("log " + file.string());
  // Bounded, so that sums with the reserve cannot wrap.
  auto state = std::make_unique<State>(file, std::move(descriptor), std::move(patterns),
                                       std::min<std::uint64_t>(max_bytes, UINT64_MAX / 2));
  state->bytes = static_cast<std::uint64_t>(status.st_size);
  state->at_line_start = last == '\n';
  return JobLog(std::move(state));
}

JobLog::JobLog(std::unique_ptr<State> state) : state_(std::move(state)) {}

JobLog::JobLog(JobLog&&) noexcept = default;

JobLog& JobLog::operator=(JobLog&& other) noexcept {
  if (this != &other) {
    close();
    state_ = std::move(other.state_);
  }
  return *this;
}

JobLog::~JobLog() { close(); }

void JobLog::script_output(std::string_view bytes) {
  if (state_ && state_->file) state_->script_output(bytes);
}

void JobLog::line(std::string_view text) {
  if (state_ && state_->file) state_->write_line(mask_text(*state_->patterns, text));
}

void JobLog::end_script() {
  if (state_ && state_->file) state_->end_script();
}

void JobLog::close() {
  if (!state_ || !state_->file) return;
  state_->end_script();
  state_->file.close();
}

std::uint64_t JobLog::bytes() const noexcept { return state_ ? state_->bytes : 0; }

bool JobLog::truncated() const noexcept { return state_ && state_->truncated; }

const Error* JobLog::error() const noexcept {
  return state_ && state_->error ? &*state_->error : nullptr;
}

}  // namespace flow_runner
