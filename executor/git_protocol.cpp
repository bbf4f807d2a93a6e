#include "executor/git_protocol.hpp"

#include <algorithm>
#include <string_view>
#include <type_traits>

#include "config/quoted_path.hpp"

namespace flow_runner {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

bool needs_quotes(std::string_view path) {
  return !is_utf8(path) || std::any_of(path.begin(), path.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
}

// Text that is no path (a message, a warning): what is not UTF-8 becomes U+FFFD rather than a throw in
// dump().
std::string printable(const std::string& text) {
  if (is_utf8(text)) return text;
  const std::string dumped = json(text).dump(-1, ' ', false, json::error_handler_t::replace);
  return json::parse(dumped).get<std::string>();
}

// Collects an object's paths first, for one that needs quotes quotes them all.
class Writer {
 public:
  Writer& path(const char* name, std::string value) {
    quoted_ = quoted_ || needs_quotes(value);
    paths_.emplace_back(name, std::move(value));
    return *this;
  }
  Writer& paths(const char* name, const std::vector<std::string>& values) {
    quoted_ = quoted_ || std::any_of(values.begin(), values.end(), needs_quotes);
    lists_.emplace_back(name, values);
    return *this;
  }
  template <class T>
  Writer& value(const char* name, const T& value) {
    object_[name] = value;
    return *this;
  }
  Writer& text(const char* name, const std::string& value) {
    object_[name] = printable(value);
    return *this;
  }
  Writer& texts(const char* name, const std::vector<std::string>& values) {
    json list = json::array();
    for (const auto& value : values) list.push_back(printable(value));
    object_[name] = std::move(list);
    return *this;
  }
  json done() {
    for (const auto& [name, value] : paths_) object_[name] = shown(value);
    for (const auto& [name, values] : lists_) {
      json list = json::array();
      for (const auto& value : values) list.push_back(shown(value));
      object_[name] = std::move(list);
    }
    if (quoted_) object_["quoted"] = true;
    return std::move(object_);
  }

 private:
  [[nodiscard]] std::string shown(const std::string& path) const {
    return quoted_ ? quote_path(path) : path;
  }

  json object_ = json::object();
  std::vector<std::pair<const char*, std::string>> paths_;
  std::vector<std::pair<const char*, std::vector<std::string>>> lists_;
  bool quoted_ = false;
};

// Reads fields one by one and keeps the first failure.
class Reader {
 public:
  explicit Reader(const json& object) : object_(object) {
    if (!object.is_object()) {
      fail("git worker: an object was expected");
      return;
    }
    if (const auto found = object.find("quoted"); found != object.end()) {
      if (found->is_boolean()) quoted_ = found->get<bool>();
      else fail("git worker: the field 'quoted' must be a boolean");
    }
  }

  template <class T>
  Reader& value(const char* name, T& into) {
    if (const json* field = find(name)) convert(name, *field, into);
    return *this;
  }
  template <class T>
  Reader& optional(const char* name, std::optional<T>& into) {
    if (error_ || !object_.contains(name) || object_[name].is_null()) return *this;
    convert(name, object_[name], into.emplace());
    return *this;
  }
  Reader& path(const char* name, std::string& into) {
    if (const json* field = find(name)) convert_path(name, *field, into);
    return *this;
  }
  Reader& path(const char* name, fs::path& into) {
    std::string raw;
    path(name, raw);
    into = std::move(raw);
    return *this;
  }
  Reader& paths(const char* name, std::vector<std::string>& into) {
    const json* field = find(name);
    if (field == nullptr) return *this;
    if (!field->is_array()) return mistyped(name, "a list of paths");
    for (const auto& element : *field) convert_path(name, element, into.emplace_back());
    return *this;
  }
  /// A list of objects, read by `read(element) -> Result<T>`.
  template <class T, class Read>
  Reader& list(const char* name, std::vector<T>& into, Read read) {
    const json* field = find(name);
    if (field == nullptr) return *this;
    if (!field->is_array()) return mistyped(name, "a list");
    for (const auto& element : *field) {
      Result<T> one = read(element);
      if (!one) {
        error_ = one.error();
        return *this;
      }
      into.push_back(std::move(*one));
    }
    return *this;
  }
  Reader& fail(std::string message) {
    if (!error_) error_ = Error{ErrorCode::invalid_input, std::move(message)};
    return *this;
  }

  template <class T>
  Result<T> done(T& value) {
    if (error_) return *error_;
    return std::move(value);
  }

 private:
  const json* find(const char* name) {
    if (error_) return nullptr;
    const auto found = object_.find(name);
    if (found == object_.end()) {
      fail(std::string("git worker: the field '") + name + "' is missing");
      return nullptr;
    }
    return &*found;
  }
  Reader& mistyped(const char* name, const char* wanted) {
    return fail(std::string("git worker: the field '") + name + "' must be " + wanted);
  }
  void convert(const char* name, const json& field, std::string& into) {
    if (!field.is_string()) mistyped(name, "a string");
    else into = field.get<std::string>();
  }
  void convert(const char* name, const json& field, bool& into) {
    if (!field.is_boolean()) mistyped(name, "a boolean");
    else into = field.get<bool>();
  }
  void convert(const char* name, const json& field, std::vector<std::string>& into) {
    if (!field.is_array()) {
      mistyped(name, "a list of strings");
      return;
    }
    for (const auto& element : field) convert(name, element, into.emplace_back());
  }
  template <class Integer>
    requires(std::is_integral_v<Integer>)
  void convert(const char* name, const json& field, Integer& into) {
    if (!field.is_number_integer() || (std::is_unsigned_v<Integer> && !field.is_number_unsigned())) {
      mistyped(name, std::is_unsigned_v<Integer> ? "a whole number, not negative"
                                                 : "a whole number");
      return;
    }
    into = field.get<Integer>();
  }
  void convert_path(const char* name, const json& field, std::string& into) {
    convert(name, field, into);
    if (error_ || !quoted_) return;
    auto raw = unquote_path(into);
    if (!raw) {
      mistyped(name, "a C-quoted path");
      return;
    }
    into = std::move(*raw);
  }

  const json& object_;
  bool quoted_ = false;
  std::optional<Error> error_;
};

json change_to_json(const Change& change) {
  return Writer()
      .path("path", change.path)
      .value("status", std::string(1, static_cast<char>(change.status)))
      .value("lfs", change.lfs)
      .done();
}

Result<Change> change_from_json(const json& object) {
  Change change;
  std::string status;
  Reader reader(object);
  reader.path("path", change.path).value("status", status).value("lfs", change.lfs);
  if (status.size() != 1 || std::string_view("AMDT").find(status[0]) == std::string_view::npos) {
    reader.fail("git worker: the field 'status' must be A, M, D or T");
  } else {
    change.status = static_cast<ChangeStatus>(status[0]);
  }
  return reader.done(change);
}

json changes_to_json(const std::vector<Change>& changes) {
  json list = json::array();
  for (const auto& change : changes) list.push_back(change_to_json(change));
  return list;
}

using KeptRef = std::pair<std::string, std::string>;

// A ref's name may be any bytes: it is written as a path.
json kept_ref_to_json(const KeptRef& ref) {
  return Writer().path("ref", ref.first).value("commit", ref.second).done();
}

Result<KeptRef> kept_ref_from_json(const json& object) {
  KeptRef ref;
  return Reader(object).path("ref", ref.first).value("commit", ref.second).done(ref);
}

}  // namespace

json to_json(const SnapshotRequest& request) {
  return Writer()
      .path("mirror", request.mirror)
      .value("commit", request.commit)
      .path("directory", request.directory)
      .path("base", request.base)
      .done();
}

template <>
Result<SnapshotRequest> from_json(const json& object) {
  SnapshotRequest request;
  return Reader(object)
      .path("mirror", request.mirror)
      .value("commit", request.commit)
      .path("directory", request.directory)
      .path("base", request.base)
      .done(request);
}

json to_json(const SnapshotInfo& info) {
  return Writer()
      .value("version", info.version)
      .value("commit", info.commit)
      .value("base_commit", info.base_commit)
      .value("files", info.files)
      .value("bytes", info.bytes)
      .paths("submodules", info.submodules)
      .value("lfs", info.lfs)
      .done();
}

template <>
Result<SnapshotInfo> from_json(const json& object) {
  SnapshotInfo info;
  return Reader(object)
      .value("version", info.version)
      .value("commit", info.commit)
      .value("base_commit", info.base_commit)
      .value("files", info.files)
      .value("bytes", info.bytes)
      .paths("submodules", info.submodules)
      .value("lfs", info.lfs)
      .done(info);
}

json to_json(const CaptureRequest& request) {
  return Writer()
      .path("mirror", request.mirror)
      .path("repository", request.repository)
      .value("include_untracked", request.include_untracked)
      .done();
}

template <>
Result<CaptureRequest> from_json(const json& object) {
  CaptureRequest request;
  return Reader(object)
      .path("mirror", request.mirror)
      .path("repository", request.repository)
      .value("include_untracked", request.include_untracked)
      .done(request);
}

json to_json(const CaptureInfo& info) {
  return Writer()
      .value("head", info.head)
      .value("commit", info.commit)
      .paths("dirty_paths", info.dirty_paths)
      .value("dirty_count", info.dirty_count)
      .done();
}

template <>
Result<CaptureInfo> from_json(const json& object) {
  CaptureInfo info;
  return Reader(object)
      .value("head", info.head)
      .value("commit", info.commit)
      .paths("dirty_paths", info.dirty_paths)
      .value("dirty_count", info.dirty_count)
      .done(info);
}

json to_json(const TakeOverRequest& request) {
  Writer writer;
  writer.path("mirror", request.mirror)
      .path("merged", request.merged)
      .path("upper", request.upper)
      .path("quarantine", request.quarantine)
      .value("base", request.base)
      .text("author", request.author)
      .text("committer", request.committer)
      .text("message", request.message)
      .value("time", request.time)
      .value("max_object_bytes", request.max_object_bytes)
      .value("max_total_bytes", request.max_total_bytes)
      .value("confine", request.confine);
  if (request.author_override) writer.text("author_override", *request.author_override);
  if (request.committer_override) writer.text("committer_override", *request.committer_override);
  return writer.done();
}

template <>
Result<TakeOverRequest> from_json(const json& object) {
  TakeOverRequest request;
  return Reader(object)
      .path("mirror", request.mirror)
      .path("merged", request.merged)
      .path("upper", request.upper)
      .path("quarantine", request.quarantine)
      .value("base", request.base)
      .value("author", request.author)
      .value("committer", request.committer)
      .value("message", request.message)
      .value("time", request.time)
      .value("max_object_bytes", request.max_object_bytes)
      .value("max_total_bytes", request.max_total_bytes)
      .value("confine", request.confine)
      .optional("author_override", request.author_override)
      .optional("committer_override", request.committer_override)
      .done(request);
}

json to_json(const ChangeSet& set) {
  json kept = json::array();
  for (const auto& ref : set.kept_refs) kept.push_back(kept_ref_to_json(ref));
  return Writer()
      .value("base", set.base)
      .value("head", set.head)
      .value("agent_commits", set.agent_commits)
      .value("own_commit", set.own_commit)
      .value("changes", changes_to_json(set.changes))
      .value("kept_refs", kept)
      .texts("warnings", set.warnings)
      .text("repository_broken", set.repository_broken)
      .done();
}

template <>
Result<ChangeSet> from_json(const json& object) {
  ChangeSet set;
  return Reader(object)
      .value("base", set.base)
      .value("head", set.head)
      .value("agent_commits", set.agent_commits)
      .value("own_commit", set.own_commit)
      .list("changes", set.changes, change_from_json)
      .list("kept_refs", set.kept_refs, kept_ref_from_json)
      .value("warnings", set.warnings)
      .value("repository_broken", set.repository_broken)
      .done(set);
}

json to_json(const ReplayRequest& request) {
  return Writer()
      .path("quarantine", request.quarantine)
      .value("base", request.base)
      .value("head", request.head)
      .value("onto", request.onto)
      .done();
}

template <>
Result<ReplayRequest> from_json(const json& object) {
  ReplayRequest request;
  return Reader(object)
      .path("quarantine", request.quarantine)
      .value("base", request.base)
      .value("head", request.head)
      .value("onto", request.onto)
      .done(request);
}

json to_json(const ReplayInfo& info) {
  return Writer()
      .value("head", info.head)
      .paths("conflicts", info.conflicts)
      .text("reason", info.reason)
      .done();
}

template <>
Result<ReplayInfo> from_json(const json& object) {
  ReplayInfo info;
  return Reader(object)
      .value("head", info.head)
      .paths("conflicts", info.conflicts)
      .value("reason", info.reason)
      .done(info);
}

json to_json(const DiffRequest& request) {
  return Writer()
      .path("repository", request.repository)
      .value("old_commit", request.old_commit)
      .value("new_commit", request.new_commit)
      .value("max_bytes", request.max_bytes)
      .value("text", request.text)
      .done();
}

template <>
Result<DiffRequest> from_json(const json& object) {
  DiffRequest request;
  return Reader(object)
      .path("repository", request.repository)
      .value("old_commit", request.old_commit)
      .value("new_commit", request.new_commit)
      .value("max_bytes", request.max_bytes)
      .value("text", request.text)
      .done(request);
}

json to_json(const DiffInfo& info) {
  return Writer()
      .value("bytes", info.bytes)
      .value("changes", changes_to_json(info.changes))
      .done();
}

template <>
Result<DiffInfo> from_json(const json& object) {
  DiffInfo info;
  return Reader(object)
      .value("bytes", info.bytes)
      .list("changes", info.changes, change_from_json)
      .done(info);
}

json to_json(const ApplyRequest& request) {
  return Writer()
      .path("repository", request.repository)
      .value("old_commit", request.old_commit)
      .value("new_commit", request.new_commit)
      .path("work_tree", request.work_tree)
      .value("dry_run", request.dry_run)
      .done();
}

template <>
Result<ApplyRequest> from_json(const json& object) {
  ApplyRequest request;
  return Reader(object)
      .path("repository", request.repository)
      .value("old_commit", request.old_commit)
      .value("new_commit", request.new_commit)
      .path("work_tree", request.work_tree)
      .value("dry_run", request.dry_run)
      .done(request);
}

json to_json(const ApplyInfo& info) {
  return Writer()
      .value("changes", changes_to_json(info.changes))
      .paths("conflicts", info.conflicts)
      .done();
}

template <>
Result<ApplyInfo> from_json(const json& object) {
  ApplyInfo info;
  return Reader(object)
      .list("changes", info.changes, change_from_json)
      .paths("conflicts", info.conflicts)
      .done(info);
}

}  // namespace flow_runner
