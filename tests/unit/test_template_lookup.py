"""The lookup ``template``: the text that core's lookup of that name gives, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar, trust_as_template

from ansible_collections.trinode.platform.plugins.lookup.template import LookupModule

TEXT = """\
{% for name in names %}
- name: {{ name }}
  value: "{{ derived }}\\n"
{% endfor %}
{# a remark #}
text: '{{ '\\\\d+' }}'
"""


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, object]:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "some.yml.j2").write_text(TEXT)
    return {"names": ["a", "b"], "derived": trust_as_template("{{ names | length }} of them"), "ansible_search_path": [str(tmp_path)]}


def rendered(variables: dict[str, object], core: bool = False) -> str:
    loader = DataLoader()
    about = {"loader": loader, "templar": Templar(loader=loader, variables=variables)}
    lookup = lookup_loader.get("template", **about) if core else LookupModule(**about)
    return str(lookup.run(["some.yml.j2"], variables=variables)[0])


def test_it_gives_the_text_that_cores_lookup_gives(variables: dict[str, object]) -> None:
    text = rendered(variables)
    assert text == rendered({**variables}, core=True)
    assert text.startswith('- name: a\n  value: "2 of them\\n"\n')


def test_it_leaves_the_variables_as_they_are(variables: dict[str, object]) -> None:
    before = dict(variables)
    rendered(variables)
    assert variables == before


def test_a_template_that_is_not_there_is_named(variables: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "templates" / "some.yml.j2").unlink()
    with pytest.raises(AnsibleError, match=r"some\.yml\.j2"):
        rendered(variables)


def test_a_template_of_which_nothing_is_left_gives_no_text(variables: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "templates" / "some.yml.j2").write_text("{% if names | length > 9 %}\na: 1\n{% endif %}\n")
    assert rendered(variables).strip() == ""
