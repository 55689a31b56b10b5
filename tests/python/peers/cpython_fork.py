# SPDX-License-Identifier: MIT
"""CPython's tests of multiprocessing for one start method. Their children import them."""

from test._test_multiprocessing import install_tests_in_module_dict

install_tests_in_module_dict(globals(), "fork")
