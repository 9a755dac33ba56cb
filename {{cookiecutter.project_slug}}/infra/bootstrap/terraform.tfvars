project           = "{{ cookiecutter.project_slug }}"
aws_region        = "{{ cookiecutter.aws_region }}"
github_repository = "{{ cookiecutter.github_owner }}/{{ cookiecutter.project_slug }}"
