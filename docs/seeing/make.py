"""Draws the pictures of docs/seeing.md, in about 20 seconds: `python docs/seeing/make.py RUN`.

RUN is the folder of a training: `deepcore train --model lenet --data digits --epochs 12 --seed 0 --out RUN`.
"""

import sys
from pathlib import Path

import deepcore as dc
from deepcore import data
from deepcore.train.predict import Classifier

HERE = Path(__file__).parent


def fruit(apple, apples, orange, oranges, tax):
    """What two kinds of fruit cost with tax."""
    return (apple * apples + orange * oranges) * tax


def draw(figure, name):
    """One picture of the page, with fewer pixels than usual: the file stays small."""
    dc.viz.save(figure, HERE / name, dpi=75)


def main(run: str) -> None:
    """Every picture of the page."""
    apples = dc.viz.graph(lambda apple, number, tax: apple * number * tax, apple=100, number=2, tax=1.1)
    apples.save(HERE / "apples.svg")
    dc.viz.graph(fruit, apple=100, apples=2, orange=150, oranges=3, tax=1.1).save(HERE / "fruit.svg")

    draw(dc.viz.curves(run), "curves.svg")
    trained = Classifier(run)
    _, test = data.load("digits")
    images = trained.normalize(dc.tensor(test.images))
    with dc.no_grad():
        predictions = trained.model(images).argmax(dim=1).numpy()
    draw(dc.viz.confusion_matrix(test.labels, predictions, test.classes), "confusion.svg")
    draw(dc.viz.filters(trained.model), "filters.png")
    draw(dc.viz.feature_maps(trained.model, images[:1], "features.0"), "maps.png")

    for activation in ("sigmoid", "relu"):
        draw(dc.viz.initializers(activation), f"{activation}.png")
    draw(dc.viz.initializers("relu", "gradients"), "relu_gradients.png")
    draw(dc.viz.optimizer_paths(), "paths.png")


if __name__ == "__main__":
    main(sys.argv[1])
