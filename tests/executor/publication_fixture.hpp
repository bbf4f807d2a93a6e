// PublicationFixture: what a job leaves for publication, made with real git and the real cache.
#pragma once

#include <chrono>
#include <doctest/doctest.h>
#include <filesystem>
#include <string>
#include <vector>

#include "executor/publication.hpp"
#include "executor/repository_cache.hpp"
#include "tests/executor/run_awaitable.hpp"
#include "tests/fixtures/git_repository.hpp"
#include "tests/fixtures/program.hpp"
#include "tests/fixtures/temporary_directory.hpp"

namespace flow_runner {

inline const std::string target_ref = "refs/heads/workloads/w";

/// The state after a job: a mirror that holds base, and a quarantine with one commit on top of it.
struct PublicationFixture {
  fixtures::TemporaryDirectory folder;
  fixtures::GitRepository origin{folder / "origin"};
  std::string base = origin.write("a.txt", "one\n").write("b.txt", "b\n").commit("base");
  PreparedRepository prepared = prepare();
  fixtures::GitRepository job{clone()};
  std::filesystem::path quarantine = make_quarantine();
  std::string head = job_commit("agent.txt", "new\n");
  GitContext context;

  PreparedRepository prepare(int depth = 0) {
    RepositorySpec spec;
    spec.url = origin.path();
    spec.depth = depth;
    RepositoryOptions options;
    options.git_worker = fixtures::program("flow-runner-git");
    Cancellation cancellation;
    RepositoryCache cache(folder / ("cache" + std::to_string(depth)));
    const std::string none;
    const std::string source = "exec";
    auto result = run_awaitable(cache.prepare(spec, none, source, options, cancellation));
    REQUIRE_MESSAGE(result.has_value(), result.error().message);
    return std::move(*result);
  }
  fixtures::GitRepository clone() const {
    fixtures::GitRepository repository(folder / "job");
    repository.git({"pull", "-q", origin.path().string(), "main"});
    return repository;
  }
  std::filesystem::path make_quarantine() const {
    const std::filesystem::path path = folder / "quarantine";
    for (const char* part : {"objects/info", "objects/pack", "refs"})
      std::filesystem::create_directories(path / part);
    fixtures::write_file(path / "HEAD", "ref: refs/heads/none\n");
    fixtures::write_file(path / "config", "[core]\n\trepositoryformatversion = 0\n\tbare = true\n");
    fixtures::write_file(path / "objects/info/alternates",
                         (prepared.mirror / "objects").string() + "\n");
    return path;
  }
  /// Commits in the job's repository and carries the objects into the quarantine.
  std::string job_commit(const std::string& name, const std::string& text) {
    const auto commit = job.write(name, text).commit("agent: " + name);
    origin.git({"--git-dir=" + quarantine.string(), "fetch", "-q", "--no-write-fetch-head",
                (folder / "job").string(), "HEAD"});
    return commit;
  }
  [[nodiscard]] PublicationRequest request(std::string url) const {
    PublicationRequest result;
    result.quarantine = quarantine;
    result.mirror = prepared.mirror;
    result.base = base;
    result.head = head;
    result.url = std::move(url);
    result.ref = target_ref;
    result.git_worker = fixtures::program("flow-runner-git");
    result.deadline = std::chrono::seconds(60);
    return result;
  }
  Result<PublicationOutcome> publish_to(const PublicationRequest& wanted) const {
    Cancellation cancellation;
    return run_awaitable(publish(wanted, context, cancellation));
  }
  PublicationOutcome published(const PublicationRequest& wanted) const {
    auto outcome = publish_to(wanted);
    REQUIRE_MESSAGE(outcome.has_value(), outcome.error().message);
    return std::move(*outcome);
  }
  [[nodiscard]] bool has_leftovers() const {
    for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
      if (entry.path().string().find(".transfer-") != std::string::npos) return true;
    return false;
  }
};

}  // namespace flow_runner
