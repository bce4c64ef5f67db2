#!/bin/sh
# Takes out of a virtual environment what the operator never opens: installers, tests, type stubs, and the second,
# asynchronous copy of the Kubernetes client, which is half of it. Byte code is written once here, as the pod's file
# system is read-only; the client's thousands of models, which stay unused, are left without.
set -eu
venv=$1
site=$(echo "$venv"/lib/python3.*/site-packages)

for tool in pip setuptools wheel pkg_resources; do
  rm -rf "$site/$tool" "$site/$tool"-*.dist-info
done
rm -f "$venv"/bin/pip* "$venv"/bin/wheel*
rm -rf "$site/kubernetes/aio" "$site"/_distutils_hack "$site"/distutils-precedence.pth
find "$site" -depth -type d \( -name tests -o -name test -o -name __pycache__ \) -exec rm -rf {} +
find "$site" -type f \( -name '*.pyi' -o -name '*.a' -o -name '*.c' -o -name '*.h' -o -name '*.pxd' -o -name '*.pyx' \) -delete
"$venv/bin/python" -m compileall -q -j 0 -x 'kubernetes/client/(api|models)/' "$site"
