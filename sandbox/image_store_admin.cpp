#include <algorithm>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "sandbox/image_files.hpp"
#include "sandbox/image_store.hpp"
#include "sandbox/registry_error.hpp"

namespace flow_runner {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using std::chrono::system_clock;

constexpr auto load_deadline = std::chrono::minutes(60);
/// What is younger may belong to a pull that still runs, or that has not named its image yet.
constexpr auto left_over_age = std::chrono::hours(24);
constexpr auto nameless_age = std::chrono::hours(1);

std::optional<system_clock::time_point> modified(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};
  return system_clock::time_point(std::chrono::duration_cast<system_clock::duration>(
      std::chrono::seconds(status.st_mtim.tv_sec)));
}

/// Throws nlohmann's exceptions.
ListedImage listed_image(const json& entry) {
  ListedImage image;
  image.id = entry.at("Id");
  if (const auto names = entry.find("Names"); names != entry.end() && names->is_array())
    image.names = names->get<std::vector<std::string>>();
  image.digest = entry.value("Digest", "");
  image.size = entry.value("Size", std::uint64_t{0});
  image.created =
      system_clock::time_point(std::chrono::seconds(entry.value("Created", std::int64_t{0})));
  return image;
}

bool is_held(const fs::path& lock) {
  if (!modified(lock)) return false;
  const auto free = try_file_lock(lock, LockKind::exclusive);
  return !free || !*free;
}

/// `Loaded image: a`, one line for each name; older releases: `Loaded image(s): a,b`.
std::vector<std::string> loaded_names(std::string_view output) {
  std::vector<std::string> names;
  for (std::size_t begin = 0; begin < output.size();) {
    const std::size_t end = std::min(output.find('\n', begin), output.size());
    const std::string_view line = output.substr(begin, end - begin);
    begin = end + 1;
    const std::size_t colon = line.find(": ");
    if (!line.starts_with("Loaded image") || colon == std::string_view::npos) continue;
    for (std::size_t at = colon + 2; at <= line.size();) {
      const std::size_t comma = std::min(line.find(',', at), line.size());
      if (comma > at) names.push_back(safe_output_line(line.substr(at, comma - at)));
      at = comma + 1;
    }
  }
  return names;
}

Result<void> check_archive(const fs::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0 || ::access(file.c_str(), R_OK) != 0)
    return errno_error("cannot read " + file.string());
  if (!S_ISREG(status.st_mode))
    return Error{ErrorCode::invalid_input, file.string() + " is not a file"};
  if (file.string().find(':') != std::string::npos)
    return Error{ErrorCode::invalid_input,
                 "podman cannot load " + file.string() + ": move it to a path without ':'"};
  return {};
}

Result<std::string> import_name(std::string_view name) {
  FR_TRY(ImageReference reference, ImageReference::parse(name));
  if (!reference.digest.empty())
    return Error{ErrorCode::invalid_input, "the name of an imported image cannot have a digest"};
  if (reference.registry_given) return reference.pull_name();
  FR_TRY(reference, ImageReference::parse("localhost/" + std::string(name)));
  return reference.pull_name();
}

}  // namespace

asio::awaitable<Result<std::vector<std::string>>> ImageStore::load(
    fs::path file, std::string name, Cancellation& cancellation) const {
  std::error_code error;
  file = fs::absolute(file, error);
  FR_CO_CHECK(check_archive(file));
  Podman::Options options;
  options.limits.deadline = load_deadline;
  std::vector<std::string> arguments;
  if (name.empty()) {
    arguments = {"load", "--input", file.string()};
  } else {
    FR_CO_TRY(name, import_name(name));
    arguments = {"import", "--quiet", file.string(), name};
  }
  FR_CO_TRY(const RunOutput output,
            co_await podman_.run(std::move(arguments), options, cancellation));
  if (!output.status.success()) {
    std::string reason = last_error_line(output.stderr_text);
    if (name.empty() && reason.find("payload does not match") != std::string::npos)
      reason =
          "it is neither a docker-archive nor an oci-archive; for a tar of a root file system say "
          "--name NAME";
    co_return Error{ErrorCode::invalid_input, "cannot load " + file.string() + ": " + reason};
  }
  if (name.empty()) co_return loaded_names(output.stdout_text);
  FR_CO_CHECK(co_await refuse_archive(name, cancellation));
  co_return std::vector<std::string>{name};
}

