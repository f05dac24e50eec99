"""A sample API with the classic mistakes, its data, its remote service and its traffic."""
