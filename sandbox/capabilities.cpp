#include "sandbox/capabilities.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace flow_runner {

Result<void> shrink_bounding_set(std::span<const int> kept) {
  for (int capability = 0; capability <= 63; ++capability) {
    if (std::find(kept.begin(), kept.end(), capability) != kept.end()) continue;
    if (::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break;  // the kernel knows no more
    return errno_error("cannot shrink the capability bounding set");
  }
  return {};
}

Result<void> keep_capabilities(std::span<const int> kept) {
  std::array<std::uint32_t, 2> mask{};
  for (const int capability : kept)
    mask.at(static_cast<std::size_t>(capability) / 32) |= 1U << (capability % 32);
  if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
    return errno_error("cannot clear the ambient capabilities");
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) != 0)
    return errno_error("cannot read the capabilities");
  const bool has_any = sets[0].permitted != 0 || sets[1].permitted != 0;
  // Without rights there is nothing that a program could get of the bounding set.
  if (const auto shrunk = shrink_bounding_set(kept); !shrunk && has_any) return shrunk.error();
  for (std::size_t word = 0; word < sets.size(); ++word) {
    const std::uint32_t left = sets.at(word).permitted & mask.at(word);
    sets.at(word) = {.effective = left, .permitted = left, .inheritable = 0};
  }
  if (::syscall(SYS_capset, &header, sets.data()) != 0)
    return errno_error("cannot give up capabilities");
  return {};
}

}  // namespace flow_runner
