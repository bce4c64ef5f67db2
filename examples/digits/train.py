"""How does a torch model come to be served?

`python -m examples.digits.train --tracking-uri URL` trains a small convolutional net on the digits that
scikit-learn brings along, exports it to ONNX, and registers it as `digits`.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from examples.registering import Trained, main

INPUT, OUTPUT = "image", "probabilities"
EPOCHS = 20
BATCH = 128


def network() -> nn.Module:
    """Two convolutions, a pooling, a linear layer: 8x8 grey values in, ten probabilities out."""
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, 10),
        nn.Softmax(dim=1),
    )


def train(seed: int) -> Trained:
    """Fit the net and export it."""
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(mode=True)
    # So small a net is slower on more threads, and the order of its sums would depend on their number.
    torch.set_num_threads(1)
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[:, np.newaxis]
    seen, rows, labels, expected = train_test_split(
        images, digits.target, test_size=0.25, random_state=seed, stratify=digits.target
    )
    net = network()
    fit(net, torch.from_numpy(seen), torch.from_numpy(labels))
    with torch.no_grad():
        predictions = net(torch.from_numpy(rows)).numpy()
    return Trained(
        model=export(net, torch.from_numpy(rows[:2])),
        input=INPUT,
        output=OUTPUT,
        rows=rows,
        predictions=predictions,
        accuracy=float((predictions.argmax(axis=1) == expected).mean()),
    )


def fit(net: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Minimise the cross entropy, in shuffled batches."""
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(BATCH):
            optimiser.zero_grad()
            loss = nn.functional.nll_loss(net(images[batch]).clamp_min(1e-9).log(), labels[batch])
            loss.backward()
            optimiser.step()
    net.eval()


def export(net: nn.Module, example: torch.Tensor) -> onnx.ModelProto:
    """The net as ONNX, for batches of any size."""
    program = torch.onnx.export(
        net,
        (example,),
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise SystemExit("torch exported nothing")
    return program.model_proto


if __name__ == "__main__":
    main("digits", train, Path(__file__))
