"Real images made on the spot, in colour and of different sizes: cuttings from the two photographs that scikit-learn brings."
import random
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_sample_image

WHERE = {'sky': ('china.jpg', (330, 0, 640, 130)), 'temple': ('china.jpg', (90, 120, 330, 330)), 'flower': ('flower.jpg', (190, 100, 430, 340))}


def cuttings(label: str, n: int, seed: int = 0) -> list[Image.Image]:
    "Square pieces of one thing on a photograph."
    name, (left, top, right, bottom) = WHERE[label]
    photo, rng, pieces = Image.fromarray(load_sample_image(name)), random.Random(f'{label} {seed}'), []
    for _ in range(n):
        side = rng.choice((32, 40, 48))
        x, y = rng.randint(left, right - side), rng.randint(top, bottom - side)
        pieces.append(photo.crop((x, y, x + side, y + side)))
    return pieces


def class_folders(path: Path, n: int = 20, seed: int = 0, suffix: str = '.jpg') -> Path:
    "A folder per class."
    for label in WHERE:
        (path / label).mkdir(parents=True)
        for i, piece in enumerate(cuttings(label, n, seed)):
            piece.save(path / label / f'{i:02d}{suffix}')
    return path


def names(path: Path, n: int = 6) -> Path:
    "One folder, labels in the names, PNG."
    path.mkdir(parents=True)
    for label in WHERE:
        for i, piece in enumerate(cuttings(label, n)):
            piece.save(path / f'{label} ({i}).png')
    return path
