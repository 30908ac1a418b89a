"""An interactive page: a transposed convolution and its adjoint, cell by cell, in a browser.

`site()` returns the page's files, which work from any static host and opened as files; `serving` serves them
on this machine only. The page's own geometry is JavaScript, which the tests compare with this package. The
frameworks' calls come from `tconv.conventions`: the server answers for any problem, a copy holds those of its
examples.

>>> [name for name in sorted(site()) if not name.endswith(".js")]
['icon.svg', 'index.html', 'page.css']
>>> fragment(Geometry.parse("n1 c1>1 i3x3 k4 s2 p1"))
'#n1+c1%3E1+i3x3+k4+s2+p1'
"""

from __future__ import annotations

from tconv.geometry import Geometry
from tconv.page.server import serving
from tconv.page.site import copy_to, fragment, site

__all__ = ["Geometry", "copy_to", "fragment", "serving", "site"]
