// ImageReference: an image's name, parsed and completed the way Docker completes it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/flow.hpp"
#include "config/result.hpp"

namespace flow_runner {

/// A checked reference. The grammar is the distribution project's `reference` (domain, path, tag,
/// digest); completion is Docker's: no registry means docker.io, no folder there means `library/`,
/// neither tag nor digest means `:latest`. Every part is safe as a program argument: none can begin
/// with a dash.
struct ImageReference {
  std::string registry;         ///< host or host:port
  std::string repository;       ///< library/node
  std::string tag;              ///< empty only beside a digest
  std::string digest;           ///< sha256:<64 hex>, or empty
  bool registry_given = false;  ///< false: a short name, `node:22`

  /// invalid_input says which part is wrong and why. At most 512 bytes are accepted.
  static Result<ImageReference> parse(std::string_view text);

  /// registry/repository
  [[nodiscard]] std::string full_repository() const;
  /// All parts, tag and digest both when both were given.
  [[nodiscard]] std::string normalized() const;
  /// What podman is told: it refuses tag and digest together, and the digest is the stricter.
  [[nodiscard]] std::string pull_name() const;
  /// `localhost/…` (without a port): built or loaded on this host, no registry has it.
  [[nodiscard]] bool local_only() const { return registry == "localhost"; }

  bool operator==(const ImageReference&) const = default;
};

/// Whether one of `images.allow` covers the image. A pattern is completed like a name (`node` is
/// docker.io/library/node). `*` and `?` stay within one part between slashes, `**` as a whole part
/// covers any number of them, and a pattern without a tag covers every tag and digest. `*` alone
/// covers everything.
bool allowed(const std::vector<std::string>& patterns, const ImageReference& reference);

/// The policy that counts. `asked` is the flow's or the command line's own word and wins; without
/// it `configured` holds, where if-not-present means always for the tag `latest` (given or implied)
/// without a digest. A local-only image is never pulled, whatever was asked.
PullPolicy effective_pull_policy(std::optional<PullPolicy> asked, const ImageReference& reference,
                                 PullPolicy configured = PullPolicy::if_not_present);

}  // namespace flow_runner
