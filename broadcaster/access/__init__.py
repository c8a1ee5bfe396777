"""Who may ask the station for what: tokens with roles, rates, and which web pages may call.

In front of the HTTP door. Nothing here is known to what is on air, and no token is ever kept,
printed or logged in clear, except once by the command that makes it.
"""
