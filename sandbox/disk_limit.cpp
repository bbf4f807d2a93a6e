#include "sandbox/disk_limit.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <utility>

#include "config/units.hpp"
#include "sandbox/alarm.hpp"
#include "sandbox/disk_usage.hpp"
#include "sandbox/project_quota.hpp"

namespace flow_runner {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto step_budget = 2ms;
constexpr auto step_pause = 4ms;
constexpr auto close_interval = 2s;  // between measures of a job that is close to its limit
constexpr auto far_interval = 30s;   // others free space too, and hide what the job takes
constexpr auto floor_interval = 1s;
constexpr std::chrono::milliseconds min_look = 50ms;
constexpr std::chrono::milliseconds max_look = 1s;
constexpr std::uint64_t fast_disk = 1ULL << 20;  // bytes per millisecond
constexpr int max_disturbed = 64;

struct Free {
  std::uint64_t bytes = 0;      ///< for an ordinary user
  std::uint64_t all_bytes = 0;  ///< what a root's file would get too: falls by what is written
  std::uint64_t entries = 0;
};

std::uint64_t fallen(std::uint64_t before, std::uint64_t now) {
  return before - std::min(before, now);
}

}  // namespace

std::string describe(const DiskExhaustion& exhaustion) {
  switch (exhaustion.shortage) {
    case DiskShortage::space:
      return "the job's disk limit of " + format_bytes(exhaustion.limit) + " was reached (" +
             format_bytes_rounded(exhaustion.used) + " used); raise it with --disk";
    case DiskShortage::entries:
      return "the job's limit of " + std::to_string(exhaustion.limit) +
             " files and folders was reached (" + std::to_string(exhaustion.used) +
             " used), one for each 4KiB of its disk limit; raise it with --disk";
    case DiskShortage::floor:
      return "the host's disk is nearly full (" + format_bytes_rounded(exhaustion.used) +
             " left, at least " + format_bytes(exhaustion.limit) +
             " must be for results); free some space in the state folder's file system";
    case DiskShortage::unmeasurable:
      return "what the job holds on disk could not be measured: its folders move all the time";
  }
  return {};
}

std::uint64_t max_disk_entries(std::uint64_t bytes) noexcept {
  return std::max<std::uint64_t>(bytes / 4096, 1024);
}

bool below_floor(std::uint64_t used, std::uint64_t free, std::uint64_t floor) noexcept {
  return free < floor && (free < floor / 2 || used >= floor / 16);
}

struct DiskLimit::State {
  State(boost::asio::any_io_executor executor, DiskLimitSpec spec_, Descriptor folder_)
      : spec(std::move(spec_)), folder(std::move(folder_)), alarm(std::move(executor)) {}

  Result<Free> free_space() const {
    struct statvfs facts {};
    if (::fstatvfs(folder.get(), &facts) != 0)
      return errno_error("cannot ask for free space at " + spec.folder.string());
    return Free{facts.f_bavail * facts.f_frsize, facts.f_bfree * facts.f_frsize, facts.f_ffree};
  }

  void exhausted(DiskShortage shortage, std::uint64_t now, std::uint64_t limit) {
    seen = {shortage, now, limit};
    walk.reset();
    alarm.cancel();
    if (const auto callback = std::exchange(on_exhausted, nullptr)) callback(*seen);
  }

  void look() {
    const auto free = free_space();
    const auto pause = free ? look_at_folder(*free) : max_look;
    if (!seen) alarm.set(pause, [this] { look(); });
  }

  std::chrono::milliseconds look_at_folder(const Free& free) {
    if (!walk && !due(free)) return pause_for(free);
    if (!walk && !begin(free)) return max_look;
    if (!step(free)) return step_pause;
    return min_look;
  }

  [[nodiscard]] bool due(const Free& free) const {
    const auto since = Clock::now() - measured_at;
    if (since < 4 * last_walk) return false;
    if (free.bytes < spec.free_floor && since >= floor_interval) return true;
    if (spec.bytes == 0) return since >= far_interval;
    const auto bytes = used + fallen(measured_free.all_bytes, free.all_bytes);
    const auto files = entries + fallen(measured_free.entries, free.entries);
    const auto max_files = max_disk_entries(spec.bytes);
    if (bytes >= spec.bytes || files >= max_files) return true;
    const bool close = used >= spec.bytes / 4 * 3 || entries >= max_files / 4 * 3;
    return since >= (close ? Clock::duration(close_interval) : Clock::duration(far_interval));
  }

  [[nodiscard]] std::chrono::milliseconds pause_for(const Free& free) const {
    if (spec.bytes == 0) return max_look;
    const auto bytes = used + fallen(measured_free.all_bytes, free.all_bytes);
    const auto time = std::chrono::milliseconds(fallen(spec.bytes, bytes) / fast_disk);
    return std::clamp(time, min_look, max_look);
  }

  bool begin(const Free& free) {
    auto opened = TreeWalk::open(spec.folder);
    if (!opened) return false;
    walk.emplace(std::move(*opened));
    deleted.emplace(walk->device());
    begun_free = free;
    walked = {};
    return true;
  }

