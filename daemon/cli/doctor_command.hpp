// The doctor command: what this host offers to jobs, and whether its sandbox holds.
#pragma once

#include <optional>
#include <string>

#include "config/result.hpp"

namespace flow_runner::cli {

struct DoctorArguments {
  std::string state_dir, network = "proxy";
  std::string required_layers;  ///< as --sandbox-require takes them
  bool probe = false, self_check = false, json = false;
  /// Why there is no user namespace to work in: then nothing can be probed.
  std::optional<Error> no_user_namespace;
};

/// Exit 0: jobs can run, and every way out that was tried is closed; 2: not.
int doctor_command(const DoctorArguments& arguments);

}  // namespace flow_runner::cli
