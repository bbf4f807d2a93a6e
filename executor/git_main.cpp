#include <unistd.h>

#include "executor/git_worker_main.hpp"

// Without exit handlers: a confined process may not do what they want to (a leak checker's
// tracing), and freeing memory just before the end is time that a job waits for.
int main() { ::_exit(flow_runner::git_worker_main(STDIN_FILENO, STDOUT_FILENO)); }
