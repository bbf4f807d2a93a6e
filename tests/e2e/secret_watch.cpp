#include "tests/e2e/secret_watch.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <doctest/doctest.h>
#include <filesystem>
#include <mutex>

#include "sandbox/descriptor.hpp"

namespace flow_runner::e2e {

namespace fs = std::filesystem;

void SecretWatch::check(const ExecRun& ran, const std::string& program) {
  thread_.request_stop();
  thread_.join();
  CHECK_MESSAGE(programs_.contains(program), nlohmann::json(programs_).dump());
  CHECK(nlohmann::json(leaks_).dump() == "[]");
  for (const auto& secret : secrets_) {
    CHECK_FALSE(ran.log_has(secret));
    CHECK(ran.result.dump().find(secret) == std::string::npos);
    const auto found = fixtures::run_command(
        {.argv = {"grep", "-rlaF", "--exclude-dir=images", secret, shared_state().path()}});
    REQUIRE(found.has_value());
    CHECK(found->out.empty());
  }
}

void SecretWatch::run(const std::stop_token& stop) {
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any never;
  const auto interval = std::chrono::milliseconds(50);
  while (!never.wait_for(lock, stop, interval, [&] { return stop.stop_requested(); })) look();
}

void SecretWatch::look() {
  for (const auto& process : fs::directory_iterator("/proc")) {
    if (std::atoi(process.path().filename().c_str()) == 0) continue;
    // A process that has just ended has none.
    const auto arguments = read_file(process.path() / "cmdline", 4U << 20);
    if (!arguments || arguments->empty()) continue;
    const auto name = fs::path(arguments->substr(0, arguments->find('\0'))).filename().string();
    programs_.insert(name);
    for (const auto& secret : secrets_)
      if (arguments->find(secret) != std::string::npos) leaks_.insert(name);
  }
}

}  // namespace flow_runner::e2e
