#!/bin/sh
# Writes MEGABYTES (default 200) of output as fast as it can, then a last line.
# floods_output.sh [MEGABYTES]
yes 'a line of no interest at all, repeated until it fills whatever holds it' |
  head -c "$((${1:-200} * 1048576))"
echo
echo "flood over"
