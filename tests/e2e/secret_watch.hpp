// SecretWatch: looks for a run's secrets where none may be: command lines, and what was written.
#pragma once

#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "tests/e2e/exec_fixture.hpp"

namespace flow_runner::e2e {

/// Looks through all command lines of this host, on a thread of its own, until it is stopped.
class SecretWatch {
 public:
  explicit SecretWatch(std::vector<std::string> secrets)
      : secrets_(std::move(secrets)), thread_([this](const std::stop_token& stop) { run(stop); }) {}

  /// Ends the watch and checks that `program` was among the processes, that no command line held a
  /// secret, and that none is in the run's log and result or in the state folder.
  void check(const ExecRun& ran, const std::string& program);

 private:
  void run(const std::stop_token& stop);
  void look();

  std::vector<std::string> secrets_;
  std::set<std::string> programs_;  ///< base names
  std::set<std::string> leaks_;     ///< programs with a secret among their arguments
  std::jthread thread_;
};

}  // namespace flow_runner::e2e
