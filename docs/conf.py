"""How the documentation is built: python -m sphinx -W -b html docs docs/_build/html."""

import importlib.metadata

project = "medpipe"
author = "The medpipe developers"
copyright = "The medpipe developers"  # noqa: A001
release = importlib.metadata.version("medpipe")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "examples"]
html_theme = "furo"
html_title = "medpipe"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