/// An image archive imported as a file system makes an image in which nothing runs.
asio::awaitable<Result<void>> ImageStore::refuse_archive(std::string name,
                                                         Cancellation& cancellation) const {
  FR_CO_TRY(const auto facts, co_await inspect(name, cancellation));
  if (!facts)
    co_return Error{ErrorCode::internal, "podman imported " + name + " and does not have it"};
  const ImageFiles files(facts->layers);
  const auto has = [&](std::string_view path) { return files.lookup(path).has_value(); };
  if (!has("/manifest.json") && !has("/oci-layout")) co_return Result<void>();
  if (has("/bin") || has("/usr") || has("/etc")) co_return Result<void>();
  std::vector<std::string> arguments = {"rmi", name};
  // A named object: g++ 12 frees a temporary in a co_await twice.
  const Podman::Options plain;
  FR_CO_CHECK(co_await podman_.run(std::move(arguments), plain, cancellation));
  co_return Error{ErrorCode::invalid_input,
                  "the file is an image archive, which has its own names: load it without --name"};
}

asio::awaitable<Result<std::vector<ListedImage>>> ImageStore::list(
    Cancellation& cancellation) const {
  Podman::Options options;
  options.limits.max_output = 16 << 20;
  std::vector<std::string> arguments = {"images", "--format", "json"};
  FR_CO_TRY(const RunOutput output,
            co_await podman_.run(std::move(arguments), options, cancellation));
  if (!output.status.success())
    co_return Error{ErrorCode::internal,
                    "cannot list the images: " + last_error_line(output.stderr_text)};
  std::vector<ListedImage> images;
  try {
    for (const json& entry : json::parse(output.stdout_text)) images.push_back(listed_image(entry));
  } catch (const json::exception& error) {
    co_return Error{ErrorCode::internal,
                    "podman's list of images cannot be read: " + std::string(error.what())};
  }
  for (ListedImage& image : images) {
    const auto used = modified(lock_file(image.id));
    const auto stored = modified(podman_.storage() / "overlay-images" / image.id);
    image.last_used = used.value_or(stored.value_or(system_clock::now()));
    image.in_use = is_held(lock_file(image.id));
  }
  co_return images;
}

asio::awaitable<Result<PruneReport>> ImageStore::prune(
    std::optional<std::chrono::seconds> older_than, Cancellation& cancellation) const {
  PruneReport report;
  FR_CO_TRY(const auto images, co_await list(cancellation));
  const auto now = system_clock::now();
  for (const ListedImage& image : images) {
    const auto age = now - image.last_used;
    const bool old = !older_than || age >= *older_than;
    if (!old && !(image.names.empty() && age >= nameless_age)) continue;
    FR_CO_TRY(const auto lock, try_file_lock(lock_file(image.id), LockKind::exclusive));
    if (!lock) {
      report.in_use.push_back(image);
      continue;
    }
    std::vector<std::string> arguments = {"rmi", "--force", image.id};
    const Podman::Options plain;
    FR_CO_TRY(const RunOutput output,
              co_await podman_.run(std::move(arguments), plain, cancellation));
    if (!output.status.success() && !is_unknown_image(output.stderr_text))
      co_return Error{ErrorCode::internal, "cannot remove image " + image.id.substr(0, 12) + ": " +
                                               last_error_line(output.stderr_text)};
    ::unlink(lock_file(image.id).c_str());
    report.removed.push_back(image);
  }
  sweep_left_overs(images);
  cache_.sweep();
  co_return report;
}

/// What dead pulls left in the temporary folder, and locks of images that are gone.
void ImageStore::sweep_left_overs(const std::vector<ListedImage>& known) const {
  std::error_code ignored;
  const auto now = system_clock::now();
  for (const auto& entry : fs::directory_iterator(images_ / "tmp", ignored)) {
    const auto at = modified(entry.path());
    if (at && now - *at > left_over_age) fs::remove_all(entry.path(), ignored);
  }
  for (const auto& entry : fs::directory_iterator(images_ / "locks", ignored)) {
    const std::string id = entry.path().filename();
    const auto at = modified(entry.path());
    if (!at || now - *at <= left_over_age ||
        std::ranges::find(known, id, &ListedImage::id) != known.end())
      continue;
    const auto lock = try_file_lock(entry.path(), LockKind::exclusive);
    if (lock && *lock) fs::remove(entry.path(), ignored);
  }
}

}  // namespace flow_runner
