"""AWS on this machine: moto is the API, and this package makes its resources real."""
