#include "executor/job_environment.hpp"

#include <array>
#include <fcntl.h>
#include <map>
#include <sys/stat.h>
#include <unistd.h>

#include "executor/proxy_environment.hpp"
#include "executor/script.hpp"
#include "sandbox/descriptor.hpp"

namespace flow_runner {
namespace {

constexpr const char* default_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::size_t max_ca_file = 16 << 20;
constexpr std::array system_bundles = {"/etc/ssl/certs/ca-certificates.crt",
                                       "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
                                       "/etc/ssl/cert.pem"};
// One per tool family: OpenSSL, git, curl, Node, Python's requests and pip.
constexpr std::array ca_variables = {"SSL_CERT_FILE",       "GIT_SSL_CAINFO",     "CURL_CA_BUNDLE",
                                     "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "PIP_CERT"};

Result<void> write_owned(const std::filesystem::path& path, std::string_view content, unsigned mode,
                         const ImageEnvironment& image) {
  FR_TRY(const Descriptor file, open_file(path, O_WRONLY | O_CREAT | O_EXCL, mode));
  FR_CHECK(write_all(file.get(), content));
  if (::fchown(file.get(), image.host_uid, image.host_gid) != 0)
    return errno_error("cannot give " + path.filename().string() + " to the job's user");
  return {};
}

Result<std::string> merged_bundle(const std::filesystem::path& ca_file) {
  std::string bundle;
  for (const char* system : system_bundles) {
    auto text = read_file(system, max_ca_file);
    if (!text) continue;
    bundle = std::move(*text);
    break;
  }
  FR_TRY(const std::string own, read_file(ca_file, max_ca_file));
  return bundle + "\n" + own;
}

}  // namespace

std::vector<std::string> build_environment(const Job& job, const ResolvedVariables& variables,
                                           const ImageEnvironment& image,
                                           const std::string& project_dir) {
  std::map<std::string, std::string> values = {{"PATH", default_path}, {"HOME", image.home}};
  for (const auto& entry : image.environment)
    if (const auto equals = entry.find('='); equals != std::string::npos)
      values[entry.substr(0, equals)] = entry.substr(equals + 1);
  values["CI_PROJECT_DIR"] = project_dir;
  if (!job.ca_file.empty())
    for (const char* name : ca_variables)
      values[name] = std::string(job_files_in_container) + "/ca.pem";
  for (const auto& [name, value] :
       environment_in(variables, std::string(job_files_in_container) + "/variables"))
    values[name] = std::string(value.reveal());
  if (job.network == NetworkMode::proxy) set_proxy_variables(values);
  std::vector<std::string> environment;
  environment.reserve(values.size());
  for (const auto& [name, value] : values) environment.push_back(name + "=" + value);
  return environment;
}

Result<void> write_job_files(const std::filesystem::path& folder, const Job& job,
                             const ResolvedVariables& variables, const ImageEnvironment& image) {
  std::vector<std::string> commands = job.flow.extensions.setup;
  commands.insert(commands.end(), job.flow.commands.begin(), job.flow.commands.end());
  FR_CHECK(write_owned(folder / "script", build_script(commands), 0500, image));
  const auto variable_folder = folder / "variables";
  if (::mkdir(variable_folder.c_str(), 0755) != 0)
    return errno_error("cannot make the variables' folder");
  for (const auto& file : variables.files)
    FR_CHECK(write_owned(variable_folder / file.file_name, file.content.reveal(), 0600, image));
  if (job.ca_file.empty()) return {};
  FR_TRY(const std::string bundle, merged_bundle(job.ca_file));
  return write_owned(folder / "ca.pem", bundle, 0644, image);
}

}  // namespace flow_runner
