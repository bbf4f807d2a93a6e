#include "daemon/cli/image_command.hpp"

#include <ctime>
#include <functional>
#include <iomanip>
#include <iostream>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "config/units.hpp"
#include "daemon/cli/console.hpp"
#include "sandbox/image_store.hpp"

namespace flow_runner::cli {
namespace {

using nlohmann::json;
using std::chrono::system_clock;

/// retention.images of the configuration page.
constexpr std::string_view default_age = "30d";

struct Options {
  std::string state_dir;
  std::string file;
  std::string name;
  std::string older_than{default_age};
  bool as_json = false;
  bool all = false;
};

using Action = std::function<asio::awaitable<Result<void>>(ImageStore&, Cancellation&)>;

int run(const std::string& state_dir, const Action& action) {
  const auto state = open_state(state_dir);
  if (!state) return print_error(state.error());
  auto store = ImageStore::open(state->images());
  if (!store) return print_error(store.error());
  const auto work = [&](Cancellation& cancellation) -> asio::awaitable<int> {
    const auto done = co_await action(*store, cancellation);
    co_return done ? exit_success : print_error(done.error());
  };
  return run_interruptible(work, {});
}

std::string iso_time(system_clock::time_point time) {
  const std::time_t seconds = system_clock::to_time_t(time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text, size};
}

json to_json(const ListedImage& image) {
  return {{"id", image.id},
          {"names", image.names},
          {"digest", image.digest},
          {"size", image.size},
          {"created", iso_time(image.created)},
          {"last_used", iso_time(image.last_used)},
          {"in_use", image.in_use}};
}

std::string name_of(const ListedImage& image) {
  std::string text;
  for (const std::string& name : image.names) text += (text.empty() ? "" : ", ") + name;
  return text.empty() ? "<replaced>" : text;
}

void print_table(const std::vector<ListedImage>& images) {
  std::cout << std::left << std::setw(14) << "ID" << std::setw(12) << "SIZE" << std::setw(22)
            << "LAST USED" << std::setw(8) << "IN USE"
            << "NAME\n";
  for (const ListedImage& image : images) {
    std::cout << std::setw(14) << image.id.substr(0, 12) << std::setw(12)
              << format_bytes_rounded(image.size) << std::setw(22) << iso_time(image.last_used)
              << std::setw(8) << (image.in_use ? "yes" : "no") << name_of(image) << '\n';
  }
}

asio::awaitable<Result<void>> load(const Options& options, ImageStore& store,
                                   Cancellation& cancellation) {
  FR_CO_TRY(const auto names, co_await store.load(options.file, options.name, cancellation));
  if (names.empty())
    co_return Error{
        ErrorCode::invalid_input,
        options.file + " holds no image with a name; make it with a tag, or no job can ask for it"};
  for (const std::string& name : names) std::cout << "loaded " << name << '\n';
  co_return Result<void>();
}

asio::awaitable<Result<void>> list(const Options& options, ImageStore& store,
                                   Cancellation& cancellation) {
  FR_CO_TRY(const auto images, co_await store.list(cancellation));
  if (!options.as_json) {
    print_table(images);
    co_return Result<void>();
  }
  json array = json::array();
  for (const ListedImage& image : images) array.push_back(to_json(image));
  std::cout << array.dump(2, ' ', false, json::error_handler_t::replace) << '\n';
  co_return Result<void>();
}

asio::awaitable<Result<void>> prune(const Options& options, ImageStore& store,
                                    Cancellation& cancellation) {
  std::optional<std::chrono::seconds> older_than;
  if (!options.all) {
    FR_CO_TRY(const auto age, parse_duration(options.older_than));
    older_than = std::chrono::duration_cast<std::chrono::seconds>(age);
  }
  FR_CO_TRY(const PruneReport report, co_await store.prune(older_than, cancellation));
  std::uint64_t bytes = 0;
  for (const ListedImage& image : report.removed) {
    bytes += image.size;
    std::cout << "removed " << name_of(image) << '\n';
  }
  for (const ListedImage& image : report.in_use)
    std::cout << "kept " << name_of(image) << ": a job uses it\n";
  std::cout << report.removed.size() << " removed, " << format_bytes_rounded(bytes);
  if (!options.all) std::cout << " (not used for " << options.older_than << ')';
  std::cout << '\n';
  co_return Result<void>();
}

}  // namespace

void add_image_command(CLI::App& app, std::function<int()>& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App* image = app.add_subcommand("image", "the images of this runner's own store");
  image->require_subcommand(1);
  const auto add = [&](const char* name, const char* what, auto action) {
    CLI::App* command = image->add_subcommand(name, what);
    command->add_option("--state-dir", options->state_dir,
                        "folder of jobs, images and repositories");
    command->callback([options, action, &chosen] {
      chosen = [options, action] {
        return run(options->state_dir, [&](ImageStore& store, Cancellation& cancellation) {
          return action(*options, store, cancellation);
        });
      };
    });
    return command;
  };

  CLI::App* load_command = add("load", "take an image from a file", load);
  load_command
      ->add_option("FILE", options->file,
                   "docker-archive, oci-archive, or a root file system's tar")
      ->required();
  load_command->add_option("--name", options->name,
                           "FILE is a plain root file system; this becomes localhost/NAME");
  CLI::App* list_command = add("list", "what is here", list);
  list_command->add_flag("--json", options->as_json, "for programs");
  CLI::App* prune_command = add("prune", "remove images that no job uses", prune);
  auto* age = prune_command->add_option("--older-than", options->older_than,
                                        "not used by a job for this long (default 30d)");
  prune_command->add_flag("--all", options->all, "however recently used")->excludes(age);
}

}  // namespace flow_runner::cli
