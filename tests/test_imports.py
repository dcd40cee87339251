"What is imported, and so what it costs to begin: names of packages, not seconds."
from conftest import cold_start

NEW = """
import sys
{before}
before = set(sys.modules)
{then}
print(*sorted({{name.split('.')[0] for name in set(sys.modules) - before}} - set(sys.stdlib_module_names)))
"""


def new_packages(then: str, before: str = '') -> set[str]:
    done = cold_start('-c', NEW.format(before=before, then=then))
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_front_door_adds_little_to_fastai():
    # asttokens, jinja2 (with markupsafe), packaging, pygments, rich and safetensors are small; pillow_heif is
    # there where the extra heic is; of PIL comes the reader of BMP, which the first image that is opened loads anyway;
    # anything else that comes here has to be looked at
    added = new_packages('import easing_fastai.core', before='from fastai.vision.all import *')
    assert 'easing_fastai' in added
    assert added - {p for p in added if p.startswith('__editable__')} <= {'asttokens', 'easing_fastai', 'jinja2', 'markupsafe', 'packaging', 'PIL', 'pillow_heif', '_pillow_heif', 'pygments', 'rich', 'safetensors'}


def test_help_imports_only_what_draws_it():
    run = "import runpy\nsys.argv = ['easing-fastai', '--help']\ntry: runpy.run_module('easing_fastai', run_name='__main__')\nexcept SystemExit: pass"
    added = new_packages('import io, contextlib\nwith contextlib.redirect_stdout(io.StringIO()):\n    ' + run.replace('\n', '\n    '))
    assert 'typer' in added
    assert not added & {'torch', 'torchvision', 'fastai', 'fastcore', 'numpy', 'pandas', 'matplotlib', 'PIL', 'nbformat', 'nbconvert', 'nbclient'}


def test_scripts_need_no_ipython():
    modules = 'easing_fastai.core, easing_fastai.chapters.show_results, easing_fastai.images.own_digit, easing_fastai.train.train'
    new_packages(f'import {modules}', before="sys.modules['IPython'] = None")
