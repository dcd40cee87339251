"python -m easing_fastai is the command line. By hand: nbdev exports no module of this name."
import sys

# `python -m` puts the working folder before everything else: a random.py there would be taken for Python's own
if not sys.flags.safe_path: del sys.path[0]

from easing_fastai.cli import main # noqa: E402

main()
