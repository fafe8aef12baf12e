"""What is kept between passes: records, topologies, history."""
