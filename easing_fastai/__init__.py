__version__ = "0.1.0"


# By hand: nbdev writes the version above and leaves the rest alone.
def load_ipython_extension(shell):
    "`%load_ext easing_fastai` in a notebook calls this."
    from .magics import add_magics
    add_magics(shell)
