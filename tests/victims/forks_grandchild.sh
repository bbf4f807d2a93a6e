#!/bin/sh
# Leaves a grandchild in a session of its own that outlives the script, and holds its stdout open.
# forks_grandchild.sh [SECONDS]
setsid sh -c "trap '' TERM HUP; sleep ${1:-1000}" &
echo "left $!"
exit 0
