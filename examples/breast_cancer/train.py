"""How does a scikit-learn model come to be served?

`python -m examples.breast_cancer.train --tracking-uri URL` trains gradient boosting on the breast-cancer table that
scikit-learn brings along, converts it to ONNX, and registers it as `breast-cancer`.
"""

from pathlib import Path

import numpy as np
import onnx
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.model_selection import train_test_split

from examples.registering import Trained, main

INPUT, OUTPUT = "features", "probabilities"


def train(seed: int) -> Trained:
    """Fit the model and convert it."""
    table = load_breast_cancer()
    # Serving works with 32-bit numbers, so training sees the same ones.
    features = table.data.astype(np.float32)
    seen, rows, labels, expected = train_test_split(
        features, table.target, test_size=0.25, random_state=seed, stratify=table.target
    )
    classifier = GradientBoostingClassifier(random_state=seed).fit(seen, labels)
    model = to_onnx(classifier, seen[:1], options={"zipmap": False}, target_opset=17)
    name_input(model)
    return Trained(
        model=model,
        input=INPUT,
        output=OUTPUT,
        rows=rows,
        predictions=classifier.predict_proba(rows).astype(np.float32),
        accuracy=float(classifier.score(rows, expected)),
    )


def name_input(model: onnx.ModelProto) -> None:
    """Give the input a name that callers understand: the converter's is `X`."""
    (given,) = model.graph.input
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == given.name:
                node.input[index] = INPUT
    given.name = INPUT


if __name__ == "__main__":
    main("breast-cancer", train, Path(__file__))
