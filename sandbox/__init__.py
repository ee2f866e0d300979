"""Discord on this machine: gateway, REST API, CDN and a chat page, for the demo and for the end-to-end tests."""
