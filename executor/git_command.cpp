#include "executor/git_command.hpp"

#include <array>
#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>

namespace flow_runner {
namespace {

/// Numbers of our descriptors in git and all its children; CredentialDescriptor::child_fd is the
/// third.
constexpr int configuration_fd = 8;
constexpr int ca_bundle_fd = 7;
constexpr std::size_t max_ca_bytes = 8 << 20;
constexpr std::size_t max_git_file_bytes = 8192;

/// In force on git's command line, and so before what a repository's own configuration says.
constexpr std::array fixed_options = {
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.alternateRefsCommand=",
    "core.askPass=/bin/false",
    "credential.helper=",
    "credential.useHttpPath=false",
    "protocol.version=2",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "fetch.writeCommitGraph=false",
    "fetch.fsckObjects=true",
    // Old histories are full of these three, and they harm nobody.
    "fetch.fsck.badTimezone=ignore",
    "fetch.fsck.missingSpaceBeforeDate=ignore",
    "fetch.fsck.zeroPaddedFilemode=ignore",
    // Renamed GitLab projects answer the first request with a redirect; the credential does not
    // follow.
    "http.followRedirects=initial",
    // A ticket or login of the host's own must not stand in for the job's token.
    "http.emptyAuth=false",
    "http.sslVerify=true",
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=60",
};

/// A value in git's configuration syntax.
std::string configuration_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

/// The folders under whose name git may ask who owns a local repository: as given and resolved,
/// bare, with a `.git` folder, or with a `.git` file that leads to a linked work tree's.
std::vector<std::string> names_of_local_repository(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  const auto add = [&](const std::filesystem::path& path) {
    std::error_code ignored;
    names.push_back(path.string());
    const auto resolved = std::filesystem::canonical(path, ignored);
    if (!ignored && resolved != path) names.push_back(resolved.string());
  };
  add(folder);
  add(folder / ".git");
  add(local_git_folder(folder));
  return names;
}

/// git-upload-pack, a child that gets no `-c` options, looks at who owns a local repository.
Result<Descriptor> configuration_for(const RemoteUrl& remote) {
  std::string text = "[safe]\n";
  for (const auto& name : names_of_local_repository(remote.path))
    text += "\tdirectory = " + configuration_string(name) + "\n";
  return memory_file("git-config", text);
}

/// The system's CAs and the caller's: http.sslCAInfo replaces the system's.
Result<Descriptor> ca_bundle(const std::filesystem::path& ca_file) {
  FR_TRY(std::string text, read_file(ca_file, max_ca_bytes));
  if (text.find("-----BEGIN CERTIFICATE-----") == std::string::npos)
    return Error{ErrorCode::invalid_input,
                 "the CA file " + ca_file.string() + " holds no certificate in PEM form"};
  const char* named = std::getenv("SSL_CERT_FILE");
  for (const char* file :
       {named, "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}) {
    if (file == nullptr) continue;
    auto system = read_file(file, max_ca_bytes);
    if (!system) continue;
    text += "\n" + *system;
    break;
  }
  return memory_file("git-ca-bundle", text);
}

std::vector<std::string> git_environment(const GitCommand& command) {
  std::vector<std::string> environment;
  for (auto& entry : tool_environment())
    if (!entry.starts_with("HOME=")) environment.push_back(std::move(entry));
  const bool local = command.remote && command.remote->local();
  std::string protocol = "none";
  if (command.remote)
    protocol =
        local ? "file" : command.remote->origin().substr(0, command.remote->origin().find(':'));
  environment.insert(environment.end(),
                     {
                         "HOME=/nonexistent",
                         "GIT_CONFIG_NOSYSTEM=1",
                         "GIT_ATTR_NOSYSTEM=1",
                         local ? "GIT_CONFIG_GLOBAL=/dev/fd/" + std::to_string(configuration_fd)
                               : "GIT_CONFIG_GLOBAL=/dev/null",
                         "GIT_TERMINAL_PROMPT=0",
                         "GIT_ASKPASS=/bin/false",
                         "GIT_NO_LAZY_FETCH=1",
                         "GIT_NO_REPLACE_OBJECTS=1",
                         "GIT_OPTIONAL_LOCKS=0",
                         // Stronger than any protocol.* setting, and it reaches git's children.
                         "GIT_ALLOW_PROTOCOL=" + protocol,
                     });
  if (!command.object_directory.empty())
    environment.push_back("GIT_OBJECT_DIRECTORY=" + command.object_directory.string());
  return environment;
}

std::vector<std::string> git_arguments(const GitCommand& command) {
  // A folder that is not there keeps git from looking for a repository around the working
  // directory.
  const std::string git_dir = command.git_dir.empty() ? "/nonexistent" : command.git_dir.string();
  std::vector<std::string> argv = {"git", "--git-dir=" + git_dir};
  for (const char* option : fixed_options) argv.insert(argv.end(), {"-c", option});
  return argv;
}

}  // namespace

std::filesystem::path local_git_folder(const std::filesystem::path& folder) {
  const std::filesystem::path dot_git = folder / ".git";
  std::error_code ignored;
  if (std::filesystem::is_directory(dot_git, ignored)) return dot_git;
  const auto content = read_file(dot_git, max_git_file_bytes);
  constexpr std::string_view mark = "gitdir: ";
  if (!content || !content->starts_with(mark)) return folder;
  std::string target = content->substr(mark.size());
  while (!target.empty() && (target.back() == '\n' || target.back() == '\r')) target.pop_back();
  // A name with a line break would be a line of configuration.
  return target.find('\n') == std::string::npos ? folder / target : folder;
}

std::string describe(const GitCommand& command) {
  const std::string verb = command.arguments.empty() ? std::string() : command.arguments.front();
  std::string text = "git " + verb;
  if (command.remote)
    text += (verb == "push" ? " to " : " from ") + printable(command.remote->text());
  return text;
}

namespace {

/// Loopback never leaves the host.
bool sends_token_in_the_clear(const GitCommand& command) {
  if (!command.remote || command.credential.token.empty()) return false;
  const std::string& host = command.remote->host;
  return command.remote->kind == RemoteUrl::Kind::http && host != "localhost" && host != "[::1]" &&
         !host.starts_with("127.");
}

}  // namespace

asio::awaitable<Result<RunOutput>> run_git(GitCommand command, const GitContext& context,
                                           Cancellation& cancellation) {
  if (command.deadline <= std::chrono::milliseconds(0))
    co_return Error{ErrorCode::timed_out, "no time was left for " + describe(command)};
  if (sends_token_in_the_clear(command))
    co_return Error{ErrorCode::denied,
                    describe(command) + " would send the token unencrypted: use https://"};
  ProcessSpec spec;
  spec.argv = git_arguments(command);
  spec.environment = git_environment(command);
  spec.working_directory = "/";

  const bool local = command.remote && command.remote->local();
  Descriptor configuration;
  if (local) {
    FR_CO_TRY(configuration, configuration_for(*command.remote));
    spec.extra_fds.emplace_back(configuration.get(), configuration_fd);
  }
  Descriptor ca;
  if (command.remote && !local && !context.ca_file.empty()) {
    FR_CO_TRY(ca, ca_bundle(context.ca_file));
    spec.extra_fds.emplace_back(ca.get(), ca_bundle_fd);
    spec.argv.insert(spec.argv.end(),
                     {"-c", "http.sslCAInfo=/dev/fd/" + std::to_string(ca_bundle_fd)});
  }
  std::optional<CredentialDescriptor> credential;
  if (command.remote && !local && !command.credential.token.empty()) {
    FR_CO_TRY(credential, CredentialDescriptor::make(command.remote->origin(), command.credential));
    for (auto& option : credential->git_options()) spec.argv.push_back(std::move(option));
    spec.extra_fds.emplace_back(credential->fd(), CredentialDescriptor::child_fd);
  }
  Descriptor input;
  if (!command.input.empty()) {
    FR_CO_TRY(input, memory_file("git-input", command.input));
    spec.stdin_fd = input.get();
  }
  spec.argv.insert(spec.argv.end(), command.arguments.begin(), command.arguments.end());

  RunLimits limits;
  limits.deadline = command.deadline;
  limits.max_output = command.max_output;
  OutputCallback on_stderr;
  if (context.on_progress)
    on_stderr = [lines = std::make_shared<ProgressLines>(context.sanitize, context.on_progress)](
                    std::string_view text) { lines->write(text); };
  auto output = co_await run_process(std::move(spec), limits, cancellation, std::move(on_stderr));
  if (!output && output.error().code == ErrorCode::timed_out) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(command.deadline).count();
    co_return Error{ErrorCode::timed_out, describe(command) + " did not end within " +
                                              std::to_string(seconds) + " s; try again"};
  }
  if (!output && output.error().code == ErrorCode::cancelled)
    co_return Error{ErrorCode::cancelled, describe(command) + " was cancelled"};
  co_return output;
}

asio::awaitable<Result<std::string>> run_git_checked(GitCommand command, const GitContext& context,
                                                     Cancellation& cancellation) {
  const std::string what = describe(command);
  FR_CO_TRY(RunOutput output, co_await run_git(std::move(command), context, cancellation));
  if (!output.status.success())
    co_return git_failure(what, output.status.code, output.stderr_text, context.sanitize);
  co_return std::move(output.stdout_text);
}

asio::awaitable<Result<RemoteRefs>> list_remote(RemoteUrl remote, Credential credential,
                                                std::vector<std::string> names,
                                                const GitContext& context,
                                                Cancellation& cancellation,
                                                std::chrono::milliseconds deadline) {
  GitCommand command;
  command.arguments = {"ls-remote", "--symref", remote.text(), "HEAD"};
  command.arguments.insert(command.arguments.end(), names.begin(), names.end());
  command.remote = std::move(remote);
  command.credential = std::move(credential);
  command.deadline = deadline;
  FR_CO_TRY(const std::string text,
            co_await run_git_checked(std::move(command), context, cancellation));
  co_return parse_remote_refs(text);
}

}  // namespace flow_runner
