#!/bin/sh
# Goes on after TERM, INT and HUP: only KILL ends it. Says when it is ready.
trap '' TERM INT HUP
echo ready
while :; do sleep 1; done
