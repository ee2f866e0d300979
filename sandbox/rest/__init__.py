"""Discord's REST API, version 10. `routes` puts the parts together; every other module holds one kind of resource."""
