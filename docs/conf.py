# SPDX-License-Identifier: MIT
"""The documentation's build: `sphinx-build -W docs build/docs/html`."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

version_h = (Path(__file__).parents[1] / "include/tensoring/version.h").read_text()
project = "tensoring"
copyright = "the tensoring authors; MIT licence"
version = release = ".".join(
    re.findall(r"^#define TR_VERSION_\w+ +(\d+)", version_h, re.M)
)
extensions = ["myst_parser", "sphinx.ext.autodoc", "headers", "package"]
exclude_patterns = ["man"]
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]
autodoc_member_order = "groupwise"
autodoc_typehints = "signature"
smartquotes = False
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = f"tensoring {version}"
html_copy_source = False
c_id_attributes: list[str] = []
c_maximum_signature_line_length = 88
python_maximum_signature_line_length = 88
