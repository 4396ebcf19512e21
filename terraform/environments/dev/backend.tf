# The bucket's name holds the account's id, so it is given at init: -backend-config=bucket=<bucket>.
# Who still locks with DynamoDB adds -backend-config=dynamodb_table=<table>; both locks are then taken.
terraform {
  backend "s3" {
    key          = "dev/terraform.tfstate"
    region       = "eu-north-1"
    encrypt      = true
    use_lockfile = true
  }
}
