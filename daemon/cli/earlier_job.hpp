// EarlierJob: a job that ran before, here or elsewhere, as the pattern of a new one.
#pragma once

#include <string>
#include <vector>

#include "config/job.hpp"
#include "config/result.hpp"
#include "daemon/cli/exec_options.hpp"

namespace flow_runner::cli {

/// Whose word a job folder is.
enum class JobOrigin {
  own_state,  ///< from our own state folder
  copied,     ///< from anywhere: an attacker may have written it
};

struct EarlierJob {
  std::string name;  ///< for messages: id or folder
  JobOrigin origin = JobOrigin::copied;
  Job job;                           ///< without secrets
  std::vector<std::string> omitted;  ///< names of the variables that were left out as secrets
  std::string base;                  ///< the commit that it started from; empty: it never started
  std::string image;                 ///< name and digest as far as they are known
};

/// `word` is an id in the state folder (or its beginning), or a job folder: a word with a `/`, or
/// what is no job's id but a folder. Of a folder only job.json and result.json are read: regular
/// files, through no link, at most 64 MiB each. invalid_input and not_found name the file.
Result<EarlierJob> read_earlier_job(const std::string& word, const std::string& state_dir);

/// What was taken, and what could not be.
struct Adoption {
  std::string note;  ///< one line
  std::vector<std::string> warnings;
};

/// Fills in what `options` leave open: input, context, event, base commit, image, network and
/// limits; from our own state the repository too. Variables that are not secret and the network's
/// lists are added to those of the options, which come later and so win. Never the host's own
/// network, which must be asked for by its word, and from a copied job no address of this host's
/// own network either. Pure.
Adoption adopt(const EarlierJob& earlier, ExecOptions& options);

}  // namespace flow_runner::cli
