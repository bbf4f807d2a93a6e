// The socket between an executor's shell and the person's terminal: frames of at most 64 KiB.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace flow_runner {

/// A frame is its kind, a 2-byte little-endian length, and so many bytes.
enum class ShellFrame : char {
  begin = 'B',   ///< executor to client: the shell is there; from now on the terminal is raw
  output = 'O',  ///< executor to client: masked bytes for the terminal
  end = 'E',     ///< executor to client: the shell is gone; the last frame
  input = 'I',   ///< client to executor: bytes that the person typed
  window = 'W',  ///< client to executor: rows and columns, 2 bytes little-endian each
};

/// Number of the descriptor that an executor finds its end of the socket at, when it has a shell.
inline constexpr int shell_fd = 5;

struct WindowSize {
  std::uint16_t rows = 0, columns = 0;
  bool operator==(const WindowSize&) const = default;
};

/// As many frames as the bytes need, one at least.
std::string shell_frames(ShellFrame kind, std::string_view bytes);
std::string window_frame(WindowSize size);
/// The content of a window frame; all zeros when it is none.
WindowSize window_from(std::string_view content) noexcept;

/// Takes frames apart, however the stream is split. Holds at most one frame.
class ShellFrameReader {
 public:
  using Callback = std::function<void(ShellFrame kind, std::string_view content)>;
  void read(std::string_view bytes, const Callback& on_frame);

 private:
  std::string pending_;
};

}  // namespace flow_runner
