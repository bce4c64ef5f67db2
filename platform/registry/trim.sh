#!/bin/sh
# Takes out of a virtual environment what a running registry never opens, and writes byte code once: the pod's file
# system is read-only, and without it every start would compile MLflow anew.
set -eu
venv=$1
site=$(echo "$venv"/lib/python3.*/site-packages)

for tool in pip setuptools wheel pkg_resources; do
  rm -rf "$site/$tool" "$site/$tool"-*.dist-info
done
rm -f "$venv"/bin/pip* "$venv"/bin/wheel*
find "$site" -depth -type d \( -name tests -o -name __pycache__ \) -exec rm -rf {} +
find "$site" -type f \( -name '*.pyi' -o -name '*.js.map' \) -delete
"$venv/bin/python" -m compileall -q -j 0 "$site"
