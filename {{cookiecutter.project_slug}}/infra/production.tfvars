project     = "{{ cookiecutter.project_slug }}"
environment = "production"
aws_region  = "{{ cookiecutter.aws_region }}"

# The zone has to exist in Route 53. Where it is a parent (example.com), name it: hosted_zone_name = "example.com"
domain_name      = "{{ cookiecutter.domain_name }}"
hosted_zone_name = "{{ cookiecutter.domain_name }}"

alarm_emails         = []
vpc_cidr             = "10.30.0.0/16"
nat_gateways         = 2
requests_per_address = 3000

task_cpu    = 1024
task_memory = 2048
min_tasks   = 2
max_tasks   = 8

database_instance_class  = "db.m7g.large"
database_backup_days     = 30
database_max_connections = 400
