#include "executor/masked_output.hpp"

namespace flow_runner {

void mask_result(JobResult& result, const MaskerPatterns& patterns) {
  for (std::string* text : {&result.message, &result.project, &result.job_url, &result.flow_path,
                            &result.image_name, &result.pushed_ref})
    *text = mask_text(patterns, *text);
  for (std::string& warning : result.warnings) warning = mask_text(patterns, warning);
  for (Change& change : result.changes) change.path = mask_text(patterns, change.path);
}

void mask_strings(nlohmann::json& data, const MaskerPatterns& patterns) {
  if (data.is_string())
    data = mask_text(patterns, data.get_ref<const std::string&>());
  else if (data.is_structured())
    for (nlohmann::json& item : data) mask_strings(item, patterns);
}

}  // namespace flow_runner
