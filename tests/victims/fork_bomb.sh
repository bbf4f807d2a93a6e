#!/bin/sh
# Starts processes until it may not, at most LIMIT (default 20000); then says how many there were.
# fork_bomb.sh [LIMIT]
limit=${1:-20000}
started=0
while [ "$started" -lt "$limit" ]; do
  # A shell whose fork fails ends with a message: the subshell keeps that from ending the count.
  (sleep 1000 &) 2>/dev/null || break
  started=$((started + 1))
done
echo "started $started"
