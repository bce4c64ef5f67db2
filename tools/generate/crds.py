"""Which CustomResourceDefinitions follow from the contracts?

``python tools/generate/crds.py`` writes them to ``crds/`` and, for Helm, to ``charts/loadline/files/crds/``.
"""

from pathlib import Path
from typing import Final

import yaml
from loadline_contracts.crd import model_deployment_crd

ROOT: Final = Path(__file__).resolve().parents[2]
HEADER: Final = "# Generated from platform/contracts by `make generate`: change the model, not this file.\n"


def main() -> None:
    """Write each CRD to every place that holds a copy."""
    text = HEADER + yaml.safe_dump(model_deployment_crd(), sort_keys=False, width=110, allow_unicode=True)
    for directory in (ROOT / "crds", ROOT / "charts/loadline/files/crds"):
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "modeldeployments.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
