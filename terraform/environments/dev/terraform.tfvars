environment = "dev"

vpc_cidr            = "10.0.0.0/16"
az_count            = 2
nat_gateway_per_az  = false
allowed_cidr_blocks = ["203.0.113.0/24"] # documentation range: put your own address here
domain_name         = "dev.demo-flask-app.example.com"

instance_type           = "t3.micro"
asg_min_size            = 1
asg_max_size            = 2
instance_warmup_seconds = 120

db_instance_class     = "db.t3.micro"
db_multi_az           = false
db_max_connections    = 100
backup_retention_days = 7

alert_email         = "ops-dev@example.com"
log_retention_days  = 14
deletion_protection = false
