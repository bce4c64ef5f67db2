"""Do the examples' objects say what the examples' training does?"""

from pathlib import Path

import pytest
import yaml
from loadline_contracts.model_uri import RegisteredAlias, parse_model_uri
from loadline_contracts.modeldeployment import ModelDeployment

EXAMPLES = Path(__file__).parents[3] / "examples"
FOLDERS = sorted(path.parent for path in EXAMPLES.glob("*/modeldeployment.yaml"))


def test_there_are_two_examples() -> None:
    assert [folder.name for folder in FOLDERS] == ["breast_cancer", "digits"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_an_example_serves_the_alias_that_its_training_sets(folder: Path) -> None:
    found = ModelDeployment.model_validate(yaml.safe_load((folder / "modeldeployment.yaml").read_text()))
    reference = parse_model_uri(found.spec.model.uri, found.spec.model.sha256)
    assert reference == RegisteredAlias(name=found.metadata.name, alias="champion")
    assert f'main("{found.metadata.name}", train, Path(__file__))' in (folder / "train.py").read_text()
