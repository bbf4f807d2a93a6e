#include <unistd.h>

#include "executor/git_worker_main.hpp"

int main() { return flow_runner::git_worker_main(STDIN_FILENO, STDOUT_FILENO); }
