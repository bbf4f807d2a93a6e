// The program flow-runner.
#include "daemon/cli/app.hpp"

int main(int argc, char** argv) { return flow_runner::cli::run(argc, argv); }
