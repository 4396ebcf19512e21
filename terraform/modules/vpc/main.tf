data "aws_region" "current" {}

# Local Zones carry no NAT gateway or RDS: only the region's own zones count.
data "aws_availability_zones" "available" {
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  azs = slice(data.aws_availability_zones.available.names, 0, var.az_count)

  # Sixteen /20 blocks in a /16: four per tier, the last four kept free.
  cidrs = {
    public   = { for i, az in local.azs : az => cidrsubnet(var.cidr_block, 4, i) }
    private  = { for i, az in local.azs : az => cidrsubnet(var.cidr_block, 4, i + 4) }
    database = { for i, az in local.azs : az => cidrsubnet(var.cidr_block, 4, i + 8) }
  }

  nat_azs = var.nat_gateway_per_az ? local.azs : slice(local.azs, 0, 1)
}

resource "aws_vpc" "main" {
  cidr_block           = var.cidr_block
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = "${var.name}-vpc" }
}

# The default group lets everything in it talk to everything in it: emptied, so that nothing can rely on it.
resource "aws_default_security_group" "main" {
  vpc_id  = aws_vpc.main.id
  ingress = []
  egress  = []
  tags    = { Name = "${var.name}-default-unused" }
}

resource "aws_subnet" "public" {
  for_each          = local.cidrs.public
  vpc_id            = aws_vpc.main.id
  availability_zone = each.key
  cidr_block        = each.value
  tags              = { Name = "${var.name}-public-${each.key}", Tier = "public" }
}

resource "aws_subnet" "private" {
  for_each          = local.cidrs.private
  vpc_id            = aws_vpc.main.id
  availability_zone = each.key
  cidr_block        = each.value
  tags              = { Name = "${var.name}-private-${each.key}", Tier = "private" }
}

resource "aws_subnet" "database" {
  for_each          = local.cidrs.database
  vpc_id            = aws_vpc.main.id
  availability_zone = each.key
  cidr_block        = each.value
  tags              = { Name = "${var.name}-database-${each.key}", Tier = "database" }
}