  /// Goes on with the walk whose turn it is. Its time is that of the steps: what lies between them
  /// is pauses, and whatever else the machine does.
  WalkState walk_on() {
    const auto start = Clock::now();
    const auto state = tree_done ? deleted->step(step_budget) : walk->step(step_budget);
    walked += Clock::now() - start;
    return state;
  }

  /// One piece of the measure; true: it is over.
  bool step(const Free& free) {
    const bool in_tree = !tree_done;
    const auto state = walk_on();
    if (in_tree) {
      if (state == WalkState::disturbed) return start_over();
      tree_done = state == WalkState::done;
    } else if (state == WalkState::done) {
      conclude();
      if (!check_limit() && below_floor(used, free.bytes, spec.free_floor))
        exhausted(DiskShortage::floor, free.bytes, spec.free_floor);
      return true;
    }
    // More than enough is enough: the rest need not be counted.
    if (spec.bytes == 0 || (walk->count().bytes + deleted->bytes() < spec.bytes &&
                            walk->count().entries < max_disk_entries(spec.bytes)))
      return false;
    conclude();
    return check_limit();
  }

  bool start_over() {
    walk.reset();
    tree_done = false;
    measured_at = Clock::now();
    if (++disturbed >= max_disturbed) exhausted(DiskShortage::unmeasurable, 0, 0);
    return true;
  }

  void conclude() {
    used = walk->count().bytes + deleted->bytes();
    entries = walk->count().entries;
    measured_free = begun_free;
    measured_at = Clock::now();
    last_walk = walked;
    disturbed = 0;
    tree_done = false;
    walk.reset();
  }

  bool check_limit() {
    if (spec.bytes == 0) return false;
    const auto max_files = max_disk_entries(spec.bytes);
    if (used >= spec.bytes) return exhausted(DiskShortage::space, used, spec.bytes), true;
    if (entries >= max_files) return exhausted(DiskShortage::entries, entries, max_files), true;
    return false;
  }

  DiskLimitSpec spec;
  Descriptor folder;
  Alarm alarm;
  std::optional<ProjectQuota> quota;
  std::function<void(const DiskExhaustion&)> on_exhausted;
  std::optional<DiskExhaustion> seen;

  std::optional<TreeWalk> walk;
  std::optional<DeletedFilesWalk> deleted;
  bool tree_done = false;
  int disturbed = 0;
  Free begun_free;
  Clock::duration walked{};

  std::uint64_t used = 0;
  std::uint64_t entries = 0;
  Free measured_free;
  Clock::time_point measured_at = Clock::now();
  Clock::duration last_walk{};
};

DiskLimit::DiskLimit(std::unique_ptr<State> state) : state_(std::move(state)) {}
DiskLimit::DiskLimit(DiskLimit&&) noexcept = default;
DiskLimit& DiskLimit::operator=(DiskLimit&&) noexcept = default;
DiskLimit::~DiskLimit() {
  if (state_) (void)lift();
}

Result<DiskLimit> DiskLimit::apply(boost::asio::any_io_executor executor,
                                   const DiskLimitSpec& spec) {
  FR_TRY(Descriptor folder, open_file(spec.folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  auto state = std::make_unique<State>(std::move(executor), spec, std::move(folder));
  FR_TRY(state->measured_free, state->free_space());
  const std::uint64_t free = state->measured_free.bytes;
  if (below_floor(0, free, spec.free_floor))
    return Error{ErrorCode::denied, describe({DiskShortage::floor, free, spec.free_floor})};
  if (spec.bytes > 0) {
    const ProjectQuota::Usage limit{spec.bytes, max_disk_entries(spec.bytes)};
    FR_TRY(state->quota,
           ProjectQuota::apply(spec.folder, spec.first_project, spec.projects, limit));
  }
  return DiskLimit(std::move(state));
}

void DiskLimit::watch(std::function<void(const DiskExhaustion&)> on_exhausted) {
  state_->on_exhausted = std::move(on_exhausted);
  state_->look();
}

std::optional<DiskExhaustion> DiskLimit::full() const {
  if (state_->seen) return state_->seen;
  const auto& spec = state_->spec;
  if (state_->quota) {
    // A write larger than what is left is refused before the limit is reached.
    const auto nearly = [](std::uint64_t used, std::uint64_t limit) {
      return used + limit / 64 >= limit;
    };
    const auto usage = state_->quota->usage();
    const auto max_files = max_disk_entries(spec.bytes);
    if (usage && nearly(usage->bytes, spec.bytes))
      return DiskExhaustion{DiskShortage::space, usage->bytes, spec.bytes};
    if (usage && nearly(usage->entries, max_files))
      return DiskExhaustion{DiskShortage::entries, usage->entries, max_files};
  }
  const auto free = state_->free_space();
  if (free && below_floor(state_->used, free->bytes, spec.free_floor))
    return DiskExhaustion{DiskShortage::floor, free->bytes, spec.free_floor};
  return std::nullopt;
}

Result<void> DiskLimit::lift() {
  state_->alarm.cancel();
  state_->walk.reset();
  state_->on_exhausted = nullptr;
  if (!state_->quota) return {};
  return state_->quota->lift();
}

std::string DiskLimit::layer() const {
  if (state_->spec.bytes == 0) return {};
  return state_->quota ? "disk_quota" : "disk_watch";
}

std::uint64_t DiskLimit::used() const { return state_->used; }

}  // namespace flow_runner
