// What the prober is told of the world outside of its sandbox: names of environment variables, and
// the addresses at which that world listens.
#pragma once

namespace flow_runner::probe_facts {

inline constexpr const char* tcp_port = "PROBE_TCP_PORT";        ///< at every address below
inline constexpr const char* udp_port = "PROBE_UDP_PORT";        ///< answers what it is sent
inline constexpr const char* abstract_name = "PROBE_ABSTRACT";   ///< of a listening unix socket
inline constexpr const char* socket_path = "PROBE_SOCKET";       ///< of another
inline constexpr const char* secret_name = "PROBE_SECRET_NAME";  ///< set in the runner, not for jobs
inline constexpr const char* pid_namespace = "PROBE_PID_NAMESPACE";  ///< the runner's, as readlink(2)
inline constexpr const char* queue_key = "PROBE_QUEUE_KEY";          ///< of a System V queue
inline constexpr const char* memory_bytes = "PROBE_MEMORY";          ///< the limits that hold
inline constexpr const char* tasks = "PROBE_TASKS";
inline constexpr const char* file_bytes = "PROBE_FILE_BYTES";
inline constexpr const char* tmp_bytes = "PROBE_TMP_BYTES";
inline constexpr const char* disk_bytes = "PROBE_DISK_BYTES";

inline constexpr const char* outside = "192.0.2.1";
inline constexpr const char* outside_v6 = "2001:db8::1";
inline constexpr const char* metadata = "169.254.169.254";
inline constexpr int dns_port = 53;      ///< at `outside` and 127.0.0.1; answers anything
inline constexpr int proxy_port = 3128;  ///< at 127.0.0.1, a proxy that allows everything

/// Names (comm) of two processes outside.
inline constexpr const char* victim_name = "probe-victim";
inline constexpr const char* runner_name = "probe-runner";

}  // namespace flow_runner::probe_facts
