// JobNamespaces: a job's user and network namespace, made before its container by ourselves.
#pragma once

#include "config/flow.hpp"
#include "config/result.hpp"
#include "sandbox/descriptor.hpp"
#include "sandbox/id_map.hpp"

namespace flow_runner {

enum class JobNetwork {
  shared,        ///< none of its own: the caller's
  isolated,      ///< `lo` only, up; no way out
  with_listener  ///< as isolated, and a socket in it that the caller accepts from
};

/// The namespaces live as long as a descriptor, a mount or a process holds them.
struct JobNamespaces {
  Descriptor user;
  Descriptor network;   ///< empty when shared
  Descriptor listener;  ///< listens on 127.0.0.1:proxy_port_in_job, non-blocking; else empty
};

/// The user namespace belongs to the job's own root (`ids.outside`), not to the caller: what a job
/// uses up of the kernel's per-user objects (inotify instances, watches, pipes) is counted to its
/// own user. The network namespace belongs to that user namespace, so a sysfs mounted in the
/// container shows only it. Needs CAP_SETUID, CAP_SETGID and CAP_SYS_ADMIN over `ids`. Takes 1–2
/// ms.
Result<JobNamespaces> make_job_namespaces(const IdMapping& ids, JobNetwork network);

}  // namespace flow_runner
