terraform {
  required_version = ">= 1.11, < 2" # write-only attributes and ephemeral variables

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}
