project           = "{{ cookiecutter.project_slug }}"
aws_region        = "{{ cookiecutter.aws_region }}"
github_repository = "{{ cookiecutter.github_owner }}/{{ cookiecutter.project_slug }}"

# `make bootstrap` asks GitHub for the repository's two ids where `gh` is there, and writes them here. By hand:
# gh api repos/{{ cookiecutter.github_owner }}/{{ cookiecutter.project_slug }} --jq '"github_owner_id = \(.owner.id)\ngithub_repository_id = \(.id)"'

# The names that each environment may change in Route 53.
domain_names = {
  staging    = "{% if cookiecutter.domain_name %}staging.{{ cookiecutter.domain_name }}{% endif %}"
  production = "{{ cookiecutter.domain_name }}"
}
