#!/bin/sh
# Takes out of a virtual environment what a running server never opens: installers, tests, type stubs, tools of
# onnxruntime that convert and quantise models. Byte code is written once here, as the pod's file system is read-only.
set -eu
venv=$1
site=$(echo "$venv"/lib/python3.*/site-packages)

for tool in pip setuptools wheel pkg_resources; do
  rm -rf "$site/$tool" "$site/$tool"-*.dist-info
done
rm -f "$venv"/bin/pip* "$venv"/bin/wheel*
rm -rf "$site"/onnxruntime/transformers "$site"/onnxruntime/quantization "$site"/onnxruntime/tools "$site"/onnxruntime/datasets
rm -rf "$site"/numpy/f2py "$site"/numpy/_core/lib "$site"/numpy/_core/include "$site"/numpy/random/lib
rm -f "$site"/fastapi_offline/static/redoc.standalone.js
find "$site" -depth -type d \( -name tests -o -name test -o -name __pycache__ \) -exec rm -rf {} +
find "$site" -type f \( -name '*.pyi' -o -name '*.a' -o -name '*.c' -o -name '*.h' -o -name '*.pxd' -o -name '*.pyx' \) -delete
"$venv/bin/python" -m compileall -q -j 0 "$site"
