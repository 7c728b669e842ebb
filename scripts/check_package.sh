#!/usr/bin/env bash
# Proves the package: the sdist holds what git tracks, a wheel builds from it alone, and from an
# environment that has only this wheel `import flare` is quick and a small demo runs. The packages
# that flare depends on are lent by .venv (of `make dev`), so nothing is downloaded.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/${VENV:-.venv}/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PATH=$bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1

"$bin/python" -m build --sdist --no-isolation --outdir "$work" . > /dev/null
tar tzf "$work"/flare_rl-*.tar.gz | sed 's#^[^/]*/##' | grep -v '^PKG-INFO$' | LC_ALL=C sort > "$work/packed"
git ls-files | LC_ALL=C sort > "$work/tracked"
diff "$work/tracked" "$work/packed"

"$bin/python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir "$work" \
  --config-settings=cmake.define.FLARE_WERROR=ON \
  "$work"/flare_rl-*.tar.gz
"$bin/python" -m venv --without-pip "$work/venv"
"$bin/python" -m pip --python "$work/venv/bin/python" install --quiet --no-deps "$work"/*.whl
lent=$("$bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
# A path in a .pth file lends the packages there, but not the editable flare, which is a .pth too.
echo "$lent" > "$("$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/lent.pth"

cd "$work"
venv/bin/python - << 'PROGRAM'
import subprocess, sys, time
import flare, flare.kernels, flare.worlds.embedded
assert all(m.__file__.startswith(sys.prefix) for m in (flare, flare.kernels, flare.worlds.embedded))
def seconds(code):
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begin
bare, ours = (min(seconds(code) for _ in range(5)) for code in ("pass", "import flare"))
print(f"import flare: {ours - bare:.3f} s")
assert ours - bare < 0.3
PROGRAM
venv/bin/flare demo --runs runs --name packaged --num-train-houses 4 --num-val-houses 2 \
  --num-demonstrations 12 --num-eval-episodes 4 --num-envs 4 --finetune-steps 512 --num-threads 1 \
  --encoder.num-views 128 --imitation.num-epochs 1
test -s runs/packaged/report.html
