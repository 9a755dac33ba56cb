project     = "{{ cookiecutter.project_slug }}"
environment = "staging"
aws_region  = "{{ cookiecutter.aws_region }}"

# The zone has to exist in Route 53. Where it is a parent (example.com), name it: hosted_zone_name = "example.com"
domain_name      = "{% if cookiecutter.domain_name %}staging.{{ cookiecutter.domain_name }}{% endif %}"
hosted_zone_name = "{{ cookiecutter.domain_name }}"

public_pages       = true
alarm_emails       = []
log_retention_days = 30
vpc_cidr           = "10.20.0.0/16"
