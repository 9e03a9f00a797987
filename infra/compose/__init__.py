"""What runs only in containers: docker-compose.yml in the root says how."""
