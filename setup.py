"Hands settings.ini to setuptools; name, description and addresses are static in pyproject.toml."
from configparser import ConfigParser
from pathlib import Path
import re

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

here = Path(__file__).parent
settings = ConfigParser(delimiters=['='], interpolation=None)
settings.read(here / 'settings.ini', encoding='utf-8')
config = settings['DEFAULT']


def lines(field: str) -> list[str]:
    "The non-empty lines of a multi-line field."
    return [line.strip() for line in config[field].splitlines() if line.strip()]


version = re.search(r'__version__ = "(.+)"', (here / 'easing_fastai' / '__init__.py').read_text(encoding='utf-8'))[1]
extras = {extra: lines(f'{extra}_requirements') for extra in ('lab', 'photos', 'heic', 'serve')}
pythons = [f'Programming Language :: Python :: 3.{minor}' for minor in range(11, 15)]

# Of dev, what the command line and the notebooks import; the rest makes the repository and stays there.
FOR_READERS = {'__init__', 'kernels', 'lab', 'page', 'run', 'site_home'}


class BuildForReaders(build_py):
    "A wheel without the modules that only developers need."

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple]:
        found = super().find_package_modules(package, package_dir)
        return [module for module in found if package != 'easing_fastai.dev' or module[1] in FOR_READERS]


setup(
    cmdclass={'build_py': BuildForReaders},
    version=version,
    author=config['author'],
    license_expression=config['license'],
    keywords=config['keywords'].split(),
    python_requires=f">={config['min_python']}",
    classifiers=[
        f"Development Status :: {config['status']}",
        f"Intended Audience :: {config['audience']}",
        *pythons,
    ],
    install_requires=lines('requirements'),
    extras_require={**extras, 'dev': lines('dev_requirements') + sum(extras.values(), [])},
    entry_points={
        'console_scripts': lines('console_scripts'),
        'nbdev': ['easing_fastai = easing_fastai._modidx:d'],  # so that other nbdev projects can link to our pages
    },
    long_description=(here / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    # The notebooks travel with the package, so that `easing-fastai run` works without a clone.
    packages=[*find_packages(include=['easing_fastai*']), 'easing_fastai.nbs'],
    package_dir={'easing_fastai.nbs': 'nbs'},
    package_data={'easing_fastai': ['data/*'], 'easing_fastai.nbs': ['*.ipynb']},
)
