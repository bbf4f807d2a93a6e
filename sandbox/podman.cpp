#include "sandbox/podman.hpp"

#include <algorithm>
#include <cstdlib>
#include <sys/stat.h>
#include <unistd.h>

#include "config/encoding.hpp"
#include "sandbox/descriptor.hpp"
#include "sandbox/id_map.hpp"
#include "sandbox/rootless.hpp"
#include "sandbox/temporary_folder.hpp"

namespace flow_runner {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t max_bundle = 8 << 20;

/// Makes a folder for us alone; what is there already must be one.
Result<void> own_folder(const fs::path& path) {
  if (::mkdir(path.c_str(), 0700) == 0) return {};
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return errno_error("cannot make " + path.string());
  if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 022) != 0)
    return Error{ErrorCode::denied, path.string() +
                                        " must be a folder that belongs to us and nobody else can "
                                        "write; remove it"};
  return {};
}

std::vector<std::string> podman_environment(const fs::path& temporary, const fs::path& bundle) {
  std::vector<std::string> environment = tool_environment();
  const auto set = [&](const std::string& name, const std::string& value) {
    std::erase_if(environment, [&](const auto& entry) { return entry.starts_with(name + "="); });
    environment.push_back(name + "=" + value);
  };
  for (const char* name :
       {"XDG_CONFIG_HOME", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "CONTAINERS_REGISTRIES_CONF"})
    if (const char* value = std::getenv(name)) set(name, value);
  set("TMPDIR", temporary.string());
  // Without root podman insists on a home that exists; a service's user may have none.
  const char* home = std::getenv("HOME");
  std::error_code ignored;
  if (home == nullptr || !fs::is_directory(home, ignored)) set("HOME", temporary.string());
  if (!bundle.empty()) set("SSL_CERT_FILE", bundle.string());
  return environment;
}

/// Rootless, the store's files belong to the ids that jobs have: podman runs as the root of those,
/// and sees the user as one more id, for the user's folders are where store and credentials are.
/// Told by its own variables that this is done, it makes no namespace itself and marks layers in
/// user.* attributes. Empty where nothing is to be done.
Result<Descriptor> rootless_namespace(std::vector<std::string>& environment) {
  if (!is_rootless()) return Descriptor();
  const std::uint32_t base = IdRange::of_user_namespace().base();
  const IdMap map = {{0, base, IdRange::size}, {IdRange::size, 0, 1}};
  const std::string user = std::to_string(host_uid());
  environment.emplace_back("_CONTAINERS_USERNS_CONFIGURED=done");
  environment.push_back("_CONTAINERS_ROOTLESS_UID=" + user);
  environment.push_back("_CONTAINERS_ROOTLESS_GID=" + user);
  return make_id_map(map, map);
}

}  // namespace

Podman::Podman(fs::path images) : images_(std::move(images)) {}

fs::path Podman::run_folder() const {
  // podman refuses a run folder whose path is longer than 50 bytes.
  const std::string name = "i-" + sha256_hex(images_.string()).substr(0, 12);
  const std::uint32_t uid = host_uid();
  if (uid == 0) return fs::path("/run/flow-runner") / name;
  const fs::path user = fs::path("/run/user") / std::to_string(uid);
  std::error_code ignored;
  if (fs::is_directory(user, ignored)) return user / "flow-runner" / name;
  return fs::path("/tmp/flow-runner-" + std::to_string(uid)) / name;
}

Result<void> Podman::prepare_run_folder() const {
  const fs::path folder = run_folder();
  const fs::path parent = folder.parent_path();
  // Below /run this is the service's runtime folder, which may be there already with rights of its
  // own.
  if (host_uid() != 0) {
    FR_CHECK(own_folder(parent));
  } else if (::mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST) {
    return errno_error("cannot make " + parent.string());
  }
  FR_CHECK(own_folder(folder));

  // podman's database keeps the paths that it was made with and refuses others. It describes
  // containers, of which this store has none.
  const fs::path record = images_ / "run-folder";
  const std::string paths = storage().string() + "\n" + folder.string() + "\n";
  if (const auto known = read_file(record, 16384); known && *known == paths) return {};
  std::error_code ignored;
  fs::remove(storage() / "libpod/bolt_state.db", ignored);
  fs::remove(storage() / "db.sql", ignored);
  return replace_file(record, paths, 0600);
}

Result<fs::path> Podman::trust_bundle(const fs::path& ca_file) const {
  if (ca_file.empty()) return fs::path();
  FR_TRY(const std::string extra, read_file(ca_file, max_bundle));
  // SSL_CERT_FILE replaces the system's bundle, hence both in one file.
  std::string bundle;
  const char* configured = std::getenv("SSL_CERT_FILE");
  for (const char* file : {configured, "/etc/ssl/certs/ca-certificates.crt",
                           "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"}) {
    if (file == nullptr) continue;
    if (auto text = read_file(file, max_bundle)) {
      bundle = std::move(*text);
      break;
    }
  }
  bundle += "\n" + extra;
  const fs::path file = run_folder() / ("ca-" + sha256_hex(bundle).substr(0, 16) + ".pem");
  std::error_code error;
  if (!fs::exists(file, error)) FR_CHECK(replace_file(file, bundle, 0600));
  return file;
}

asio::awaitable<Result<RunOutput>> Podman::run(std::vector<std::string> arguments, Options options,
                                               Cancellation& cancellation) const {
  FR_CO_CHECK(prepare_run_folder());
  FR_CO_TRY(const fs::path bundle, trust_bundle(options.ca_file));
  FR_CO_TRY(const TemporaryFolder temporary, TemporaryFolder::make(images_ / "tmp", "podman"));

  ProcessSpec spec;
  spec.argv.emplace_back("podman");
  for (const auto& [option, value] : std::vector<std::pair<std::string, std::string>>{
           {"--root", storage().string()},
           {"--runroot", (run_folder() / "r").string()},
           {"--tmpdir", (run_folder() / "t").string()},
           {"--storage-driver", "overlay"},
           {"--cgroup-manager", "cgroupfs"},
           {"--events-backend", "none"}}) {
    spec.argv.push_back(option);
    spec.argv.push_back(value);
  }
  spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
  spec.environment = podman_environment(temporary.path(), bundle);
  FR_CO_TRY(const Descriptor job_ids, rootless_namespace(spec.environment));
  spec.user_namespace = job_ids.get();
  auto output = co_await run_process(std::move(spec), options.limits, cancellation,
                                     std::move(options.on_stderr));
  if (!output && output.error().code == ErrorCode::not_found)
    co_return Error{ErrorCode::unavailable,
                    "the image store needs podman: " + output.error().message};
  co_return output;
}

}  // namespace flow_runner
