environment = "prod"

# Not dev's range: only VPCs that do not overlap can be peered, to check a restored production database from dev.
vpc_cidr            = "10.1.0.0/16"
az_count            = 3
nat_gateway_per_az  = true
allowed_cidr_blocks = ["0.0.0.0/0"]
domain_name         = "demo-flask-app.example.com"

instance_type           = "t3.small"
asg_min_size            = 2
asg_max_size            = 10
instance_warmup_seconds = 300

db_instance_class     = "db.t3.small"
db_multi_az           = true
db_max_connections    = 200
backup_retention_days = 30

alert_email         = "ops-prod@example.com"
log_retention_days  = 90
deletion_protection = true
