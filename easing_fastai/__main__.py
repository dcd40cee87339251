"python -m easing_fastai is the command line. By hand: nbdev exports no module of this name."
from easing_fastai.cli import main

main()
