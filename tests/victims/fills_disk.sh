#!/bin/sh
# Writes MEGABYTES (default 1024) into FOLDER (default /tmp) and says whether it could.
# fills_disk.sh [MEGABYTES] [FOLDER]
if dd if=/dev/zero of="${2:-/tmp}/fill" bs=1048576 count="${1:-1024}" 2>/dev/null; then
  echo "filled"
else
  echo "refused"
fi
