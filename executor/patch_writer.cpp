#include "executor/patch_writer.hpp"

#include "sandbox/descriptor.hpp"

namespace flow_runner {

void PatchWriter::bytes(std::string_view bytes) {
  masker_.write(bytes, masked_);
  put();
}

Result<void> PatchWriter::finish() {
  masker_.flush(masked_);
  put();
  if (error_) return *error_;
  return {};
}

void PatchWriter::put() {
  if (!error_)
    if (auto written = write_all(fd_, masked_); !written) error_ = written.error();
  masked_.clear();
}

}  // namespace flow_runner
