# Copyright: trinode.platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that wait for Argo CD."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  namespace:
    description: Namespace of Argo CD.
    type: str
    default: argocd
  revision:
    description: Commit to wait for. A later one that contains it is as good. Empty means whatever commit Argo CD has.
    type: str
    default: ""
  repository:
    description:
      - Bare repository on this machine that tells whether a commit contains another, as M(trinode.platform.git_publish) keeps it. Commits that it does not
        know are taken for later ones.
    type: path
    default: ""
"""
