"""Sphinx configuration; pages that can be generated are generated here, at every build."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import generate

import theatrum

project = "Theatrum"
author = "The Theatrum authors"
copyright = "2026, the Theatrum authors"
version = release = theatrum.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "numpydoc"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = False

numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "inherited-members": False, "show-inheritance": False}

html_theme = "furo"
html_title = f"Theatrum {version}"
html_static_path = []


def skip_routing(app, what, name, obj, skip, options):
    """Leave out the methods that scikit-learn adds to every estimator for its metadata routing."""
    return True if name.endswith("_request") or name == "get_metadata_routing" else skip


def setup(app):
    """Write the generated pages before Sphinx looks for pages."""
    app.connect("autodoc-skip-member", skip_routing)
    app.connect("config-inited", lambda app, config: generate.write_all(Path(app.srcdir) / "generated"))
