#!/bin/sh
# Holds MEGABYTES (default 8192) of memory, growing; says so if it got it all.
# eats_memory.sh [MEGABYTES]
# tail keeps the last line of its input, and this input is one line.
head -c "$((${1:-8192} * 1048576))" /dev/zero | tail -n 1 >/dev/null && echo "got it all"
